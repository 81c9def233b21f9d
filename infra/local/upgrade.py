"""Bringing a data directory of an older version up to date."""

from collections.abc import Callable
from sqlite3 import Connection
from zlib import decompress

from infra.local.execution_rows import HISTORY, packed_text
from infra.local.journal import SCHEMA, VERSION
from shared.sqlite import RECORD, Database
from shared.sqlite import SCHEMA as RECORDS


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
    connection.execute("alter table orders rename to old_orders")
    _define(connection, RECORDS, "orders")
    connection.execute(
        f"insert into orders (in_flight, {RECORD}) select"
        f" iif(status in ('COMPLETED', 'FAILED', 'CANCELLED'), null, 1), {RECORD} from old_orders"
    )
    connection.execute("drop table old_orders")


def _define(connection: Connection, schema: str, table: str) -> None:
    for statement in schema.split(";\n"):
        if f" if not exists {table}" in statement and " index " not in statement:
            connection.execute(statement)


_STEPS: tuple[Callable[[Connection], None], ...] = (_to_2, _to_3)
