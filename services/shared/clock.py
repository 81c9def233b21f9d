"""The time, in one place, so that a host can move it."""

import time
from datetime import UTC, datetime

_offset = 0.0


def now() -> float:
    """Return the time in seconds since 1970-01-01 UTC."""
    return time.time() + _offset


def shift(offset: float) -> None:
    """Set how far this process's time is ahead of the machine's, in seconds."""
    global _offset  # noqa: PLW0603 - one clock a process, as the machine has
    _offset = offset


def timestamp(seconds: float) -> str:
    """Return an RFC 3339 time in UTC with milliseconds, such as ``2026-01-31T12:00:00.000Z``."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
