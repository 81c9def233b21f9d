"""Executions that a client stops and redrives in a simulation.

A client repeats each request until it has an answer, a redrive with the same token. So each redrive
happens once, and an order whose run was stopped is neither charged nor shipped twice.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.execution_control import stop_execution
from infra.local.engine.execution_redrive import TOKEN_LIFE, redrive_execution
from storage.sqlite.database import Database
from tests.simulation.dice import Dice

if TYPE_CHECKING:
    from tests.simulation.plan import Action

STOP, REDRIVE = "stop run", "redrive run"
SPREADS = (30.0, 300.0, 1_500.0, 4_000.0)
PAUSES = (0.0, 0.0, 1.0, 30.0, 400.0)
"""Seconds between a stop and the redrive."""

_RUNNING = "select * from executions where status = 'RUNNING' and kind = 'STANDARD' order by id"
_ROW = "select * from executions where id = ?"
_TWICE = (
    "select a.execution_id, a.client_token from execution_redrives a join execution_redrives b"
    " on a.execution_id = b.execution_id and a.client_token = b.client_token"
    " and a.number < b.number and b.at - a.at <= ? limit 1"
)


def stops(dice: Dice) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield the times at which a client stops the oldest or the newest STANDARD execution."""
    for number in range(3):
        if dice.happens(0.3, "stop run", number):
            at = dice.roll("stop run at", number) * dice.pick(SPREADS, "stop run spread", number)
            after = dice.pick(PAUSES, "redrive run after", number)
            newest = dice.happens(0.5, "stop run newest", number)
            yield at, {"token": f"token-{number}", "after": after, "newest": newest}


def send(engine: Engine, action: "Action") -> Future[Any]:
    """Send a stop or a redrive; the future has the execution's number, or None if there is none."""
    database = engine.journal.database

    def stop(now: float) -> int | None:
        rows = database.rows(_RUNNING)
        if not rows:
            return None
        row = rows[-1 if action.body["newest"] else 0]
        stop_execution(engine.executions, row, "Stopped", "by a client", now)
        return int(row["id"])

    def redrive(now: float) -> int | None:
        row = database.row(_ROW, action.body["execution"])
        if row is None:
            return None  # it has vanished
        redrive_execution(engine.executions, row, action.body["token"], now)
        return int(row["id"])

    return engine.call(stop if action.do == STOP else redrive)


def answered(action: "Action", answer: Future[Any], now: float) -> "tuple[float, Action] | None":
    """Return the redrive that follows a stop, with its time; None if nothing follows."""
    error = answer.exception()
    if isinstance(error, InvalidRequest) or (error is None and answer.result() is None):
        return None
    if error is not None:
        raise error
    if action.do == REDRIVE:
        return None
    body = {**action.body, "execution": answer.result()}
    return now + action.body["after"], replace(action, do=REDRIVE, body=body)


def problem(store: Database) -> str:
    """Return the broken promise of the present state, or an empty text."""
    row = store.row(_TWICE, TOKEN_LIFE)
    return f"execution {row[0]} was redriven twice with {row[1]}" if row else ""
