"""Simulate seeds: ``python -m tests.simulation --seeds 2000``, or a single one: ``--seed 17``."""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence

from infra.local.workers.account import Limits, LimitsError, parse_limits
from tests.simulation.mutations import MUTATIONS
from tests.simulation.runs import mutation, play_all, report, summary
from tests.simulation.world import Part, World


def main() -> int:
    """Simulate the requested seeds; return 1 if a promise was broken."""
    options = _options()
    if options.seed is not None:
        return _play_seed(options)
    first = random.randrange(1 << 32) if options.fresh else options.first
    return _play_many(range(first, first + options.seeds), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="number of seeds")
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="first seed")
    parser.add_argument("--fresh", action="store_true", help="random seeds")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="number of processes")
    parser.add_argument("--seed", type=int, help="print the trace of this seed")
    parser.add_argument("--actions", help="simulate only these actions, by number")
    parser.add_argument("--faults", help="simulate only these faults")
    parser.add_argument(
        "--lambda-faults",
        type=_limits,
        metavar="LIMITS",
        help="call functions as in a small AWS account: concurrency=10,timeouts=0.05,cold=6",
    )
    parser.add_argument("--mutation", choices=MUTATIONS, default="", help="apply this mutation")
    return parser.parse_args()


def _limits(text: str) -> Limits:
    try:
        return parse_limits(text)
    except LimitsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _play_seed(options: argparse.Namespace) -> int:
    """Print the trace of a seed, or of a part of it."""
    actions, faults = _entries(options.actions), _entries(options.faults)
    part = Part(None if actions is None else frozenset(map(int, actions)), faults)
    limits = options.lambda_faults
    result = World(options.seed, part, mutate=mutation(options.mutation), limits=limits).play()
    end = f"broken: {result.broken}" if result.broken else "every promise is kept"
    _print("\n".join([*result.trace, end]))
    return int(bool(result.broken))


def _entries(listed: str | None) -> frozenset[str] | None:
    """Return the entries of a list; ``-`` is an empty list."""
    return None if listed is None else frozenset(filter(None, listed.strip("-").split(",")))


def _play_many(seeds: Sequence[int], options: argparse.Namespace) -> int:
    counts: Counter[str] = Counter()
    failed, began = [], time.monotonic()
    name, limits, faults = options.mutation, options.lambda_faults, _entries(options.faults)
    part = Part(faults=faults)
    played = play_all(seeds, options.jobs, name, limits, part)
    for number, result in enumerate(played, 1):
        counts += result.counts
        if result.broken:
            failed.append(result)
            _print(f"seed {result.seed}: {result.broken.splitlines()[0]}")
        if number % 200 == 0:
            _print(f"{number} seeds played, {len(failed)} failed")
    if failed:
        _print(report(min(failed, key=lambda result: len(result.trace)), name, limits))
    _print(summary(counts, len(seeds), len(failed), began))
    return int(bool(failed))


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
