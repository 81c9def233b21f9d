"""Invocations of functions, their results, and the protocol of an invoker."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from infra.local.directory.crash_marker import NO_ITEM, ItemIds
from infra.local.template.stack import Function


class Invocation(NamedTuple):
    """One call of a function, made after the turn is committed.

    ``item`` is the work item that it belongs to: if the call ends the engine's own process, that
    item is the suspect.
    """

    id: int
    function: Function
    payload: bytes
    item: ItemIds = NO_ITEM


class Result(NamedTuple):
    """The result of an invocation: a payload, or an error with its type and message.

    ``error`` has ``errorType`` and ``errorMessage``. ``size`` is the payload's length as JSON text
    in bytes, if it is known.
    """

    id: int
    payload: Any
    error: dict[str, Any] | None
    metrics: list[str]
    seconds: float
    size: int | None = None


class WorkerState(NamedTuple):
    """Numbers of worker processes: alive, wanted, and replaced because they ended."""

    alive: int
    wanted: int
    replaced: int


OnResult = Callable[[Result, float], None]
Invoke = Callable[..., int]
"""``(function, payload, on_result, item) -> id``: call a function after the commit;
``on_result(result, now)`` is called in a later turn
(`infra.local.engine.function_calls.FunctionCalls.invoke`)."""


class Invoker(Protocol):
    """A runner of handlers; the platform's clock is ``offset`` seconds ahead of real time."""

    offset: float

    def submit(self, invocation: Invocation) -> None:
        """Queue an invocation."""

    def poll(self, timeout: float) -> list[Result]:
        """Return the results that have arrived, waiting up to ``timeout`` seconds for the first."""

    def elapsed(self, number: int) -> float:
        """Return the seconds that an invocation has been running; 0 if it has not started."""

    def wake(self) -> None:
        """End a waiting `poll`; callable from another thread."""

    def close(self) -> None:
        """Stop after the running invocations have ended."""

    def processes(self) -> list[int]:
        """Return the ids of all processes that run handlers."""

    def state(self) -> WorkerState:
        """Return the numbers of workers; callable from any thread."""


def timed_out(function: Function) -> dict[str, Any]:
    """Return Lambda's error for a function that was killed at its timeout."""
    message = f"Error: Task timed out after {function.timeout:.2f} seconds"
    return {"errorType": "Sandbox.Timedout", "errorMessage": message}


def crashed(function: Function, status: int | None) -> dict[str, Any]:
    """Return Lambda's error for a function whose process ended."""
    message = f"Error: Runtime exited with error: exit status {status} ({function.name})"
    return {"errorType": "Runtime.ExitError", "errorMessage": message}
