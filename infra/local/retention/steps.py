"""The base of a pruning: it has a result, and each step of it is one transaction."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from sqlite3 import Connection

from infra.local.retention.open_items import OpenItems
from storage.sqlite.database import Database

_IN_FLIGHT = "select 1 from orders where order_id = ? and in_flight = 1"


@dataclass(slots=True)
class Found:
    """The result of steps: numbers of pruned items, and of kept orders by their reason."""

    counts: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    orders: set[str] = field(default_factory=set)
    """The orders that a dry run would prune."""


@dataclass(slots=True)
class Pruning(ABC):
    """The pruning of the items of one kind that are older than a time, in epoch seconds."""

    database: Database
    before: float
    items: OpenItems
    found: Found
    dry: bool

    def step(self) -> bool:
        """Prune the next items in one transaction; return whether there may be more."""
        if self.dry:
            return self._step(None)
        with self.database.write() as connection:
            return self._step(connection)

    def _step(self, connection: Connection | None) -> bool:
        while self.items.refresh():
            pass
        return self._take(connection)

    @abstractmethod
    def _take(self, connection: Connection | None) -> bool:
        """Look at the next items, and delete by a connection, if there is one."""

    def is_closed(self, order_id: str | None) -> bool:
        """Return whether nothing unfinished is about an order, which may be none.

        An order that a dry run would prune is counted with all its items.
        """
        if order_id is None:
            return True
        if order_id in self.found.orders or self.items.mention(order_id):
            return False
        return self.database.row(_IN_FLIGHT, order_id) is None
