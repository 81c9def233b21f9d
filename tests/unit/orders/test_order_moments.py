"""Times in an order's life: which runs are one."""

from orders.model import resume
from tests.fakes.records import NOW, order


def test_runs_requested_within_a_minute_have_one_name() -> None:
    minute = NOW // 60 * 60
    first, *others = [resume(order(), minute + seconds, "c") for seconds in (0, 1, 59.9, 60)]
    assert [run == first for run in others] == [True, True, False]
