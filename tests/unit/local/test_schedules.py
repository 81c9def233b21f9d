"""Schedules: due times, the event of a run, and a single run for missed ones."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.local.directory.journal import Journal
from infra.local.engine.schedules import Schedules
from infra.local.template.errors import TemplateError
from infra.local.template.schedule_expressions import next_time, problem_with
from infra.local.template.stack import Schedule, Stack
from infra.local.workers.invocations import OnResult, Result
from storage.sqlite.database import Database
from tests.fakes.boundary import open_boundary


def at(text: str) -> float:
    """Return a moment in epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


FRIDAY = at("2027-01-15T08:00:00")


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("rate(1 minute)", "2027-01-15T08:01:00"),
        ("rate(5 minutes)", "2027-01-15T08:05:00"),
        ("rate(1 hour)", "2027-01-15T09:00:00"),
        ("rate(2 days)", "2027-01-17T08:00:00"),
        ("cron(0 9 * * ? *)", "2027-01-15T09:00:00"),
        ("cron(0 8 * * ? *)", "2027-01-16T08:00:00"),
        ("cron(*/15 * * * ? *)", "2027-01-15T08:15:00"),
        ("cron(30 6 1 * ? *)", "2027-02-01T06:30:00"),
        ("cron(0 9 ? * MON-FRI *)", "2027-01-15T09:00:00"),
        ("cron(0 7 ? * MON *)", "2027-01-18T07:00:00"),
        ("cron(0 0 29 2 ? *)", "2028-02-29T00:00:00"),
        ("cron(0 9 ? * 2 *)", "2027-01-18T09:00:00"),
        ("cron(0 9 ? * 1,7 *)", "2027-01-16T09:00:00"),
        ("cron(0 9 ? * SAT-MON *)", "2027-01-16T09:00:00"),
        ("cron(0 9 ? * L *)", "2027-01-16T09:00:00"),
        ("cron(0 9 ? * 6L *)", "2027-01-29T09:00:00"),
        ("cron(0 9 ? * MON#1 *)", "2027-02-01T09:00:00"),
        ("cron(0 9 ? * 7#5 *)", "2027-01-30T09:00:00"),
        ("cron(0 9 ? FEB-APR 2#5 *)", "2027-03-29T09:00:00"),
        ("cron(0 9 L * ? *)", "2027-01-31T09:00:00"),
        ("cron(0 9 L-3 * ? *)", "2027-01-28T09:00:00"),
        ("cron(0 9 LW * ? *)", "2027-01-29T09:00:00"),
        ("cron(0 9 16W * ? *)", "2027-01-15T09:00:00"),
        ("cron(0 9 17W * ? *)", "2027-01-18T09:00:00"),
        ("cron(0 9 1W MAY ? 2027)", "2027-05-03T09:00:00"),
        ("cron(0 9 31W * ? *)", "2027-01-29T09:00:00"),
        ("cron(0 22-6/4 * * ? *)", "2027-01-15T22:00:00"),
        ("cron(1/10 8 * * ? *)", "2027-01-15T08:01:00"),
        ("cron(0 9 * * ? 2030-2031)", "2030-01-01T09:00:00"),
    ],
)
def test_the_next_time_of_an_expression_is_in_utc(expression: str, due: str) -> None:
    assert next_time(expression, FRIDAY) == at(due)


@pytest.mark.parametrize(
    "expression",
    [
        "every day",
        "rate(5 fortnights)",
        "rate(five minutes)",
        "rate(-5 minutes)",
        pytest.param(
            "rate(0 minutes)",
        ),
        "at(2027-01-15T08:00:00)",
        "cron(0 9 * * ?)",
        "cron(0 12 1 * MON *)",
        "cron(0 12 * * * *)",
        "cron(34 12 * * SAT *)",
        "cron(0 10 ? * ? *)",
        "cron(? 12 * * ? *)",
        "cron(0 9 ? * 0 *)",
        "cron(0 9 ? * 8 *)",
        "cron(0 9 ? * 3#1,6#3 *)",
        "cron(0 9 ? * 3#6 *)",
        "cron(0 9 ? * 2/2 *)",
        "cron(0 9 1,15W * ? *)",
        "cron(0 9 L,15 * ? *)",
        "cron(0 9 L-31 * ? *)",
        "cron(0/0 9 * * ? *)",
        "cron(0 9 * * ? 2200)",
        "cron(0 9 * * ? 2031-2030)",
        "cron(99 9 * * ? *)",
        "",
    ],
)
def test_an_invalid_expression_is_refused(expression: str) -> None:
    with pytest.raises(TemplateError, match="ScheduleExpression"):
        next_time(expression, FRIDAY)


def test_a_schedule_whose_last_time_is_past_is_never_due() -> None:
    assert next_time("cron(0 9 1 1 ? 2020)", FRIDAY) == math.inf
    assert problem_with("cron(0 9 1 1 ? 2020)") is None


