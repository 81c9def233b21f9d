"""The simulation finds mistakes: each mutation is detected within its number of seeds."""

import multiprocessing

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.world import SeedResult, World

FORK = multiprocessing.get_context("fork")

FEW = 200
"""Number of seeds of a mutation up to which `make test-long` plays it: about ten seconds."""


def _caught(name: str) -> SeedResult | None:
    """Return the result of the first seed that detects a mutation."""
    seeds, mutate = MUTATIONS[name]
    results = (World(seed, mutate=mutate).play() for seed in range(1, seeds + 1))
    return next((result for result in results if result.broken), None)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_detected(name: str, request: pytest.FixtureRequest) -> None:
    """A mutation patches modules, so each plays in a process of its own."""
    seeds, mutate = MUTATIONS[name]
    if seeds > FEW and not request.config.getoption("--all-mutations"):
        pytest.skip(f"{seeds} seeds; `make mutations` plays them")
    with FORK.Pool(1) as pool:
        caught = pool.apply(_caught, (name,))
    assert caught is not None, f"{seeds} seeds do not detect: {mutate.__doc__}"
