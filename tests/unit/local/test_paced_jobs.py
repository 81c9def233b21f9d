"""A paced job that is due has an item due, whatever rounding does to its times."""

import random

import pytest

from infra.local.engine.paced_jobs import PacedJob

SINCE = 1_769_860_821.2548857


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3, 1.0, 3.0, 7.0, 10.0, 30.0, 999.0])
def test_a_due_job_has_one_item_due_at_each_of_its_times(rate: float) -> None:
    job = PacedJob(started_at=SINCE, since=SINCE, position=0, rate=rate)
    for _ in range(1_000):
        now = max(job.next_at, SINCE)
        assert job.room(100, now) == 1
        job.handled += 1
        job.wait(now)
        assert job.next_at > now


@pytest.mark.parametrize("rate", [0.5, 3.0, 40.0])
def test_a_late_job_makes_up_for_its_delay_and_never_exceeds_its_pace(rate: float) -> None:
    chance, now = random.Random(7), SINCE
    job = PacedJob(started_at=SINCE, since=SINCE, position=0, rate=rate)
    for _ in range(500):
        now = max(now, job.next_at) + chance.choice([0.0, 0.001, 0.2, 5.0])
        job.handled += job.room(20, now)
        assert job.handled <= 1 + rate * (now - SINCE) + 1e-3
        job.wait(now)


def test_a_job_without_a_pace_takes_what_a_turn_allows() -> None:
    job = PacedJob(started_at=SINCE, since=SINCE, position=0, rate=None)
    assert job.room(100, SINCE) == 100
