"""Play seeds: ``python -m tests.simulation --seeds 2000``, or one: ``--seed 17``."""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.simulation.mutations import MUTATIONS
from tests.simulation.runs import mutation, play_all, report, summary
from tests.simulation.world import Part, World


def main() -> int:
    """Play what was asked for; return 1 if a promise was broken."""
    options = _options()
    if options.seed is not None:
        return _play_one(options)
    first = random.randrange(1 << 32) if options.fresh else options.first
    return _play_many(range(first, first + options.seeds), options.jobs, options.mutation)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many seeds")
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="the first of them")
    parser.add_argument("--fresh", action="store_true", help="seeds that nobody played before")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="in so many processes")
    parser.add_argument("--seed", type=int, help="tell the story of this one seed")
    parser.add_argument("--actions", help="only these of its actions, by number")
    parser.add_argument("--faults", help="only these of its faults")
    parser.add_argument("--mutation", choices=MUTATIONS, default="", help="with this mistake made")
    return parser.parse_args()


def _play_one(options: argparse.Namespace) -> int:
    """Tell the story of a seed, or of a part of it."""
    actions, faults = _some(options.actions), _some(options.faults)
    part = Part(None if actions is None else frozenset(map(int, actions)), faults)
    told = World(options.seed, part, mutate=mutation(options.mutation)).play()
    end = f"broken: {told.broken}" if told.broken else "every promise is kept"
    _tell("\n".join([*told.story, end]))
    return int(bool(told.broken))


def _some(listed: str | None) -> frozenset[str] | None:
    """Return what a list names; ``-`` is an empty one."""
    return None if listed is None else frozenset(filter(None, listed.strip("-").split(",")))


def _play_many(seeds: Sequence[int], jobs: int, name: str) -> int:
    counts: Counter[str] = Counter()
    failed, began = [], time.monotonic()
    for number, told in enumerate(play_all(seeds, jobs, name), 1):
        counts += told.counts
        if told.broken:
            failed.append(told)
            _tell(f"seed {told.seed}: {told.broken.splitlines()[0]}")
        if number % 200 == 0:
            _tell(f"{number} seeds played, {len(failed)} failed")
    if failed:
        _tell(report(min(failed, key=lambda told: len(told.story)), name))
    _tell(summary(counts, len(seeds), len(failed), began))
    return int(bool(failed))


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
