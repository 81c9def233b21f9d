"""The time, in one place, so that a host can move it."""

import time

from kernel.timestamps import timestamp

__all__ = ["now", "shift", "timestamp"]

_offset = 0.0


def now() -> float:
    """Return the time in seconds since 1970-01-01 UTC."""
    return time.time() + _offset


def shift(offset: float) -> None:
    """Set how far this process's time is ahead of the machine's, in seconds."""
    global _offset  # noqa: PLW0603 - one clock a process, as the machine has
    _offset = offset
