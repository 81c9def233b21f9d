"""The engine's journal: accepted events and their progress, in the services' database.

A turn of the engine collects its writes in a `WriteBatch` and commits them in one transaction,
before it acts on them or acknowledges them.
"""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Any

from infra.local.directory.schema import JOURNAL
from storage.sqlite.database import Database
from storage.sqlite.schema import ORDERS

FAILURES_KEPT = 14 * 86_400.0
"""Retention of failed items, in seconds."""

SUSPECTS_KEPT = 86_400.0
"""Seconds for which an item that ended the process remains a suspect."""

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

    def rows_of(self, statement: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a statement."""
        return self._rows.get(statement, ())

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
        database.define(ORDERS)
        database.define(JOURNAL)
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
