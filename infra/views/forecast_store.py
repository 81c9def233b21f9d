"""The orders' store of a forecast: the real orders are read, and changes go to a temporary file.

Each order is copied from the data directory when an event first names it. So the use cases
themselves decide about events, one after the other, and nothing of the directory changes.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from kernel.order_record import Change, Entry, OrderRecord
from orders.early_requests import EarlyRequest
from orders.idempotency_key import Key
from orders.store import SQLiteOrders
from storage.sqlite.database import Database
from storage.sqlite.schema import REVIEWS

_TABLES = ("orders", "timeline", "early_requests", "reviews")
"""Tables with rows of an order that decide about its events."""

_SEEN = """
create table seen (order_id text primary key) without rowid;
create table counted (id blob primary key) without rowid;
"""


class ScratchDatabase(Database):
    """A temporary database in one transaction that is never committed."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.connection.execute("pragma synchronous = off")

    def write(
        self,
        *,
        durable: bool = False,  # noqa: ARG002 - nothing is kept
        flush: bool = False,  # noqa: ARG002
    ) -> AbstractContextManager[sqlite3.Connection]:
        """Return a block of the one transaction."""
        return self._block()

    @contextmanager
    def _block(self) -> Iterator[sqlite3.Connection]:
        yield self.connection


class ForecastStore(SQLiteOrders):
    """The store of the use cases (see `orders.usecases.OrderStore`), with copies of the orders.

    ``entries`` are the timeline entries of the last event, and ``kept`` is whether it was stored
    for an order that does not exist yet.
    """

    def __init__(self, real: Database | None) -> None:
        self._folder = TemporaryDirectory(prefix="orders-forecast-")
        super().__init__(ScratchDatabase(str(Path(self._folder.name) / "scratch.db")))
        self.database.define(REVIEWS + _SEEN)
        self._real = real
        self._columns = {} if real is None else _common_columns(real, self.database)
        self.database.connection.execute("begin")
        self.entries: list[Entry] = []
        self.kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.database.close()
        self._folder.cleanup()

    def begin(self, order_id: str) -> OrderRecord | None:
        """Begin with an event of an order; return the order's record before it, if there is one."""
        self.entries, self.kept = [], False
        connection = self.database.connection
        added = connection.execute("insert or ignore into seen values (?)", (order_id,)).rowcount
        if added and self._real is not None:
            for table, columns in self._columns.items():
                names, marks = ", ".join(columns), ", ".join("?" * len(columns))
                rows = self._real.rows(
                    f"select {names} from {table} where order_id = ?",
                    order_id,
                )
                insert = f"insert into {table} ({names}) values ({marks})"
                connection.executemany(insert, [tuple(row) for row in rows])
        return self.find(order_id)

    def counts(self, digest: bytes) -> bool:
        """Note an event by its digest; return whether no event of the replay had it before."""
        query = "insert or ignore into counted values (?)"
        return bool(self.database.connection.execute(query, (digest,)).rowcount)

    def has_review(self, order_id: str) -> bool:
        """Return whether a review of an order exists."""
        return self.database.row("select 1 from reviews where order_id = ?", order_id) is not None

    def save(self, change: Change) -> OrderRecord:
        """Write a change to the copy, and note its timeline entries."""
        self.entries += change.entries
        return super().save(change)

    def note(self, order_id: str, entry: Entry) -> None:
        """Add an entry to the copy's timeline, and note it."""
        self.entries.append(entry)
        super().note(order_id, entry)

    def open(
        self, change: Change, requests: Sequence[EarlyRequest] = (), key: Key | None = None
    ) -> OrderRecord:
        """Write a new order to the copy, and note its timeline entries."""
        opened = super().open(change, requests, key)
        self.entries += change.entries
        return opened

    def keep_request(self, request: EarlyRequest) -> None:
        """Store a request for an order that does not exist yet."""
        super().keep_request(request)
        self.kept = True


def _common_columns(real: Database, scratch: Database) -> dict[str, list[str]]:
    """Return the columns of each table that both databases have."""
    return {
        table: columns
        for table in _TABLES
        if (columns := sorted(_columns(real, table) & _columns(scratch, table)))
    }


def _columns(database: Database, table: str) -> set[str]:
    return {row["name"] for row in database.rows(f"pragma table_info({table})")}
