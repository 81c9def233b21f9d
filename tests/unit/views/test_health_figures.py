"""Percentiles of a histogram, and the words of the health."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.directory.measure_buckets import BOUNDS, UNBOUNDED
from infra.local.orderflow import is_dead_letter_queue
from infra.local.stack_loader import load
from infra.local.template.project import TEMPLATE
from infra.views.health import Disk, Sink, needs_of_totals, percentile, plural, waits_for


def test_without_a_value_there_is_no_percentile() -> None:
    assert percentile({}, BOUNDS, 0.5) is None


def test_a_value_above_every_bound_is_the_last_bound() -> None:
    assert percentile({UNBOUNDED: 3}, BOUNDS, 0.99) == BOUNDS[-1]


@given(st.lists(st.floats(0.001, 10_000), min_size=1), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    buckets: dict[int, int] = {}
    for value in values:
        bucket = next(n for n, bound in enumerate(BOUNDS) if value <= bound)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    ordered = sorted(values)
    rank = next(n for n in range(len(ordered)) if n + 1 >= share * len(ordered))
    found = percentile(buckets, BOUNDS, share)
    assert found is not None
    bucket = next(n for n, bound in enumerate(BOUNDS) if ordered[rank] <= bound)
    assert (BOUNDS[bucket - 1] if bucket else 0.0) <= found <= BOUNDS[bucket]


def test_a_median_is_close_to_the_true_one() -> None:
    chance = random.Random(1)
    values = sorted(chance.lognormvariate(0, 1) for _ in range(10_001))
    buckets: dict[int, int] = {}
    for value in values:
        bucket = next(n for n, bound in enumerate(BOUNDS) if value <= bound)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    assert percentile(buckets, BOUNDS, 0.5) == pytest.approx(values[5_000], rel=0.1)


@pytest.mark.parametrize(
    ("number", "noun", "verb", "expected"),
    [
        (1, "order", "wait for stock", "1 order waits for stock"),
        (2, "order", "wait for stock", "2 orders wait for stock"),
        (1, "refund", "are", "1 refund is"),
        (1_000, "order", "have", "1,000 orders have"),
        (1, "order", "have", "1 order has"),
        (3, "letter", "", "3 letters"),
    ],
)
def test_a_number_and_its_verb_agree(number: int, noun: str, verb: str, expected: str) -> None:
    assert plural(number, noun, verb) == expected


def test_an_unknown_reason_of_a_wait_is_named() -> None:
    assert waits_for("OutOfStock") == "stock"
    assert waits_for("Odd") == "a retry after Odd"
    assert waits_for(None) == "its next attempt"


def test_a_late_sink_and_a_full_disk_need_somebody() -> None:
    assert list(needs_of_totals(Sink(3, 60.0), Disk(10**9, 1, 1))) == []
    kinds = [need.kind for need in needs_of_totals(Sink(3, 901.0), Disk(10**8, 1, 1))]
    assert kinds == ["sink", "disk"]


def test_dead_letter_queues_are_known_by_name() -> None:
    stack = load(TEMPLATE, {}, lambda _variable, value: value)
    named = {name for name in stack.queues if is_dead_letter_queue(name)}
    assert named == set(stack.dead_letter_queues)
