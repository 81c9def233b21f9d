"""Random ids that begin with their time: UUID version 7 (RFC 9562, section 5.7).

Rows with such ids are found by an index on their time, so that the ids need no index of their own.
"""

from os import urandom
from uuid import UUID

_VERSION = 7
_FIXED_BITS = 0xF << 76 | 0b11 << 62
_FIXED_VALUES = _VERSION << 76 | 0b10 << 62
"""The places and the values of the version and the variant (RFC 9562, UUID version 7)."""


def time_ordered_id(seconds: float) -> str:
    """Return a new id of a time in epoch seconds."""
    random = int.from_bytes(urandom(10), "big") & ~_FIXED_BITS
    text = f"{int(seconds * 1000) << 80 | _FIXED_VALUES | random:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def milliseconds_of(text: str) -> int | None:
    """Return the time of an id in epoch milliseconds, or ``None`` for an id of another form."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value.int >> 80 if value.version == _VERSION else None
