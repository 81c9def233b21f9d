"""The preview of a replay asks CloudWatch for data that it still has, in few points."""

import pytest

from infra.deployed.matched_events import DAY, HOUR, MINUTE, period_of

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("age", "length", "period"),
    [
        (HOUR, HOUR, MINUTE),
        (14 * DAY, HOUR, MINUTE),
        (DAY, DAY, 5 * MINUTE),
        (20 * DAY, HOUR, 5 * MINUTE),
        (62 * DAY, 20 * DAY, HOUR),
        (64 * DAY, HOUR, HOUR),
        (300 * DAY, 300 * DAY, DAY),
    ],
)
def test_a_period_is_one_that_is_kept_and_gives_few_points(
    age: float, length: float, period: int
) -> None:
    begin = NOW - age
    assert period_of(begin, begin + length, NOW) == period
