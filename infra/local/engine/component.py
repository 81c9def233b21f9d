"""The seam between the engine and its components."""

from typing import Protocol


class Component(Protocol):
    """A part of the engine: bus, queues, executions, streams, schedules.

    A component reads what is due from the journal, handles each item within the error boundary, and
    adds its writes to the turn's batch. The engine commits the turn, then calls `committed`.
    """

    def resume(self, now: float) -> None:
        """Take up again what a process that is gone was working on."""

    def work(self, now: float) -> bool:
        """Handle what is due; return whether there was anything."""

    def next_due(self) -> float:
        """Return when something is due next, in epoch seconds; infinity if nothing ever is."""

    def committed(self) -> None:
        """Make visible to this component what the turn added."""

    def put_aside(self, number: int, reason: str, now: float) -> None:
        """End an item that ended the process twice, as its own failure would."""
