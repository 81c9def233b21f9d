"""A developer's own queues on one machine: targets of local rules, read by a client of SQS.

Their messages are in a table of their own: they are no work of the platform, and no dead letters.
"""

from typing import ClassVar

from infra.local.directory.journal import Journal
from infra.local.engine.targets import UNLIMITED, Delivery
from infra.local.template.stack import Target

MAX_MESSAGES = 10_000
"""Messages of a queue; a new one replaces the oldest."""

RETENTION = 4 * 86_400.0
"""Seconds for which a message is kept (SQS, MessageRetentionPeriod: the default)."""

_INSERT = "insert into local_messages values (?, ?, ?, ?, ?, 0)"
_TRIM = (
    "delete from local_messages where queue = ?1 and id <= (select id from local_messages"
    f" where queue = ?1 order by id desc limit 1 offset {MAX_MESSAGES})"
)


class LocalQueueTarget:
    """A local queue as a rule target: the event becomes a message."""

    kind: ClassVar[str] = "local_queue"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._sent: dict[str, int] = {}

    def room(self) -> int:
        """Return `UNLIMITED`: the messages are in the journal."""
        return UNLIMITED

    def deliver(self, target: Target, delivery: Delivery, now: float) -> None:
        """Add the event to the queue; from time to time delete messages beyond `MAX_MESSAGES`."""
        number = self._journal.next_id("local_messages")
        self._journal.batch.add(_INSERT, number, target.name, delivery.envelope, now, now)
        sent = self._sent[target.name] = self._sent.get(target.name, 0) + 1
        if sent % 1_000 == 0:
            self._journal.batch.add(_TRIM, target.name)

    def forget(self, now: float) -> None:
        """Delete messages past their retention."""
        self._journal.batch.add("delete from local_messages where sent_at < ?", now - RETENTION)
