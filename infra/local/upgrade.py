"""Bringing a data directory of an older version up to date."""

from collections.abc import Callable
from sqlite3 import Connection
from zlib import decompress

from infra.local.execution_rows import HISTORY, packed_text
from infra.local.journal import SCHEMA, VERSION
from shared.sqlite import SCHEMA as RECORDS
from shared.sqlite import Database


def upgrade(database: Database, version: int) -> None:
    """Make a database of an older version one of this version, whole or not at all."""
    with database.write() as connection:
        for step in _STEPS[version - 1 :]:
            step(connection)
        connection.execute(f"pragma user_version = {VERSION}")


def _to_2(connection: Connection) -> None:
    """Timelines stand by order, history is only added to, snapshots stand with it."""
    for table in ("timeline", "history"):
        connection.execute(f"alter table {table} rename to old_{table}")
    _define(connection, RECORDS, "timeline")
    _define(connection, SCHEMA, "history")
    connection.execute(
        "insert into timeline (order_id, seq, at, epoch, what, detail) select order_id,"
        " row_number() over (partition by order_id order by id), at, epoch, what, detail"
        " from old_timeline"
    )
    pieces = connection.execute(
        "select execution_id, events from old_history order by execution_id, first"
    )
    connection.executemany(
        HISTORY, ((number, packed_text(decompress(events))) for number, events in pieces)
    )
    running = "select id, snapshot from executions where snapshot is not null"
    for number, snapshot in connection.execute(running).fetchall():
        connection.execute(HISTORY, (number, packed_text(b"[]\n" + snapshot.encode())))
    for table in ("timeline", "history"):
        connection.execute(f"drop table old_{table}")


def _to_3(connection: Connection) -> None:
    """An order says by a column of its own that it has not ended."""
    connection.execute("alter table orders add column in_flight integer check (in_flight = 1)")
    connection.execute(
        "update orders set in_flight = 1 where status not in ('COMPLETED', 'FAILED', 'CANCELLED')"
    )
    connection.execute("drop index if exists orders_in_flight")


def _to_4(connection: Connection) -> None:
    """Each field that can be changed has a time of its own; requests come before their order."""
    for statement in _STATEMENTS_4:
        connection.execute(statement)


_STATEMENTS_4 = (
    "alter table orders add column shipping_address_as_of text",
    "alter table orders add column email_as_of text",
    """update orders set shipping_address_as_of = amended_at, email_as_of = amended_at
    where amended_at is not null""",
    "alter table orders drop column amended_at",
    """create table if not exists early_requests (
        order_id text not null,
        request_id text not null,
        event_id text not null,
        name text not null,
        detail text not null,
        came_at real not null,
        heard real not null,
        primary key (order_id, request_id)
    ) without rowid""",
)


def _define(connection: Connection, schema: str, table: str) -> None:
    for statement in schema.split(";\n"):
        if f" if not exists {table}" in statement and " index " not in statement:
            connection.execute(statement)


_STEPS: tuple[Callable[[Connection], None], ...] = (_to_2, _to_3, _to_4)
