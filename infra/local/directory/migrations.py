"""Migrate a data directory of an older version to the current version.

Each step is frozen: its SQL is text in ``versions/``, and its Python imports nothing of this
project. A step therefore has the same effect in every later version, with any later schema.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from sqlite3 import Connection, complete_statement
from zlib import decompress

from zstandard import ZstdCompressor

from infra.local.directory.schema import VERSION
from storage.sqlite.database import Database

FOLDER = Path(__file__).with_name("versions")

ASSUMED_LAST_ID = 1_000_000_000
"""The last id of a table that may have reused ids: the first builds did not record the
ids of deleted rows."""


def migrate(database: Database, version: int) -> None:
    """Migrate a database of an older version in one transaction.

    A user's own views are unchanged, because a rebuilt table keeps its name.
    Source: SQLite, ALTER TABLE, "Compatibility Note".
    """
    database.connection.execute("pragma legacy_alter_table = on")
    with database.write() as connection:
        for step in STEPS[version - 1 :]:
            step(connection)
        connection.execute(f"pragma user_version = {VERSION}")


def _to_2(connection: Connection) -> None:
    """Key timelines by order, and store an execution's snapshot in its append-only history."""
    if "amended_at" not in _columns(connection, "orders"):
        connection.execute("alter table orders add column amended_at text")
    for statement in _statements("2.sql"):
        connection.execute(statement)
    add = "insert into history (execution_id, piece) values (?, ?)"
    pack = ZstdCompressor(level=1).compress
    pieces = connection.execute(
        "select execution_id, events from old_history order by execution_id, first"
    )
    connection.executemany(add, ((number, pack(decompress(events))) for number, events in pieces))
    running = "select id, snapshot from executions where snapshot is not null"
    for number, snapshot in connection.execute(running).fetchall():
        connection.execute(add, (number, pack(b"[]\n" + snapshot.encode())))
    connection.execute("drop table old_history")


def _to_3(connection: Connection) -> None:
    """Add a column for orders that have not ended."""
    for statement in _statements("3.sql"):
        connection.execute(statement)


def _to_4(connection: Connection) -> None:
    """Give every table, index and view the SQL text of a new directory of version 4."""
    amended = dict.fromkeys(("shipping_address_as_of", "email_as_of"), "amended_at")
    _conform(connection, "4.sql", {"orders": amended, "schedules": {"expression": "''"}})


def _to_5(connection: Connection) -> None:
    """Give every table, index and view the SQL text of a new directory of version 5.

    Orders that wait for stock get their index entries, and ended orders are counted.
    """
    _conform(connection, "5.sql", {})
    connection.execute(
        "insert or ignore into waiting_orders (sku, created_at, order_id)"
        " select json_extract(line.value, '$[0]'), created_at, order_id"
        " from orders, json_each(items) as line"
        " where status = 'WAITING' and waiting_for = 'OutOfStock'"
    )
    connection.execute(
        "insert into measures (minute, name, label, bucket, count, sum)"
        " select 0, lower(status), iif(status = 'FAILED', coalesce(failure, ''), ''), -1,"
        " count(*), 0.0 from orders where in_flight is null group by 2, 3"
        " on conflict do nothing"
    )


NewColumns = Mapping[str, Mapping[str, str]]
"""By table and column: the SQL expression for a column that the older table does not have."""


def _conform(connection: Connection, file: str, new_columns: NewColumns) -> None:
    """Create missing tables, indexes and views, and rebuild those with a different definition."""
    wanted = {_created_name(statement): statement for statement in _statements(file)}
    query = "select name, type, tbl_name, sql from sqlite_master where sql is not null"
    existing = {row[0]: (row[1], row[2], row[3]) for row in connection.execute(query)}
    stale = {
        name
        for name, statement in wanted.items()
        if name not in existing or normalized(existing[name][2]) != normalized(statement)
    }
    for name, (kind, table, _) in existing.items():
        if kind != "table" and name in wanted and stale & {name, table}:
            connection.execute(f"drop {kind} {name}")
            stale.add(name)
    for name, statement in wanted.items():
        if name in stale and statement.startswith("create table") and name in existing:
            _rebuild(connection, name, statement, new_columns.get(name, {}))
        elif name in stale:
            connection.execute(statement)


def _rebuild(connection: Connection, table: str, statement: str, new: Mapping[str, str]) -> None:
    """Rebuild a table with its rows; other new columns get their defaults."""
    old = f"old_{table}"
    connection.execute(f"alter table {table} rename to {old}")
    connection.execute(statement)
    known = _columns(connection, old)
    sources = {
        column: column if column in known else new[column]
        for column in _columns(connection, table)
        if column in known or column in new
    }
    names, values = ", ".join(sources), ", ".join(sources.values())
    connection.execute(f"insert into {table} ({names}) select {values} from {old}")
    if "autoincrement" in statement:
        _continue_ids(connection, table, old)
    connection.execute(f"drop table {old}")


def _continue_ids(connection: Connection, table: str, old: str) -> None:
    """Continue the ids of a rebuilt table after the last one."""
    last = connection.execute("select seq from sqlite_sequence where name = ?", (old,)).fetchone()
    if last is None and table in ("deliveries", "messages"):
        last = (ASSUMED_LAST_ID,)
    if last is None:
        last = connection.execute(f"select coalesce(max(rowid), 0) from {table}").fetchone()
    connection.execute("delete from sqlite_sequence where name = ?", (table,))
    connection.execute("insert into sqlite_sequence values (?, ?)", (table, last[0]))


def _columns(connection: Connection, table: str) -> list[str]:
    return [row[0] for row in connection.execute("select name from pragma_table_info(?)", (table,))]


def _statements(name: str) -> Iterator[str]:
    """Return the statements of a file."""
    statement = ""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.startswith("--"):
            statement += line
        if complete_statement(statement):
            yield statement.strip().removesuffix(";")
            statement = ""


def _created_name(statement: str) -> str:
    """Return the name of the table, index or view that a statement creates."""
    return re.split(r"[\s(]+", statement, maxsplit=3)[2]


def normalized(statement: str) -> str:
    """Return a ``create`` statement in a normal form, for comparison."""
    text = re.sub(r'["`]', "", statement)
    text = re.sub(r"\s*([(),=])\s*", r"\1", " ".join(text.split()))
    return re.sub(r"(?i)^(create \w+) if not exists", r"\1", text).lower()


STEPS: tuple[Callable[[Connection], None], ...] = (_to_2, _to_3, _to_4, _to_5)
