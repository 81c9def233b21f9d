"""Fuzz every input with any JSON; `make test-long` runs the same `DEFAULT_EXAMPLES` each time."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz.platforms import Platform, Shipped, Small

T = TypeVar("T")

DEFAULT_EXAMPLES = 50
"""Examples of each input in `make test-long`; with this number they are always the same."""

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it has an unguessable name


class Fuzz(Protocol):
    """Puts examples into a platform: those of a strategy, and fixed ones."""

    def __call__(
        self,
        platform: Platform,
        strategy: st.SearchStrategy[T],
        put: Callable[[T], None],
        fixed: Iterable[T] = (),
    ) -> None: ...


@pytest.fixture
def fuzz(request: pytest.FixtureRequest) -> Fuzz:
    """Put examples into a platform, one after another."""
    examples: int = request.config.getoption("--examples")
    profile = settings(
        max_examples=examples,
        derandomize=examples == DEFAULT_EXAMPLES,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

    def run(
        platform: Platform,
        strategy: st.SearchStrategy[T],
        put: Callable[[T], None],
        fixed: Iterable[T] = (),
    ) -> None:
        @profile
        @given(strategy)
        def put_one(value: T) -> None:
            with platform.example():
                put(value)

        for value in fixed:
            put_one = example(value)(put_one)
        put_one()

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, if the host has one: thousands of commits are synced."""
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
