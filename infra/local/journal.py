"""The runtime's journal: what was accepted and how far it has come, in the services' database.

A turn of the engine collects its writes in a `Batch` and commits them as one transaction before
anything that they say is acted upon or acknowledged.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from shared.sqlite import SCHEMA as RECORDS
from shared.sqlite import Database

VERSION = 4
"""Version of the data directory; one of a newer version is not opened."""

SCHEMA = """
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


class Batch:
    """The writes of one turn, of the same statement together.

    So what one turn writes twice to the same row must be one statement.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[Sequence[Any]]] = {}
        self.durable = False

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, statement: str, *values: Any) -> None:
        """Add one row of a statement; statements run in the order of their first row."""
        self._rows.setdefault(statement, []).append(values)

    def mark(self) -> dict[str, int]:
        """Return how far the batch has come, for `rewind`."""
        return {statement: len(rows) for statement, rows in self._rows.items()}

    def rewind(self, mark: dict[str, int]) -> None:
        """Take back what was added since a mark: a request that failed leaves nothing."""
        for statement, rows in list(self._rows.items()):
            del rows[mark.get(statement, 0) :]
            if not rows:
                del self._rows[statement]

    def statements(self) -> Iterable[tuple[str, list[Sequence[Any]]]]:
        """Return each statement with its rows."""
        return self._rows.items()


class Journal:
    """The journal's tables, ids and commits."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.define(RECORDS)
        database.define(SCHEMA)
        # no id is used twice, whatever was deleted: names of Parquet files follow from them
        self._ids: dict[str, int] = {
            row["name"]: row["seq"]
            for row in database.rows("select name, seq from sqlite_sequence")
        }
        self.batch = Batch()
        self.commits = 0

    def next_id(self, table: str) -> int:
        """Return the id of a new row; one process writes these tables, so it counts them itself."""
        self._ids[table] = self._ids.get(table, 0) + 1
        return self._ids[table]

    def commit(self) -> None:
        """Commit the turn's writes; all that was answered to a caller outlives a power cut."""
        batch, self.batch = self.batch, Batch()
        if not batch:
            return
        with self.database.write(durable=batch.durable) as connection:
            for statement, rows in batch.statements():
                connection.executemany(statement, rows)
        self.commits += 1
