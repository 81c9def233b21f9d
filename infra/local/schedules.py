"""Schedules: functions invoked at a rate or by the clock (UTC)."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from cronsim import CronSim, CronSimError

from infra.local.backlog import NEVER
from infra.local.invocations import Invoke, Result
from infra.local.journal import Journal
from infra.local.resources import Schedule, Stack
from infra.local.template import ACCOUNT, REGION, TemplateError
from shared.clock import timestamp

_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
_SECONDS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}


class Schedules:
    """The schedules of a stack; one that was missed runs once, at once."""

    def __init__(self, stack: Stack, journal: Journal, invoke: Invoke, now: float) -> None:
        self.stack = stack
        self.journal = journal
        self.invoke = invoke
        kept = {
            row["name"]: row["next_at"] for row in journal.database.rows("select * from schedules")
        }
        self.due = {
            schedule.name: kept.get(schedule.name, next_time(schedule.expression, now))
            for schedule in stack.schedules
        }

    def work(self, now: float) -> bool:
        """Invoke what is due; return whether there was any."""
        found = False
        for schedule in self.stack.schedules:
            if self.due[schedule.name] <= now:
                found = True
                self.run(schedule, now)
        return found

    def run(self, schedule: Schedule, now: float) -> None:
        """Invoke a schedule's function, and set when it is next due."""
        self.due[schedule.name] = next_time(schedule.expression, now)
        self.journal.batch.add(
            "insert or replace into schedules values (?, ?)", schedule.name, self.due[schedule.name]
        )
        self.invoke(schedule.function, _event(schedule, now), _ignore)

    def next_due(self) -> float:
        """Return when the next schedule is due."""
        return min(self.due.values(), default=NEVER)


def _ignore(result: Result, now: float) -> None:
    """A schedule's function logs its own errors, and runs again next time."""


def next_time(expression: str, after: float) -> float:
    """Return when an expression is next due, in epoch seconds.

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
        raise TemplateError("ScheduleExpression", f"{expression!r} is not supported on one machine")
    # AWS counts Sunday as 1 and writes ? for no restriction; weekdays by name mean the same here
    fields = " ".join(field.replace("?", "*") for field in cron.groups()[:5])
    try:
        return next(CronSim(fields, datetime.fromtimestamp(after, UTC))).timestamp()
    except CronSimError as error:
        raise TemplateError("ScheduleExpression", f"{expression!r}: {error}") from None


def _event(schedule: Schedule, now: float) -> dict[str, Any]:
    """Return what EventBridge Scheduler sends."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": timestamp(now).split(".")[0] + "Z",
        "region": REGION,
        "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{schedule.name}"],
        "detail": "{}",
    }
