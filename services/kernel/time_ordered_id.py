"""Random ids that begin with their time: UUID version 7 (RFC 9562, section 5.7).

Rows with such ids are found by an index on their time, so that the ids need no index of their own.
"""

from uuid import UUID, uuid4

_VERSION = 7


def time_ordered_id(seconds: float) -> str:
    """Return a new id of a time in epoch seconds."""
    at, rest = f"{int(seconds * 1000):012x}", uuid4().hex
    return f"{at[:8]}-{at[8:]}-{_VERSION}{rest[13:16]}-{rest[16:20]}-{rest[20:]}"


def milliseconds_of(text: str) -> int | None:
    """Return the time of an id in epoch milliseconds, or ``None`` for an id of another form."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value.int >> 80 if value.version == _VERSION else None
