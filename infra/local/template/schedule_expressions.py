"""Compute the next time of a schedule expression: ``rate(…)``, or ``cron(…)`` in UTC."""

import re
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from infra.local.template.errors import TemplateError

_PLACE = "ScheduleExpression"
_RATE = re.compile(r"rate\(([1-9]\d{0,8}) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_SECONDS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}


def problem_with(expression: object) -> str | None:
    """Return the problem with an expression, or None."""
    try:
        next_time(str(expression), 0.0)
    except TemplateError as error:
        return error.problem
    return None


def next_time(expression: str, after: float) -> float:
    """Return the next time of an expression after a time, in epoch seconds.

    Raises
    ------
    TemplateError
        Neither ``rate(…)`` nor a ``cron(…)`` of minutes, hours, days and months of every year.
    """
    rate = _RATE.fullmatch(expression)
    if rate:
        return after + int(rate[1]) * _SECONDS[rate[2]]
    cron = _CRON.fullmatch(expression)
    if cron is None or cron[6] != "*" or re.search(r"[\dL#W]", cron[5]):
        raise TemplateError(_PLACE, f"{expression!r} is not supported on one machine")
    # In AWS, Sunday is 1 and ? means no restriction; names of weekdays mean the same in cronsim
    fields = " ".join(field.replace("?", "*") for field in cron.groups()[:5])
    try:
        return next(CronSim(fields, datetime.fromtimestamp(after, UTC))).timestamp()
    except CronSimError as error:
        raise TemplateError(_PLACE, f"{expression!r}: {error}") from None
