"""SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat.

Source: Step Functions API Reference. A token of a task that has ended is refused with TaskTimedOut,
whatever ended it, as AWS refuses it.
"""

from collections.abc import Callable
from concurrent.futures import Future

from infra.asl import Heartbeat, Signal, TaskFailed, TaskSucceeded
from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.token_answers import answer
from infra.server.fields import Answer, Operation, Request, text_of
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

    def send(now: float) -> Answer:
        try:
            is_sent = answer(engine.executions, token, signal, now)
        except ValueError:
            raise InvalidRequest("InvalidToken", "Invalid Token: 'Invalid token'") from None
        if not is_sent:
            problem = "Task Timed Out: 'Provided task does not exist anymore'"
            raise InvalidRequest("TaskTimedOut", problem)
        engine.journal.batch.durable = True
        return {}

    return engine.call(send)
