"""Invoking functions: what is asked, what comes back, and the port that does it."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from infra.local.directory.crash_marker import NO_ITEM, ItemIds
from infra.local.template.stack import Function


class Invocation(NamedTuple):
    """One call of a function, to be made once the turn is committed.

    ``item`` is what it belongs to: a call that ends the engine's own process is the item's.
    """

    id: int
    function: Function
    payload: bytes
    item: ItemIds = NO_ITEM


class Result(NamedTuple):
    """How an invocation ended: a payload, or an error with ``errorType`` and ``errorMessage``.

    ``size`` is the payload's length as JSON text in bytes, where it is known.
    """

    id: int
    payload: Any
    error: dict[str, Any] | None
    metrics: list[str]
    seconds: float
    size: int | None = None


OnResult = Callable[[Result, float], None]
Invoke = Callable[..., int]
"""``(function, payload, done, item) -> id``: call a function after the commit; ``done(result,
now)`` follows in a later turn (`infra.local.engine.function_calls.FunctionCalls.invoke`)."""


class Invoker(Protocol):
    """Who runs handlers; ``offset`` is how far the platform's clock is ahead, in seconds."""

    offset: float

    def submit(self, invocation: Invocation) -> None:
        """Take an invocation."""

    def poll(self, timeout: float) -> list[Result]:
        """Return results that have come in, waiting up to ``timeout`` seconds for the first."""

    def elapsed(self, number: int) -> float:
        """Return for how many seconds an invocation has been running; 0 if it has not begun."""

    def wake(self) -> None:
        """End a `poll` that waits; callable from another thread."""

    def close(self) -> None:
        """Let running invocations end, then stop."""

    def processes(self) -> list[int]:
        """Return the ids of all processes that run handlers."""


def timed_out(function: Function) -> dict[str, Any]:
    """Return the error of a function that ran into its timeout, as Lambda has it."""
    message = f"Error: Task timed out after {function.timeout:.2f} seconds"
    return {"errorType": "Sandbox.Timedout", "errorMessage": message}


def crashed(function: Function, status: int | None) -> dict[str, Any]:
    """Return the error of a function whose process ended, as Lambda has it."""
    message = f"Error: Runtime exited with error: exit status {status} ({function.name})"
    return {"errorType": "Runtime.ExitError", "errorMessage": message}
