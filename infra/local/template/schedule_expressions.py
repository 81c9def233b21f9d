"""Compute the next time of a schedule expression: ``rate(…)``, or ``cron(…)`` in UTC."""

import math
import re
from datetime import UTC, datetime
from functools import lru_cache

from infra.local.template.cron import Cron, InvalidCron
from infra.local.template.errors import TemplateError

_PLACE = "ScheduleExpression"
_RATE = re.compile(r"rate\(([1-9]\d{0,8}) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_SECONDS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}


def problem_with(expression: object) -> str | None:
    """Return the problem with an expression, or None."""
    try:
        never = next_time(str(expression), 0.0) == math.inf
    except TemplateError as error:
        return error.problem
    return f"{expression!r} is at no time" if never else None


def next_time(expression: str, after: float) -> float:
    """Return the next time of an expression after a time, in epoch seconds; infinity if none.

    Raises
    ------
    TemplateError
        Neither ``rate(…)`` nor a ``cron(…)`` as EventBridge has it.
    """
    rate = _RATE.fullmatch(expression)
    if rate:
        return after + int(rate[1]) * _SECONDS[rate[2]]
    following = _cron(expression).after(datetime.fromtimestamp(after, UTC))
    return math.inf if following is None else following.timestamp()


@lru_cache(maxsize=64)
def _cron(expression: str) -> Cron:
    fields = _CRON.fullmatch(expression)
    if fields is None:
        kinds = "rate(5 minutes), or cron of six fields such as cron(0 9 * * ? *)"
        raise TemplateError(_PLACE, f"{expression!r} is none of: {kinds}")
    try:
        return Cron(fields.groups())
    except InvalidCron as error:
        raise TemplateError(_PLACE, f"{expression!r}: {error}") from None
