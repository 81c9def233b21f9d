"""Answers to task tokens: a signal to the execution whose task waits for the token."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from infra.asl import Execution, Signal
from infra.asl.task_tokens import execution_of, frame_of
from infra.local.template.loader import ACCOUNT, REGION

if TYPE_CHECKING:
    from infra.local.engine.executions import Executions

PREFIX = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:"


def answer(
    executions: "Executions", token: str, signal: Callable[[int], Signal], now: float
) -> bool:
    """Send a signal, made for a frame, to the task of a token; return false if it has ended.

    Raises
    ------
    ValueError
        The text is no token.
    """
    row = _row(executions, token)

    def signal_of(execution: Execution) -> Signal | None:
        frame = frame_of(execution.pending.values(), token)
        return None if frame is None else signal(frame.token)

    return row is not None and executions.answer_callback(row, now, signal_of)


def _row(executions: "Executions", token: str) -> Any:
    """Return the row of the running execution of a token, or None."""
    arn = execution_of(token)
    if arn is None or not arn.startswith(PREFIX):
        raise ValueError("the text is no task token")
    machine, _, name = arn.removeprefix(PREFIX).partition(":")
    query = "select * from executions where machine = ? and name = ? and status = 'RUNNING'"
    return executions.journal.database.row(query, machine, name)
