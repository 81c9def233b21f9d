"""What the interpreter wants of its host (effects), and what the host tells it (signals)."""

from typing import Literal, NamedTuple, TypeAlias

from infra.asl.expressions.values import JSON

Status: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT"]

EXECUTION_TIMER = 0
"""The token of the timer for the definition's own `TimeoutSeconds`."""


class RunTask(NamedTuple):
    """Call `resource`; answer with TaskSucceeded, TaskFailed or, past `timeout`, TimerFired.

    `parameters` is a function's payload, or the request of `arn:aws:states:::service:action`.
    `timeout` is in seconds from when the call begins; `attempt` counts from 0.
    """

    token: int
    resource: str
    parameters: JSON
    timeout: float | None
    state: str
    attempt: int


class SetTimer(NamedTuple):
    """Answer with TimerFired at `due`, in epoch seconds."""

    token: int
    due: float


class CancelTask(NamedTuple):
    """Nobody waits for this task or timer any more."""

    token: int


class Ended(NamedTuple):
    """The execution is over; always the last effect."""

    status: Status
    output: JSON
    error: str | None
    cause: str | None


class TaskSucceeded(NamedTuple):
    """A task answered. `size` is the output's length as JSON text in bytes, where it is known."""

    token: int
    output: JSON
    size: int | None = None


class TaskFailed(NamedTuple):
    """A task failed."""

    token: int
    error: str
    cause: str | None = None


class TimerFired(NamedTuple):
    """A timer, or the timeout of a task, is due."""

    token: int


Effect: TypeAlias = RunTask | SetTimer | CancelTask | Ended
Signal: TypeAlias = TaskSucceeded | TaskFailed | TimerFired
