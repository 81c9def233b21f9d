"""The protocol between the engine and its components."""

from typing import TYPE_CHECKING

from infra.local.engine.backlog import NEVER

if TYPE_CHECKING:
    from infra.local.engine.crash_suspects import Suspects


class Component:
    """A part of the engine: outbox, bus, queues, executions, streams, schedules, dead letters.

    A component reads due rows from the journal, handles each item within the error boundary, and
    adds its writes to the turn's batch. The engine calls `resume` once, then in each turn `work`,
    `flush`, and after the commit `committed`.
    """

    def resume(self, suspects: "Suspects", now: float) -> None:
        """Resume the work of the process before this one (`infra.local.engine.recovery`)."""

    def work(self, now: float) -> bool:
        """Handle due items; return whether there was any."""
        raise NotImplementedError

    def next_due(self) -> float:
        """Return when the next item is due, in epoch seconds; infinity if none is."""
        return NEVER

    def flush(self, now: float) -> None:
        """Add to the turn's batch the state that this component gathered in memory."""

    def committed(self) -> None:
        """Make the rows that the turn added visible to this component."""

    def quarantine(self, number: int, reason: str, now: float) -> None:
        """End an item that ended the process twice, as the item's own failure would end it."""
