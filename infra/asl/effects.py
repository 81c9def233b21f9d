"""Effects, which the interpreter requests of its host, and signals, which the host sends back."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from infra.asl.expressions.values import JSON

Status: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]

EXECUTION_TIMER = 0
"""The token of the timer for the definition's own ``TimeoutSeconds``."""


class RunTask(NamedTuple):
    """A request to call ``resource``.

    The host answers with `TaskSucceeded`, `TaskFailed` or, after ``timeout``, `TimerFired`.

    Attributes
    ----------
    parameters
        The payload of a function, or the request of ``arn:aws:states:::service:action``.
    timeout
        Seconds from the start of the call.
    attempt
        Number of earlier attempts.
    context
        ``Execution`` and ``StateMachine`` of the context object.
    """

    token: int
    resource: str
    parameters: JSON
    timeout: float | None
    state: str
    attempt: int
    context: Mapping[str, JSON] = MappingProxyType({})


class SetTimer(NamedTuple):
    """A request for `TimerFired` at ``due``, in epoch seconds."""

    token: int
    due: float


class CancelTask(NamedTuple):
    """A cancelled task or timer: its signal would be ignored."""

    token: int


class Ended(NamedTuple):
    """The end of the execution; always the last effect."""

    status: Status
    output: JSON
    error: str | None
    cause: str | None


class TaskSucceeded(NamedTuple):
    """The output of a task; ``size`` is its length as JSON text in bytes, if known."""

    token: int
    output: JSON
    size: int | None = None


class TaskFailed(NamedTuple):
    """The failure of a task."""

    token: int
    error: str
    cause: str | None = None


class TimerFired(NamedTuple):
    """The end of a timer, or the timeout of a task."""

    token: int


class Heartbeat(NamedTuple):
    """A sign of life of a task that waits for its token: its heartbeat timer starts anew."""

    token: int


Effect: TypeAlias = RunTask | SetTimer | CancelTask | Ended
Signal: TypeAlias = TaskSucceeded | TaskFailed | TimerFired | Heartbeat
