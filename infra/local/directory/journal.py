"""The engine's journal: accepted events and their progress, in the services' database.

A turn of the engine collects its writes in a `WriteBatch` and commits them in one transaction,
before it acts on them or acknowledges them.
"""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Any

from storage.sqlite.database import SCHEMA as RECORDS
from storage.sqlite.database import Database

VERSION = 4
"""Version of the data directory; a directory of a newer version is refused."""

FAILURES_KEPT = 14 * 86_400.0
"""Retention of failed items, in seconds."""

SUSPECTS_KEPT = 86_400.0
"""Seconds for which an item that ended the process remains a suspect."""

SCHEMA = """
create table if not exists directory (
    key text primary key,
    value text not null
) without rowid;
create table if not exists events (
    seq integer primary key autoincrement,
    id text not null,
    detail_type text not null,
    order_id text,
    envelope text not null,
    arrived_at real not null,
    archived integer not null
);
create index if not exists events_by_time on events (arrived_at);
create index if not exists events_by_order on events (order_id);
create view if not exists sink as
    select detail_type, order_id, envelope, arrived_at from events where archived;
create table if not exists deliveries (
    id integer primary key autoincrement,
    event_seq integer not null,
    target text not null,
    due real not null,
    attempts integer not null,
    replay text
);
create index if not exists deliveries_by_due on deliveries (target, due, id);
create table if not exists executions (
    id integer primary key autoincrement,
    name text not null,
    machine text not null,
    kind text not null,
    status text not null,
    definition text not null,
    order_id text,
    input text not null,
    output text,
    error text,
    cause text,
    started_at real not null,
    ended_at real,
    wake_at real
);
create index if not exists executions_by_name on executions (machine, name);
create index if not exists executions_by_order on executions (order_id);
create index if not exists executions_running on executions (wake_at) where status = 'RUNNING';
create table if not exists definitions (id text primary key, body text not null) without rowid;
create table if not exists history (
    id integer primary key,
    execution_id integer not null,
    piece blob not null
);
create index if not exists history_by_execution on history (execution_id);
create table if not exists messages (
    id integer primary key autoincrement,
    queue text not null,
    body text not null,
    sent_at real not null,
    visible_at real not null,
    receives integer not null,
    attributes text not null
);
create index if not exists messages_by_queue on messages (queue, visible_at, id);
create table if not exists schedules (
    name text primary key,
    expression text not null,
    next_at real not null
) without rowid;
create table if not exists replays (
    name text primary key,
    rules text not null,
    start_at real not null,
    end_at real not null,
    state text not null,
    started_at real not null,
    ended_at real,
    replayed integer not null
) without rowid;
create table if not exists failures (
    id integer primary key autoincrement,
    at real not null,
    kind text not null,
    item text not null,
    error text not null,
    message text not null,
    traceback text not null,
    count integer not null,
    unique (kind, item, error)
);
create table if not exists suspects (
    kind integer not null,
    first integer not null,
    last integer not null,
    crashes integer not null,
    at real not null,
    primary key (kind, first, last)
) without rowid;
create table if not exists quarantined_orders (
    order_id text primary key,
    failures integer not null,
    held integer not null,
    reason text not null,
    at real not null
) without rowid;
create table if not exists metrics (
    minute integer not null,
    name text not null,
    dimensions text not null,
    unit text not null,
    count integer not null,
    sum real not null,
    minimum real not null,
    maximum real not null,
    primary key (minute, name, dimensions)
) without rowid;
"""

_SET_VALUE = (
    "insert into directory values (?, ?)"
    " on conflict do update set value = excluded.value where value <> excluded.value"
)
KIND, CLOCK_AHEAD = "kind", "ahead"
"""Keys of the table ``directory``: the kind, and how many seconds its clock is ahead of real time
(`infra.local.directory.sandbox`, `infra.local.directory.clock_rebase`)."""

SANDBOX, REAL = "sandbox", "real"
"""Kinds of a directory; time is skipped in a sandbox only."""


