"""Any JSON through every door: so many examples each, the same ones at every run of `make test`."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.doors.platforms import Platform, Shipped, Small

T = TypeVar("T")

FEW = 50
"""Examples a door of `make test`, which are always the same."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a name that nobody can guess is made in it


class Through(Protocol):
    """Puts examples through a door: those of a strategy, and some that are always there."""

    def __call__(
        self,
        platform: Platform,
        strategy: st.SearchStrategy[T],
        put: Callable[[T], None],
        always: Iterable[T] = (),
    ) -> None: ...


@pytest.fixture
def through(request: pytest.FixtureRequest) -> Through:
    """Put examples through a door, one after the other."""
    examples: int = request.config.getoption("--examples")
    chosen = settings(
        max_examples=examples,
        derandomize=examples == FEW,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

    def put_through(
        platform: Platform,
        strategy: st.SearchStrategy[T],
        put: Callable[[T], None],
        always: Iterable[T] = (),
    ) -> None:
        @chosen
        @given(strategy)
        def put_one(value: T) -> None:
            with platform.example():
                put(value)

        for value in always:
            put_one = example(value)(put_one)
        put_one()

    return put_through


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: thousands of commits are synced."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


@pytest.fixture
def shipped(folder: Path) -> Iterator[Shipped]:
    """The shipped platform."""
    environment = dict(os.environ)
    platform = Shipped(folder)
    yield platform
    platform.close()
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def small(folder: Path) -> Iterator[Small]:
    """The platform of the small template."""
    platform = Small(folder)
    yield platform
    platform.close()
