"""Simulated runs keep every promise, whatever befalls them; and tell the same story again."""

import os
import random
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.faults import Kind
from tests.simulation.model import ENDS
from tests.simulation.plan import plan
from tests.simulation.runs import mutation, play_all, report
from tests.simulation.shrink import shrink, smaller
from tests.simulation.world import Told, World

FIXED = range(1, 101)
FRESH = 20
REASONS = {"CarrierError", "OutOfStock", "PaymentDeclined", "PaymentUnavailable", "UnknownSku"}


@pytest.fixture(scope="module")
def played() -> list[Told]:
    """Seeds that are always the same, and some that nobody played before."""
    fresh = [random.randrange(1 << 32) for _ in range(FRESH)]
    return list(play_all([*FIXED, *fresh], jobs=2))


def test_every_promise_is_kept(played: list[Told]) -> None:
    failed = [told for told in played if told.broken]
    assert not failed, report(failed[0])


def test_the_mix_reaches_every_end_and_every_fault(played: list[Told]) -> None:
    counts: Counter[str] = sum((told.counts for told in played), Counter())
    ends = {what.partition(" ")[0] for what in counts}
    reasons = {what.partition(" ")[2] for what in counts}
    assert ends >= ENDS
    assert reasons >= REASONS
    assert counts.keys() >= set(Kind)


def test_a_seed_tells_the_same_story_in_any_process() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seed", "51"]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    elsewhere = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert elsewhere.stdout.splitlines() == [*World(51).play().story, "every promise is kept"]


def test_a_seed_that_fails_is_told_in_short() -> None:
    mutate = mutation("receipt counted twice")
    told = next(
        told for seed in FIXED if (told := World(seed, mutate=mutate).play()).rule == "stock"
    )
    part, shortest = shrink(told, mutate)
    assert shortest.rule == "stock"
    assert part.actions is not None
    assert len(part.actions) <= 5 < len(plan(told.seed))
    assert part.faults == frozenset()
    assert World(told.seed, part, mutate=mutate).play().story == shortest.story


@pytest.mark.parametrize(
    ("needed", "left"), [({3, 7}, [3, 7]), (set(), []), ({0}, [0]), (set(range(9)), [*range(9)])]
)
def test_what_is_not_needed_is_left_out(needed: set[int], left: list[int]) -> None:
    assert smaller(range(9), lambda some: needed <= set(some)) == left
