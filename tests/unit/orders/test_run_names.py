"""Runs of one order that are requested within a minute have one name."""

from orders.model import resume
from tests.fakes.records import NOW, order


def test_runs_requested_within_a_minute_have_one_name() -> None:
    minute = NOW // 60 * 60
    first, *others = [resume(order(), minute + seconds, "c") for seconds in (0, 1, 59.9, 60)]
    assert [run == first for run in others] == [True, True, False]
