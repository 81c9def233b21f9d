"""Receive messages of a queue for a client of SQS: hide them for the visibility timeout.

A message is hidden by a row of the turn's batch, which no query can read before the commit. So
the messages that an earlier request of the same turn has received are left out by their ids.
"""

from typing import Any, NamedTuple

from infra.local.directory.journal import Journal


class Messages(NamedTuple):
    """The messages in a table of the journal: ``messages`` or ``local_messages``."""

    journal: Journal
    table: str

    def receive(self, queue: str, limit: int, seconds: float, now: float) -> list[Any]:
        """Return the visible messages of a queue, oldest first, and hide them for some seconds."""
        batch = self.journal.batch
        hide = f"update {self.table} set visible_at = ?, receives = receives + 1 where id = ?"
        hidden = {number for _, number in batch.rows_of(hide)}
        rows = self.journal.database.rows(
            f"select * from {self.table} where queue = ? and visible_at <= ?"
            " order by visible_at, id limit ?",
            queue,
            now,
            limit + len(hidden),
        )
        received = [row for row in rows if row["id"] not in hidden][:limit]
        for row in received:
            batch.add(hide, now + seconds, row["id"])
        return received
