"""Bringing a data directory of an older version up to date.

Each step is frozen: its SQL is text in ``versions/``, and its Python imports nothing of this
project. So a step does the same in every later version, whatever the schema is then.
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

UNUSED = 1_000_000_000
"""Ids from which rows are counted where an older version may have used one twice: the first builds
kept no record of the ids of rows that are gone."""


def upgrade(database: Database, version: int) -> None:
    """Make a database of an older version one of this version, whole or not at all.

    A view of a person's own stays as it is: a table that is made anew keeps its name.
    Source: SQLite, ALTER TABLE, "Compatibility Note".
    """
    database.connection.execute("pragma legacy_alter_table = on")
    with database.write() as connection:
        for step in STEPS[version - 1 :]:
            step(connection)
        connection.execute(f"pragma user_version = {VERSION}")


def _to_2(connection: Connection) -> None:
    """Keep timelines by order, and an execution's snapshot in its history, which only grows."""
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
    """Say by a column of its own that an order has not ended."""
    for statement in _statements("3.sql"):
        connection.execute(statement)


def _to_4(connection: Connection) -> None:
    """Give every table, index and view the text that it has in a new directory of version 4."""
    amended = dict.fromkeys(("shipping_address_as_of", "email_as_of"), "amended_at")
    _bring(connection, "4.sql", {"orders": amended, "schedules": {"expression": "''"}})


Copied = Mapping[str, Mapping[str, str]]
"""By table and column: the SQL of a value for a column that the older table does not have."""


def _bring(connection: Connection, name: str, copied: Copied) -> None:
    """Create what of a schema is missing, and make anew what reads otherwise, with its rows."""
    wanted = {_named(statement): statement for statement in _statements(name)}
    query = "select name, type, tbl_name, sql from sqlite_master where sql is not null"
    found = {row[0]: (row[1], row[2], row[3]) for row in connection.execute(query)}
    stale = {
        each
        for each, statement in wanted.items()
        if each not in found or meaning(found[each][2]) != meaning(statement)
    }
    for each, (kind, table, _) in found.items():
        if kind != "table" and each in wanted and stale & {each, table}:
            connection.execute(f"drop {kind} {each}")
            stale.add(each)
    for each, statement in wanted.items():
        if each in stale and statement.startswith("create table") and each in found:
            _rebuild(connection, each, statement, copied.get(each, {}))
        elif each in stale:
            connection.execute(statement)


def _rebuild(connection: Connection, table: str, statement: str, copied: Mapping[str, str]) -> None:
    """Make a table anew with the rows that it has; columns that are new get their defaults."""
    old = f"old_{table}"
    connection.execute(f"alter table {table} rename to {old}")
    connection.execute(statement)
    known = _columns(connection, old)
    sources = {
        column: column if column in known else copied[column]
        for column in _columns(connection, table)
        if column in known or column in copied
    }
    names, values = ", ".join(sources), ", ".join(sources.values())
    connection.execute(f"insert into {table} ({names}) select {values} from {old}")
    if "autoincrement" in statement:
        _count_on(connection, table, old)
    connection.execute(f"drop table {old}")


def _count_on(connection: Connection, table: str, old: str) -> None:
    """Let the ids of a table that was made anew go on where they were."""
    last = connection.execute("select seq from sqlite_sequence where name = ?", (old,)).fetchone()
    if last is None and table in ("deliveries", "messages"):
        last = (UNUSED,)
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


def _named(statement: str) -> str:
    """Return what a statement creates."""
    return re.split(r"[\s(]+", statement, maxsplit=3)[2]


def meaning(statement: str) -> str:
    """Return a statement that creates something, in the one form in which two can be compared."""
    text = re.sub(r'["`]', "", statement)
    text = re.sub(r"\s*([(),=])\s*", r"\1", " ".join(text.split()))
    return re.sub(r"(?i)^(create \w+) if not exists", r"\1", text).lower()


STEPS: tuple[Callable[[Connection], None], ...] = (_to_2, _to_3, _to_4)
