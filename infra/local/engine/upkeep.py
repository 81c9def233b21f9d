"""Upkeep of a data directory by its server, between two turns of the engine."""

from typing import Protocol


class Upkeep(Protocol):
    """A task that is short each time, and that never raises an error."""

    def observe(self, now: float, *, busy: bool) -> None:
        """Do the due work. ``now`` is a monotonic time in seconds, ``busy`` the turn's result."""
