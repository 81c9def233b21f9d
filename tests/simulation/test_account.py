"""Simulated runs in a Lambda account with few executions, cold starts and calls that time out."""

from collections import Counter

import pytest

from infra.local.workers.account import Limits
from tests.simulation.runs import play_all, report
from tests.simulation.world import Part, SeedResult, World

SMALL = Limits(concurrency=2, timeouts=0.05, cold=6.0)
SATURATED = Limits(concurrency=1, timeouts=0.3, cold=9.0)
"""Most calls are throttled, and most others start cold: what a step retries is used up."""

NO_FAULTS = Part(faults=frozenset())


def broken(played: list[SeedResult], limits: Limits) -> str:
    """Return a report of the first seed that broke a promise, or an empty text."""
    failed = [result for result in played if result.broken]
    return report(failed[0], limits=limits) if failed else ""


@pytest.mark.parametrize("limits", [SMALL, SATURATED])
def test_limits_alone_undo_no_order_and_make_no_dead_letter(limits: Limits) -> None:
    played = list(play_all(range(1, 31), 2, limits=limits, part=NO_FAULTS))
    assert not broken(played, limits)
    counts: Counter[str] = sum((result.counts for result in played), Counter())
    assert counts["account: throttled"] > counts["account: begun"] / 3
    assert counts["account: timed_out"] > counts["account: begun"] * limits.timeouts / 2
    assert counts["account: cold"] > counts["account: begun"] / 5
    assert counts["COMPLETED"] > len(played)


def test_every_promise_is_kept_with_limits_and_every_other_fault() -> None:
    played = list(play_all(range(1, 41), 2, limits=SMALL))
    assert not broken(played, SMALL)
    assert sum(result.counts["account: throttled"] for result in played) > 0


def test_a_seed_has_the_same_trace_with_the_same_limits() -> None:
    assert World(3, limits=SMALL).play().trace == World(3, limits=SMALL).play().trace
    assert World(3, limits=SMALL).play().trace != World(3).play().trace
