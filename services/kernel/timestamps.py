"""RFC 3339 times: text and ``datetime``."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from kernel.wrong_value import WrongValue


@lru_cache(maxsize=64)
def timestamp(seconds: float) -> str:
    """Return an RFC 3339 time in UTC with milliseconds, such as ``2026-01-31T12:00:00.000Z``."""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?P<second>[0-5]\d|60)(?:\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)


def moment(text: str) -> datetime:
    """Parse an RFC 3339 time; return it in UTC.

    A leap second becomes the second after it, as in POSIX: ``datetime`` has no leap seconds.

    Raises
    ------
    WrongValue
        The text is not an RFC 3339 time with a zone, or its year in UTC is not from 1 to 9999; the
        message names the problem.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise WrongValue(
            repr(text),
            "is not an RFC 3339 time; send one with its zone, such as 2026-01-31T12:00:00Z",
        )
    normal = text.upper()  # "t" and "z" are allowed (RFC 3339, section 5.6)
    leap = match["second"] == "60"
    if leap:
        start = match.start("second")
        normal = f"{normal[:start]}59{normal[start + 2 :]}"
    try:
        at = datetime.fromisoformat(normal).astimezone(UTC)
        if leap:
            at = at.replace(microsecond=0) + timedelta(seconds=1)
    except OverflowError:
        raise WrongValue(repr(text), "is outside the years 1 to 9999 in UTC") from None
    except ValueError:
        raise WrongValue(
            repr(text),
            "is not a calendar day from year 1 to 9999; send one such as 2026-01-31T12:00:00Z",
        ) from None
    if leap and (at.day, at.hour, at.minute) != (1, 0, 0):
        raise WrongValue(
            repr(text), "has a second 60; a leap second is only at the end of a month in UTC"
        )
    return at
