"""SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat.

Source: Step Functions API Reference. A token of a task that has ended is refused with TaskTimedOut,
whatever ended it, as AWS refuses it.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from infra.asl import Execution, Heartbeat, Signal, TaskFailed, TaskSucceeded
from infra.asl.task_tokens import execution_of, frame_of
from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.server.fields import Answer, Operation, Request, states_name, text_of
from kernel.json_text import InvalidJSON, read

MAX_OUTPUT = 262_144
"""Maximum bytes of an output (Step Functions API Reference, SendTaskSuccess)."""

MAX_ERROR, MAX_CAUSE = 256, 32_768
"""Maximum characters of an error and of a cause (SendTaskFailure)."""


def token_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operations on an engine's task tokens, by their names."""

    def succeed(request: Request) -> Future[Answer]:
        text = text_of(request, "output")
        if len(text.encode(errors="replace")) > MAX_OUTPUT:
            raise InvalidRequest("InvalidOutput", f"Invalid Output: more than {MAX_OUTPUT} bytes")
        try:
            output = read(text)
        except InvalidJSON as error:
            raise InvalidRequest("InvalidOutput", f"Invalid Output: {error}") from None
        return _answer(engine, request, lambda token: TaskSucceeded(token, output))

    def fail(request: Request) -> Future[Answer]:
        error, cause = request.get("error"), request.get("cause")
        for name, value, most in (("error", error, MAX_ERROR), ("cause", cause, MAX_CAUSE)):
            if value is not None and len(value) > most:
                problem = f"{name} has {len(value)} characters of at most {most}"
                raise InvalidRequest("ValidationException", problem)
        return _answer(engine, request, lambda token: TaskFailed(token, error or "", cause))

    return {
        "AWSStepFunctions.SendTaskSuccess": succeed,
        "AWSStepFunctions.SendTaskFailure": fail,
        "AWSStepFunctions.SendTaskHeartbeat": lambda request: _answer(engine, request, Heartbeat),
    }


def _answer(engine: Engine, request: Request, signal: Callable[[int], Signal]) -> Future[Answer]:
    token = text_of(request, "taskToken")
    row_name = _execution_name(token)

    def signal_of(execution: Execution) -> Signal | None:
        frame = frame_of(execution.pending.values(), token)
        return None if frame is None else signal(frame.token)

    def send(now: float) -> Answer:
        row = _row(engine, row_name)
        if row is None or not engine.executions.answer_callback(row, now, signal_of):
            problem = "Task Timed Out: 'Provided task does not exist anymore'"
            raise InvalidRequest("TaskTimedOut", problem)
        engine.journal.batch.durable = True
        return {}

    return engine.call(send)


def _execution_name(token: str) -> str:
    """Return the names of the machine and of the execution that a token belongs to."""
    arn = execution_of(token)
    if arn is None:
        raise InvalidRequest("InvalidToken", "Invalid Token: 'Invalid token'")
    try:
        return states_name(arn, ["execution"])[1]
    except InvalidRequest:
        raise InvalidRequest("InvalidToken", "Invalid Token: 'Invalid token'") from None


def _row(engine: Engine, name: str) -> Any:
    """Return the row of a running execution, or None."""
    machine, _, own = name.partition(":")
    query = "select * from executions where machine = ? and name = ? and status = 'RUNNING'"
    return engine.journal.database.row(query, machine, own)
