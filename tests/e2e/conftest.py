"""Fixtures of end-to-end tests: runs in separate processes, because a process caches its wiring."""

import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest

FORK = multiprocessing.get_context("fork")


def _call(connection: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        connection.send((True, function(*arguments)))
    except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
        connection.send((False, repr(error)))


@pytest.fixture(scope="session")
def apart() -> Callable[..., Any]:
    """Call a function in a forked process and return its answer."""

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        ours, theirs = FORK.Pipe()
        process = FORK.Process(target=_call, args=(theirs, function, arguments))
        process.start()
        theirs.close()
        done, answer = ours.recv() if ours.poll(120) else (False, "no answer in 120 s")
        process.join(10)
        assert done, answer
        return answer

    return call