def set_directory_value(connection: Connection, key: str, value: str) -> None:
    """Set a value in the table ``directory`` within the caller's transaction."""
    connection.execute(_SET_VALUE, (key, value))


_SQLITE_TYPES = {str, int, float, bytes, bool, type(None)}
_INTEGER_LIMIT = 1 << 63


class WriteBatch:
    """The writes of one turn, grouped by statement.

    Two writes of a turn to the same row must therefore use the same statement.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[Sequence[Any]]] = {}
        self.added: list[list[Sequence[Any]]] = []
        self.durable = False

    def __bool__(self) -> bool:
        return bool(self.added)

    def add(self, statement: str, *values: Any) -> None:
        """Add one row of a statement; statements run in the order of their first row.

        Raises
        ------
        TypeError, ValueError
            SQLite cannot store the value; at the commit it would fail every item of the turn.
        """
        for value in values:
            kind = type(value)
            if kind is str:
                if not value.isascii():
                    _check_value(value)
            elif kind is int:
                if not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
                    _check_value(value)
            elif kind not in _SQLITE_TYPES:
                _check_value(value)
        rows = self._rows.get(statement)
        if rows is None:
            rows = self._rows[statement] = []
        rows.append(values)
        self.added.append(rows)

    def mark(self) -> int:
        """Return the number of rows, for `rewind`."""
        return len(self.added)

    def rewind(self, mark: int) -> None:
        """Roll back to a mark, so that a failed item leaves no row."""
        for rows in reversed(self.added[mark:]):
            rows.pop()
        del self.added[mark:]

    def statements(self) -> Iterable[tuple[str, list[Sequence[Any]]]]:
        """Return each statement with its rows."""
        return ((statement, rows) for statement, rows in self._rows.items() if rows)


def _check_value(value: object) -> None:
    """Raise `TypeError` or `ValueError` unless SQLite can store a value."""
    if isinstance(value, str):
        value.encode()  # raises for a lone surrogate
    elif isinstance(value, int):
        if not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
            raise ValueError(f"an integer of {value.bit_length()} bits is beyond SQLite's 64")
    elif type(value) not in _SQLITE_TYPES:
        raise TypeError(f"SQLite cannot store a {type(value).__name__}")


class Journal:
    """The journal of one engine: its tables, ids and commits."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.define(RECORDS)
        database.define(SCHEMA)
        # an id is never reused, even of a deleted row: names of Parquet files depend on ids
        self._ids: dict[str, int] = {
            row["name"]: row["seq"]
            for row in database.rows("select name, seq from sqlite_sequence")
        }
        self.batch = WriteBatch()
        self.commits = 0

    def next_id(self, table: str) -> int:
        """Return the id of a new row; the process counts ids, as the only writer of the tables."""
        self._ids[table] = self._ids.get(table, 0) + 1
        return self._ids[table]

    def delete_expired(self, now: float) -> None:
        """Delete failures and suspects whose retention has passed."""
        self.batch.add("delete from failures where at < ?", now - FAILURES_KEPT)
        self.batch.add("delete from suspects where at < ?", now - SUSPECTS_KEPT)
        self.batch.add(
            "delete from quarantined_orders where not held and at < ?", now - SUSPECTS_KEPT
        )

    def make_real(self) -> None:
        """Make the directory real in this turn, which has an order from outside."""
        self.batch.add(_SET_VALUE, KIND, REAL)

    def save_clock_offset(self, seconds: float) -> None:
        """Store how far the clock is ahead, before a row has its time."""
        self.batch.add(_SET_VALUE, CLOCK_AHEAD, str(seconds))

    def commit(self) -> None:
        """Commit the turn's writes; a batch that answers a caller is synced to disk."""
        batch, self.batch = self.batch, WriteBatch()
        if not batch:
            return
        with self.database.write(durable=batch.durable) as connection:
            for statement, rows in batch.statements():
                connection.executemany(statement, rows)
        self.commits += 1
