"""Simulated runs keep every promise under any fault, and a seed always has the same trace."""

import fcntl
import os
import pickle
import random
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.faults import Kind
from tests.simulation.letters import OPERATOR
from tests.simulation.model import ENDS
from tests.simulation.operator_scripts import OPERATE
from tests.simulation.plan import plan
from tests.simulation.runs import mutation, play_all, report
from tests.simulation.shrink import shrink, smaller
from tests.simulation.world import SeedResult, World

FIXED = range(1, 101)
FRESH = 20
REASONS = {
    *("ApprovalExpired", "ApprovalRejected", "CarrierError", "OutOfStock"),
    *("PaymentDeclined", "PaymentUnavailable", "UnknownSku"),
}


@pytest.fixture(scope="module")
def played(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, testrun_uid: str
) -> list[SeedResult]:
    """Simulate a fixed set of seeds, and some random ones, in one of the processes of a test run.

    Source: pytest-xdist, "Making session-scoped fixtures execute only once".
    """
    own = tmp_path_factory.getbasetemp()
    file = (own if worker_id == "master" else own.parent) / f"played-{testrun_uid}"
    with file.open("ab+") as shared:
        fcntl.flock(shared, fcntl.LOCK_EX)
        shared.seek(0)
        if text := shared.read():
            results: list[SeedResult] = pickle.loads(text)  # noqa: S301 - our own
            return results
        fresh = [random.randrange(1 << 32) for _ in range(FRESH)]
        results = list(play_all([*FIXED, *fresh], jobs=2))
        shared.write(pickle.dumps(results))
    return results


def test_every_promise_is_kept(played: list[SeedResult]) -> None:
    failed = [result for result in played if result.broken]
    assert not failed, report(failed[0])


def test_the_mix_reaches_every_end_and_every_fault(played: list[SeedResult]) -> None:
    counts: Counter[str] = sum((result.counts for result in played), Counter())
    ends = {what.partition(" ")[0] for what in counts}
    reasons = {what.partition(" ")[2] for what in counts}
    assert ends >= ENDS
    assert reasons >= REASONS
    assert counts.keys() >= set(Kind)


SHARES = {
    **dict.fromkeys(("redriven", "discarded", "restored", "edited"), 0.1),
    **dict.fromkeys(("redrive group", "discard group", "undo", "replay"), 0.1),
    "mended order": 0.05,
    **dict.fromkeys(("cancel", "crash in a job", "cancelled in the middle"), 0.02),
    **dict.fromkeys(("pause", "resume", "refused spoil", "crash in a replay"), 0.01),
    **dict.fromkeys(("refused redrive", "refused restore", "refused undo"), 0.1),
}
"""The least share of seeds in which each operation of an operator takes effect, or is refused."""


def test_the_mix_reaches_every_operation_of_an_operator(played: list[SeedResult]) -> None:
    seeds = len(played)
    counts: Counter[str] = sum((result.counts for result in played), Counter())
    shares = {name: counts[f"{OPERATOR}{name}"] / seeds for name in SHARES}
    assert {name for name, least in SHARES.items() if shares[name] < least} == set(), shares


@pytest.mark.parametrize("seed", [6, 51])
def test_a_seed_has_the_same_trace_in_any_process(seed: int) -> None:
    """Seed 6 has operators."""
    assert any(action.do == OPERATE for action in plan(6))
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    elsewhere = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert elsewhere.stdout.splitlines() == [*World(seed).play().trace, "every promise is kept"]


def test_the_trace_of_a_failing_seed_is_shortened() -> None:
    mutate = mutation("receipt counted twice")
    result = next(
        result for seed in FIXED if (result := World(seed, mutate=mutate).play()).rule == "stock"
    )
    part, shortest = shrink(result, mutate)
    assert shortest.rule == "stock"
    assert part.actions is not None
    assert len(part.actions) <= 5 < len(plan(result.seed))
    assert part.faults == frozenset()
    assert World(result.seed, part, mutate=mutate).play().trace == shortest.trace


@pytest.mark.parametrize(
    ("needed", "remaining"),
    [({3, 7}, [3, 7]), (set(), []), ({0}, [0]), (set(range(9)), [*range(9)])],
)
def test_unneeded_items_are_removed(needed: set[int], remaining: list[int]) -> None:
    assert smaller(range(9), lambda some: needed <= set(some)) == remaining
