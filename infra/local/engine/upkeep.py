"""Upkeep of a data directory by its server, between two turns of the engine."""

from typing import Protocol

LONGEST = 1.0
"""Seconds for which an idle engine waits at most."""


class Upkeep(Protocol):
    """A task that is short each time, and that never raises an error."""

    @property
    def patience(self) -> float:
        """Seconds until an idle engine has to call `observe` again."""

    def observe(self, now: float, *, busy: bool) -> None:
        """Do the due work. ``now`` is a monotonic time in seconds, ``busy`` the turn's result."""
