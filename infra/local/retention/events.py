"""Pruning of the journal's events, and of the executions with their histories."""

from dataclasses import dataclass
from sqlite3 import Connection

from infra.local.retention.open_items import OpenItems, is_replaying, undelivered_from
from infra.local.retention.orders import Found
from storage.sqlite.database import Database

BATCH = 200
"""Rows that one step looks at."""

PRUNED_UNTIL = "events_pruned_until"
"""Key in the table ``directory``: the time until which events may have been pruned."""

_IN_FLIGHT = "select 1 from orders where order_id = ? and in_flight = 1"


def events_pruned_until(database: Database) -> float:
    """Return the time in epoch seconds until which events were pruned; 0 if none was."""
    row = database.row("select value from directory where key = ?", PRUNED_UNTIL)
    return 0.0 if row is None else float(row["value"])


@dataclass(slots=True)
class EventPruning:
    """The pruning of the events that arrived before a time, in steps by their number."""

    database: Database
    before: float
    items: OpenItems
    found: Found
    dry: bool
    _after: tuple[float, int] = (0.0, 0)

    def step(self) -> bool:
        """Prune the next events in one transaction; return whether there may be more."""
        if self.dry:
            return self._take(None)
        with self.database.write() as connection:
            return self._take(connection)

    def _take(self, connection: Connection | None) -> bool:
        while self.items.refresh():
            pass
        if is_replaying(self.database):
            self.found.kept["events: a replay reads them"] += 1
            return False
        first = undelivered_from(self.database)
        rows = self.database.rows(
            "select seq, order_id, arrived_at from events where (arrived_at, seq) > (?, ?)"
            " and arrived_at < ? order by arrived_at, seq limit ?",
            *self._after,
            self.before,
            BATCH,
        )
        pruned = [
            row["seq"] for row in rows if row["seq"] < first and self._is_closed(row["order_id"])
        ]
        self.found.counts["events"] += len(pruned)
        if connection is not None and pruned:
            until = max(self.before, events_pruned_until(self.database))
            connection.executemany("delete from events where seq = ?", [(seq,) for seq in pruned])
            connection.execute(
                "insert or replace into directory values (?, ?)", (PRUNED_UNTIL, str(until))
            )
        if rows:
            self._after = (rows[-1]["arrived_at"], rows[-1]["seq"])
        return len(rows) == BATCH

    def _is_closed(self, order_id: str | None) -> bool:
        """Return whether nothing unfinished needs an event; a dry run has counted some before."""
        if order_id is None:
            return True
        if order_id in self.found.orders or self.items.mention(order_id):
            return False
        return self.database.row(_IN_FLIGHT, order_id) is None


@dataclass(slots=True)
class HistoryPruning:
    """The pruning of executions that ended before a time, with their histories."""

    database: Database
    before: float
    items: OpenItems
    found: Found
    dry: bool
    _after: int = 0

    def step(self) -> bool:
        """Prune the next executions in one transaction; return whether there may be more."""
        if self.dry:
            return self._take(None)
        with self.database.write() as connection:
            return self._take(connection)

    def _take(self, connection: Connection | None) -> bool:
        while self.items.refresh():
            pass
        rows = self.database.rows(
            "select id, name, order_id, ended_at from executions where id > ? and started_at < ?"
            " order by id limit ?",
            self._after,
            self.before,
            BATCH,
        )
        pruned = []
        for row in rows:
            ended = row["ended_at"] is not None and row["ended_at"] < self.before
            if ended and not self.items.mention(row["name"]) and self._is_closed(row["order_id"]):
                pruned.append((row["id"],))
        self.found.counts["executions"] += len(pruned)
        if connection is not None:
            connection.executemany("delete from history where execution_id = ?", pruned)
            connection.executemany("delete from executions where id = ?", pruned)
        if rows:
            self._after = rows[-1]["id"]
        return len(rows) == BATCH

    def _is_closed(self, order_id: str | None) -> bool:
        if order_id is None:
            return True
        if order_id in self.found.orders:
            return False
        return self.database.row(_IN_FLIGHT, order_id) is None
