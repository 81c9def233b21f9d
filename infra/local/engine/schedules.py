"""Schedules: invoke functions at a rate or by a cron expression in UTC."""

from typing import Any
from uuid import uuid4

from infra.local.directory.crash_marker import Kind
from infra.local.directory.journal import Journal
from infra.local.engine.backlog import NEVER
from infra.local.engine.component import Component
from infra.local.engine.error_boundary import Boundary
from infra.local.template.loader import ACCOUNT, REGION
from infra.local.template.schedule_expressions import next_time
from infra.local.template.stack import Schedule, Stack
from infra.local.workers.invocations import Invoke, Result
from kernel.clock import timestamp


class Schedules(Component):
    """The schedules of a stack; a missed one runs once, at the start."""

    def __init__(
        self, stack: Stack, journal: Journal, invoke: Invoke, boundary: Boundary, now: float
    ) -> None:
        self.stack = stack
        self.journal = journal
        self.invoke = invoke
        self.boundary = boundary
        rows = journal.database.rows("select * from schedules")
        planned = {(row["name"], row["expression"]): row["next_at"] for row in rows}
        self.due: dict[str, float] = {}
        for schedule in stack.schedules:
            next_at = planned.get((schedule.name, schedule.expression))
            self._plan(
                schedule, next_time(schedule.expression, now) if next_at is None else next_at
            )

    def _plan(self, schedule: Schedule, at: float) -> None:
        """Journal when a schedule is next due, so that a restart keeps its rhythm."""
        self.due[schedule.name] = at
        self.journal.batch.add(
            "insert or replace into schedules values (?, ?, ?)",
            schedule.name,
            schedule.expression,
            at,
        )

    def work(self, now: float) -> bool:
        """Invoke the functions of due schedules; return whether there was any."""
        worked = False
        for number, schedule in enumerate(self.stack.schedules):
            if self.due[schedule.name] <= now:
                worked = True
                self._plan(schedule, next_time(schedule.expression, now))
                self.boundary.attempt(Kind.SCHEDULE, number, self._invoke, schedule, now)
        return worked

    def run(self, schedule: Schedule, now: float) -> None:
        """Invoke a schedule's function now, and plan the next time."""
        self._plan(schedule, next_time(schedule.expression, now))
        self._invoke(schedule, now)

    def _invoke(self, schedule: Schedule, now: float) -> None:
        self.invoke(schedule.function, _event(schedule, now), _ignore)

    def quarantine(self, number: int, reason: str, now: float) -> None:  # noqa: ARG002
        """Skip one run of a schedule; the next is planned."""
        schedule = self.stack.schedules[number]
        self._plan(schedule, next_time(schedule.expression, now))

    def next_due(self) -> float:
        """Return when the next schedule is due."""
        return min(self.due.values(), default=NEVER)


def _ignore(result: Result, now: float) -> None:
    """Ignore the result: the function logs its own errors and runs again next time."""


def _event(schedule: Schedule, now: float) -> dict[str, Any]:
    """Return the event that EventBridge Scheduler sends."""
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
