"""Many seeds at once: what they came to, and a report of those that failed."""

import multiprocessing
import os
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from tests.simulation.mutations import MUTATIONS
from tests.simulation.plan import plan
from tests.simulation.shrink import shrink
from tests.simulation.world import Mutate, Told, World, unchanged

PARQUET = 50
"""Every so many seeds write Parquet files, which takes as long as all the rest."""

FORK = multiprocessing.get_context("fork")


def mutation(name: str) -> Mutate:
    """Return a mutation by its name; the code as it is for none."""
    return MUTATIONS[name][1] if name else unchanged


def play(seed: int, name: str = "") -> Told:
    """Play a seed, with a mutation if one is named; its story is kept only if it fails."""
    told = World(seed, mutate=mutation(name), parquet=seed % PARQUET == 0).play()
    if not told.broken:
        told.story.clear()
        told.fired.clear()
    return told


def play_all(seeds: Sequence[int], jobs: int, name: str = "") -> Iterator[Told]:
    """Play seeds in so many processes, and return each as it is done."""
    with FORK.Pool(jobs) as pool:
        yield from pool.imap_unordered(partial(play, name=name), seeds, chunksize=4)


def report(told: Told, name: str = "") -> str:
    """Return what a seed broke, the shortest story found, and the command that plays it again."""
    part, shortest = shrink(told, mutation(name))
    command = f"python -m tests.simulation --seed {told.seed}"
    if name:
        command += f" --mutation {shlex.quote(name)}"
    again = command
    if part.actions is not None and part.faults is not None:
        again += f" --actions {','.join(map(str, sorted(part.actions))) or '-'}"
        again += f" --faults {shlex.quote(','.join(sorted(part.faults)) or '-')}"
    whole = len(plan(told.seed))
    actions = whole if part.actions is None else len(part.actions)
    kept = f"{actions} of {whole} actions and {len(shortest.fired)} of {len(told.fired)} faults"
    return "\n".join(
        (
            f"seed {told.seed} breaks a promise: {told.broken}",
            f"The shortest story found, with {kept}:",
            *shortest.story,
            f"broken: {shortest.broken}",
            f"It is played again by: {again}",
            f"The whole of it by:    {command}",
        )
    )


def summary(counts: Counter[str], seeds: int, failed: int, began: float) -> str:
    """Return what came of these seeds in a few lines."""
    seconds = time.monotonic() - began
    pace = f"{seeds} seeds in {seconds:.0f} s ({seeds / seconds:.1f} a second)"
    lines = [f"{pace}, {os.cpu_count()} cores: {failed or 'none'} broke a promise"]
    for title, upper in (("orders", True), ("faults", False)):
        found = [f"{n} {what}" for what, n in counts.most_common() if what[0].isupper() is upper]
        lines.append(f"{title}: {', '.join(found)}")
    return "\n".join(lines)
