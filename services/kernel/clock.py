"""The platform's clock, which a host can shift."""

import time

from kernel.timestamps import timestamp

__all__ = ["now", "shift", "timestamp"]

_offset = 0.0


def now() -> float:
    """Return the time in seconds since 1970-01-01 UTC."""
    return time.time() + _offset


def shift(offset: float) -> None:
    """Set how many seconds this process's clock is ahead of the computer's.

    Only a host that skips time calls it, but handlers read the clock, so it must be here.
    """
    global _offset  # noqa: PLW0603 - one clock for each process
    _offset = offset
