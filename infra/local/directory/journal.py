"""The runtime's journal: what was accepted and how far it has come, in the services' database.

A turn of the engine collects its writes in a `Batch` and commits them as one transaction before
anything that they say is acted upon or acknowledged.
"""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Any

from infra.local.directory.schema import JOURNAL
from storage.sqlite.database import Database
from storage.sqlite.schema import ORDERS

FAILURES_KEPT = 14 * 86_400.0
"""Seconds for which the journal keeps what is known of a failed item."""

SUSPECTS_KEPT = 86_400.0
"""Seconds for which an item that ended the process stays a suspect."""

_KEEP = (
    "insert into directory values (?, ?)"
    " on conflict do update set value = excluded.value where value <> excluded.value"
)
KIND, AHEAD = "kind", "ahead"
"""Keys of the table ``directory``: what the directory is, and how many seconds its clock is ahead
of the machine's (`infra.local.directory.sandbox`, `infra.local.directory.clock_rebase`)."""

SANDBOX, REAL = "sandbox", "real"
"""What a directory is: time is skipped in a sandbox only."""


def keep(connection: Connection, key: str, value: str) -> None:
    """Keep a value of the table ``directory`` within the caller's transaction."""
    connection.execute(_KEEP, (key, value))


_HELD = {str, int, float, bytes, bool, type(None)}
_BEYOND = 1 << 63


class Batch:
    """The writes of one turn, of the same statement together.

    So what one turn writes twice to the same row must be one statement.
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
            SQLite holds no such value: at the commit, it would be every item's failure.
        """
        for value in values:
            kind = type(value)
            if kind is str:
                if not value.isascii():
                    _check_held(value)
            elif kind is int:
                if not -_BEYOND <= value < _BEYOND:
                    _check_held(value)
            elif kind not in _HELD:
                _check_held(value)
        rows = self._rows.get(statement)
        if rows is None:
            rows = self._rows[statement] = []
        rows.append(values)
        self.added.append(rows)

    def mark(self) -> int:
        """Return how many rows the batch has, for `rewind`."""
        return len(self.added)

    def rewind(self, mark: int) -> None:
        """Roll back to a mark: an item that failed leaves no row."""
        for rows in reversed(self.added[mark:]):
            rows.pop()
        del self.added[mark:]

    def statements(self) -> Iterable[tuple[str, list[Sequence[Any]]]]:
        """Return each statement with its rows."""
        return ((statement, rows) for statement, rows in self._rows.items() if rows)


def _check_held(value: object) -> None:
    """Raise unless SQLite holds a value."""
    if isinstance(value, str):
        value.encode()  # raises on half a surrogate pair
    elif isinstance(value, int):
        if not -_BEYOND <= value < _BEYOND:
            raise ValueError(f"an integer of {value.bit_length()} bits is beyond SQLite's 64")
    elif type(value) not in _HELD:
        raise TypeError(f"SQLite holds no {type(value).__name__}")


class Journal:
    """The journal's tables, ids and commits."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.define(ORDERS)
        database.define(JOURNAL)
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

    def forget(self, now: float) -> None:
        """Drop what is kept for a while only: failures and suspects."""
        self.batch.add("delete from failures where at < ?", now - FAILURES_KEPT)
        self.batch.add("delete from suspects where at < ?", now - SUSPECTS_KEPT)
        self.batch.add(
            "delete from quarantined_orders where not held and at < ?", now - SUSPECTS_KEPT
        )

    def make_real(self) -> None:
        """Make the directory a real one in this turn: an order from outside came with it."""
        self.batch.add(_KEEP, KIND, REAL)

    def keep_ahead(self, seconds: float) -> None:
        """Keep how far the clock is ahead, before anything is written at its time."""
        self.batch.add(_KEEP, AHEAD, str(seconds))

    def commit(self) -> None:
        """Commit the turn's writes; all that was answered to a caller outlives a power cut."""
        batch, self.batch = self.batch, Batch()
        if not batch:
            return
        with self.database.write(durable=batch.durable) as connection:
            for statement, rows in batch.statements():
                connection.executemany(statement, rows)
        self.commits += 1
