"""The simulation finds mistakes: each one made on purpose is caught within its number of seeds."""

import multiprocessing

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.world import Told, World

FORK = multiprocessing.get_context("fork")


def _caught(name: str) -> Told | None:
    """Return the first seed, told, that catches a mutation."""
    seeds, mutate = MUTATIONS[name]
    stories = (World(seed, mutate=mutate).play() for seed in range(1, seeds + 1))
    return next((told for told in stories if told.broken), None)


@pytest.fixture(scope="module")
def caught() -> dict[str, Told | None]:
    with FORK.Pool(2) as pool:
        return dict(zip(MUTATIONS, pool.map(_caught, MUTATIONS, chunksize=1), strict=True))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_is_caught(name: str, caught: dict[str, Told | None]) -> None:
    seeds, mutate = MUTATIONS[name]
    assert caught[name] is not None, f"{seeds} seeds do not see: {mutate.__doc__}"
