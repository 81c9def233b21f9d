"""Times in an order's life: which change came later, and which runs are one."""

import pytest

from orders.model import Amendment, amend, resume
from shared.errors import ChangeRefused
from tests.fakes.records import NOW, order

NOON = "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (NOON, "2026-01-31T12:00:00.001Z"),
        ("2026-01-31T13:30:00+02:00", NOON),  # which reads as later, and is half an hour earlier
        (NOON, "2026-01-31T07:30:00-05:00"),
        ("2026-01-31T12:00:00+00:00", NOON),  # the same moment: the one that came last counts
    ],
)
def test_the_later_change_counts_whatever_time_zone_it_speaks_in(before: str, after: str) -> None:
    changed = order(amended_at=before, email="a@example.com")
    change = amend(changed, Amendment(None, "b@example.com", after), NOW)
    assert change is not None
    assert (change.after.email, change.after.amended_at) == ("b@example.com", after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-01-31T12:00:00.001Z", NOON),
        (NOON, "2026-01-31T13:30:00+02:00"),
        ("2026-01-31T07:30:00-05:00", NOON),
    ],
)
def test_an_earlier_change_that_comes_late_is_refused(before: str, after: str) -> None:
    changed = order(amended_at=before, email="a@example.com")
    with pytest.raises(ChangeRefused, match="which is later"):
        amend(changed, Amendment(None, "b@example.com", after), NOW)


def test_runs_that_are_asked_for_within_a_minute_are_one() -> None:
    minute = NOW // 60 * 60
    first, *others = [resume(order(), minute + seconds, "c") for seconds in (0, 1, 59.9, 60)]
    assert [run == first for run in others] == [True, True, False]
