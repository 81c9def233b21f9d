"""The threads in which pages of a stack are read."""

import asyncio
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.console.stack.limits import HOSTED, LOOPBACK
from infra.console.stack.readers import THREADS, StackReaders
from infra.errors import AWSError


def readers(deadline: float | None = None) -> StackReaders:
    return StackReaders(cast("Any", SimpleNamespace(name="any", limits=LOOPBACK)), deadline)


def test_a_home_has_its_own_deadline() -> None:
    hosted = SimpleNamespace(name="any", limits=HOSTED)
    assert StackReaders(cast("Any", hosted))._deadline == HOSTED.page  # noqa: SLF001
    assert HOSTED.page < 29


def test_threads_of_ended_requests_give_their_places_back_to_later_event_loops() -> None:
    """A function may run each request in an event loop of its own."""
    opened, stuck = readers(0.05), Event()
    for _ in range(THREADS):
        with pytest.raises(AWSError, match="has not answered"):
            asyncio.run(opened.read(lambda _: stuck.wait(10)))
    begun: list[int] = []
    with pytest.raises(AWSError, match="has not answered"):  # every place is taken
        asyncio.run(opened.read(lambda _: begun.append(1)))
    stuck.set()
    opened._deadline = 5.0  # noqa: SLF001
    assert asyncio.run(opened.read(lambda _: "an answer")) == "an answer"
    assert begun == []


def test_an_error_is_raised_where_the_page_waits() -> None:
    def fail(_: object) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(readers().read(fail))