def test_a_date_that_no_year_has_is_refused() -> None:
    assert problem_with("cron(0 0 30 2 ? *)") == "'cron(0 0 30 2 ? *)' is at no time"


def test_a_refusal_names_the_field_and_its_values() -> None:
    assert problem_with("cron(0 9 ? * MOO *)") == (
        "'cron(0 9 ? * MOO *)': day-of-week 'MOO' has 'MOO'; values are 1 to 7 or SUN to SAT"
    )


# ---- running


class Rig:
    """Schedules over a journal, with a record of their function calls."""

    def __init__(self, folder: Path, *schedules: Schedule) -> None:
        self.database = Database(str(folder / "journal.db"))
        self.stack = Stack(schedules=list(schedules))
        self.calls: list[tuple[str, Any]] = []
        self.done: list[OnResult] = []

    def start(self, now: float) -> Schedules:
        """Start a process."""
        self.journal = Journal(self.database)
        return Schedules(self.stack, self.journal, self._invoke, open_boundary(self.journal), now)

    def work(self, schedules: Schedules, now: float) -> bool:
        """Take a turn and commit it."""
        found = schedules.work(now)
        self.journal.commit()
        return found

    def _invoke(self, function: str, payload: Any, done: OnResult) -> int:
        self.calls.append((function, payload))
        self.done.append(done)
        return len(self.calls)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(
        tmp_path,
        Schedule("Often", "Reconcile", "rate(5 minutes)"),
        Schedule("Daily", "Report", "cron(0 9 * * ? *)"),
    )
    yield opened
    opened.database.close()


def called(rig: Rig) -> list[str]:
    """Return the called functions."""
    return [name for name, _ in rig.calls]


def test_a_schedule_runs_when_it_is_due_and_not_before(rig: Rig) -> None:
    schedules = rig.start(FRIDAY)
    assert schedules.next_due() == FRIDAY + 300
    assert not rig.work(schedules, FRIDAY + 299)
    assert rig.work(schedules, FRIDAY + 300)
    assert called(rig) == ["Reconcile"]
    assert schedules.next_due() == FRIDAY + 600
    assert not rig.work(schedules, FRIDAY + 301)


def test_a_function_gets_the_event_of_eventbridge_scheduler(rig: Rig) -> None:
    schedules = rig.start(FRIDAY)
    rig.work(schedules, FRIDAY + 300)
    [(_, event)] = rig.calls
    assert event.pop("id")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "000000000000",
        "time": "2027-01-15T08:05:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:scheduler:us-east-1:000000000000:schedule/default/Often"],
        "detail": "{}",
    }


def test_a_missed_schedule_runs_once_at_the_start(rig: Rig) -> None:
    schedules = rig.start(FRIDAY)
    rig.work(schedules, FRIDAY + 300)
    rig.calls.clear()
    later = rig.start(FRIDAY + 5_000)
    rig.work(later, FRIDAY + 5_000)
    assert called(rig).count("Reconcile") == 1
    assert not rig.work(later, FRIDAY + 5_001)
    assert later.next_due() == FRIDAY + 5_300


def test_a_missed_schedule_that_never_ran_runs_too(rig: Rig) -> None:
    rig.work(rig.start(FRIDAY), FRIDAY + 1)
    at_ten = at("2027-01-15T10:00:00")
    rig.work(rig.start(at_ten), at_ten)
    assert "Report" in called(rig)


def test_restarts_more_frequent_than_the_rate_do_not_delay_a_schedule(rig: Rig) -> None:
    for minute in range(12):
        now = FRIDAY + 60 * minute
        rig.work(rig.start(now), now)
    assert called(rig).count("Reconcile") == 2


def test_a_changed_expression_replaces_the_planned_time(rig: Rig) -> None:
    rig.stack.schedules[0] = Schedule("Often", "Reconcile", "rate(30 days)")
    schedules = rig.start(FRIDAY)
    schedules.run(rig.stack.schedules[0], FRIDAY)
    rig.journal.commit()
    rig.stack.schedules[0] = Schedule("Often", "Reconcile", "rate(5 minutes)")
    assert rig.start(FRIDAY + 60).due["Often"] <= FRIDAY + 360


def test_a_manual_run_plans_the_next_time_from_then(rig: Rig) -> None:
    schedules = rig.start(FRIDAY)
    schedules.run(rig.stack.schedules[0], FRIDAY + 100)
    assert called(rig) == ["Reconcile"]
    assert schedules.next_due() == FRIDAY + 400


def test_a_failing_function_runs_again_at_the_next_time(rig: Rig) -> None:
    schedules = rig.start(FRIDAY)
    rig.work(schedules, FRIDAY + 300)
    error = {"errorType": "Oops", "errorMessage": "no"}
    rig.done[0](Result(1, None, error, [], 0.1), FRIDAY + 301)
    assert rig.work(schedules, FRIDAY + 600)
    assert called(rig) == ["Reconcile", "Reconcile"]


def test_without_schedules_nothing_is_ever_due(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.start(FRIDAY).next_due() == float("inf")
    rig.database.close()
