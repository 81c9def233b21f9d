"""RedriveExecution: continue a STANDARD execution that failed, was aborted or timed out.

A redrive is a row of ``execution_redrives``, the new state of the execution's row and a piece of
its history, in one transaction: a crash loses all of it or nothing, and a client's retry with the
same token is answered without a second redrive.

Source: RedriveExecution and DescribeExecution in the AWS Step Functions API Reference.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from infra.asl import Execution, HistoryEvent, Machine
from infra.errors import InvalidRequest
from infra.local.directory.history_pieces import packed, unpacked_text
from infra.local.engine.execution_rows import END, LAST_PIECE, Redrive, redriven_context
from kernel import json_text
from storage.sqlite.database import Database

if TYPE_CHECKING:
    from infra.local.engine.executions import Executions

PERIOD = 14 * 86_400.0
"""Seconds after an execution's end in which it can be redriven."""

LONGEST = 365 * 86_400.0
"""Maximum seconds from an execution's start (Quotas for state machine executions)."""

MAX_EVENTS = 24_999
"""Events of a history that leave no room for a redrive."""

MAX_RUNNING = 1_000_000
"""Maximum number of running STANDARD executions (Quotas for state machine executions)."""

NO_EVENTS = b"[]"
"""The events of the piece of an execution whose redrive ended the process twice."""

TOKENS = 10
"""The number of an execution's latest client tokens that are remembered."""

TOKEN_LIFE = 900.0
"""Seconds from the first use of a client token in which it is remembered."""

_REDRIVES = (
    "select number, at, client_token from execution_redrives where execution_id = ?"
    " order by number desc limit ?"
)
_RUNNING = (
    "select count(*) from (select 1 from executions where status = 'RUNNING'"
    " and kind = 'STANDARD' limit ?)"
)
_INSERT = (
    "insert into execution_redrives (execution_id, number, at, client_token) values (?, ?, ?, ?)"
)


def reason_against(database: Database, row: Any, now: float) -> str | None:
    """Return why an execution cannot be redriven now, in AWS's words; None if it can be."""
    if row["kind"] == "EXPRESS":
        return "Execution is of an EXPRESS state machine and cannot be redriven"
    if row["status"] in {"RUNNING", "SUCCEEDED"}:
        return f"Execution is {row['status']} and cannot be redriven"
    piece = database.row(LAST_PIECE, row["id"])
    events, _, state = (b"" if piece is None else unpacked_text(piece[0])).partition(b"\n")
    if not state and events == NO_EVENTS:
        return "Execution ended the process twice while it was redriven; start another execution"
    if not state:  # it ended before this platform stored the state at the end
        return "Execution was started before the launch of RedriveExecution"
    limits = {
        "history event limit exceeded": json_text.parse(state)["last_event_id"] >= MAX_EVENTS,
        "has exceeded the max execution time": now - row["started_at"] > LONGEST,
        "redrivable period exceeded": now - row["ended_at"] > PERIOD,
    }
    return next((f"Execution {limit}" for limit, holds in limits.items() if holds), None)


def redrive_execution(executions: "Executions", row: Any, token: str | None, now: float) -> float:
    """Continue an ended execution; return when, or when a request with this token did.

    Raises
    ------
    InvalidRequest
        The execution cannot be redriven now, or too many executions are running.
    """
    number, database = row["id"], executions.journal.database
    earlier = [Redrive(*each) for each in database.rows(_REDRIVES, number, TOKENS)]
    in_this_turn = executions.redriven.get(number)
    if in_this_turn is not None:
        earlier = [in_this_turn, *earlier][:TOKENS]
    for each in earlier:
        if token is not None and each.token == token and now - each.at <= TOKEN_LIFE:
            return each.at
    status = {**dict(row), "status": "RUNNING"} if in_this_turn is not None else row
    reason = reason_against(database, status, now)
    if reason is not None:
        raise InvalidRequest("ExecutionNotRedrivable", reason)
    [(running,)] = database.rows(_RUNNING, MAX_RUNNING)
    if running >= MAX_RUNNING:
        problem = "The maximum number of running executions has been reached"
        raise InvalidRequest("ExecutionLimitExceeded", f"{problem}: {MAX_RUNNING:,}")
    redrive = Redrive(earlier[0].number + 1 if earlier else 1, now, token)
    _begin(executions, row, redrive)
    return now


def _begin(executions: "Executions", row: Any, redrive: Redrive) -> None:
    """Continue an execution in this turn; the turn's commit makes it durable."""
    live = executions.restored(row)
    assert live is not None, "its last piece has the state at the end"
    batch = executions.journal.batch
    batch.add(END, "RUNNING", *[None] * 4, live.id)  # in this turn it may end by the same statement
    batch.add(_INSERT, live.id, *redrive)
    live.wake_at = None
    context = live.execution.context
    live.execution.context = redriven_context(context, redrive.number, redrive.at)
    executions.redriven[live.id] = redrive
    executions.boundary.undo.append(partial(executions.forget, live.id))
    executions.continue_ended(live, redrive.number, redrive.at)


def unbegun_piece(machine: Machine, body: Any, last: HistoryEvent) -> bytes:
    """Return the only piece of an execution that ended before its first state."""
    execution = Execution(machine, {}, status="ABORTED", last_event_id=last.id)
    execution.root.input = body
    snapshot = execution.snapshot()
    del snapshot["context"]
    return packed([last.to_row()], snapshot)
