"""Times on the command line: a date, a time, or an age such as 2h."""

import re
import time
from datetime import UTC, datetime, timedelta

import typer

_AGE = re.compile(r"(\d{1,6})(m|h|d)")
_SECONDS = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DAYS = {"today": 0, "yesterday": 1}


def moment_of(option: str, text: str | None) -> float | None:
    """Return a time in epoch seconds; a time without a zone is in UTC.

    Raises
    ------
    typer.BadParameter
        The text is no time; the message names the option.
    """
    if text is None:
        return None
    age = _AGE.fullmatch(text)
    if age is not None:
        return time.time() - int(age[1]) * _SECONDS[age[2]]
    if text in _DAYS:
        day = datetime.now(UTC).date() - timedelta(days=_DAYS[text])
        text = day.isoformat()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option}: {text!r} is no time; write 2026-01-31, 2026-01-31T12:00, today, yesterday,"
            " or an age such as 30m, 2h or 3d"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
