"""Pruning of the journal's events, and of the executions with their histories."""

from dataclasses import dataclass
from sqlite3 import Connection

from infra.local.retention.open_items import is_replaying, undelivered_from
from infra.local.retention.steps import Pruning
from storage.sqlite.database import Database

BATCH = 200
"""Rows that one step looks at."""

PRUNED_UNTIL = "events_pruned_until"
"""Key in the table ``directory``: the time until which events may have been pruned."""


def events_pruned_until(database: Database) -> float:
    """Return the time in epoch seconds until which events were pruned; 0 if none was."""
    row = database.row("select value from directory where key = ?", PRUNED_UNTIL)
    return 0.0 if row is None else float(row["value"])


@dataclass(slots=True)
class EventPruning(Pruning):
    """The pruning of the events that arrived before a time, in steps by their number."""

    _after: tuple[float, int] = (0.0, 0)

    def _take(self, connection: Connection | None) -> bool:
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
            row["seq"] for row in rows if row["seq"] < first and self.is_closed(row["order_id"])
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


@dataclass(slots=True)
class HistoryPruning(Pruning):
    """The pruning of executions that ended before a time, with their histories."""

    _after: int = 0

    def _take(self, connection: Connection | None) -> bool:
        rows = self.database.rows(
            "select id, name, order_id, started_at, ended_at from executions where id > ?"
            " order by id limit ?",
            self._after,
            BATCH,
        )
        pruned = []
        for row in rows:
            ended = row["ended_at"] is not None and row["ended_at"] < self.before
            if ended and not self.items.mention(row["name"]) and self.is_closed(row["order_id"]):
                pruned.append((row["id"],))
        self.found.counts["executions"] += len(pruned)
        if connection is not None:
            connection.executemany("delete from history where execution_id = ?", pruned)
            connection.executemany("delete from execution_redrives where execution_id = ?", pruned)
            connection.executemany("delete from executions where id = ?", pruned)
        if rows:
            self._after = rows[-1]["id"]
        # later ids began later, so that a step of young ones is the last
        return len(rows) == BATCH and any(row["started_at"] < self.before for row in rows)
