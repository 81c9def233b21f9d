"""Simulations of many seeds: their results, and a report of the failures."""

import multiprocessing
import os
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from infra.local.workers.account import Limits, described
from tests.simulation.letters import OPERATOR
from tests.simulation.mutations import MUTATIONS
from tests.simulation.plan import plan
from tests.simulation.shrink import shrink
from tests.simulation.world import Mutate, Part, SeedResult, World, unchanged

PARQUET = 50
"""Every 50th seed writes Parquet files, which doubles its time."""

FORK = multiprocessing.get_context("fork")


def mutation(name: str) -> Mutate:
    """Return a mutation by its name; without a name, one that changes nothing."""
    return MUTATIONS[name][1] if name else unchanged


def play(
    seed: int, name: str = "", limits: Limits | None = None, part: Part | None = None
) -> SeedResult:
    """Simulate a seed, with a mutation if one is named; keep its trace only if it fails.

    With ``limits`` functions are called as in a Lambda account that has them.
    """
    world = World(seed, part, mutate=mutation(name), parquet=seed % PARQUET == 0, limits=limits)
    result = world.play()
    if not result.broken:
        result.trace.clear()
        result.fired.clear()
    return result


def play_all(
    seeds: Sequence[int],
    jobs: int,
    name: str = "",
    limits: Limits | None = None,
    part: Part | None = None,
) -> Iterator[SeedResult]:
    """Simulate seeds in ``jobs`` processes, and yield each result as it is done."""
    simulate = partial(play, name=name, limits=limits, part=part)
    with FORK.Pool(jobs) as pool:
        yield from pool.imap_unordered(simulate, seeds, chunksize=4)


def report(result: SeedResult, name: str = "", limits: Limits | None = None) -> str:
    """Return a seed's broken promise, the shortest trace found, and the commands that repeat it."""
    part, shortest = shrink(result, mutation(name), limits)
    command = f"python -m tests.simulation --seed {result.seed}"
    if limits is not None:
        command += f" --lambda-faults {described(limits)}"
    if name:
        command += f" --mutation {shlex.quote(name)}"
    again = command
    if part.actions is not None and part.faults is not None:
        again += f" --actions {','.join(map(str, sorted(part.actions))) or '-'}"
        again += f" --faults {shlex.quote(','.join(sorted(part.faults)) or '-')}"
    planned = len(plan(result.seed))
    actions = planned if part.actions is None else len(part.actions)
    faults = f"{len(shortest.fired)} of {len(result.fired)} faults"
    return "\n".join(
        (
            f"seed {result.seed} breaks a promise: {result.broken}",
            f"The shortest trace found, with {actions} of {planned} actions and {faults}:",
            *shortest.trace,
            f"broken: {shortest.broken}",
            f"To repeat it:          {again}",
            f"To repeat the seed:    {command}",
        )
    )


def summary(counts: Counter[str], seeds: int, failed: int, began: float) -> str:
    """Return a summary of the results in a few lines."""
    seconds = time.monotonic() - began
    pace = f"{seeds} seeds in {seconds:.0f} s ({seeds / seconds:.1f} a second)"
    lines = [f"{pace}, {os.cpu_count()} cores: {failed or 'none'} broke a promise"]
    for title, upper in (("orders", True), ("faults", False)):
        shown = [
            f"{n} {name}"
            for name, n in counts.most_common()
            if name[0].isupper() is upper and not name.startswith(OPERATOR)
        ]
        lines.append(f"{title}: {', '.join(shown)}")
    done = [
        f"{name.removeprefix(OPERATOR)} {n / seeds:.1%}"
        for name, n in counts.most_common()
        if name.startswith(OPERATOR)
    ]
    lines.append(f"operators, by the share of seeds: {', '.join(done)}")
    return "\n".join(lines)
