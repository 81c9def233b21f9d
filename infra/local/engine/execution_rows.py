"""The rows of an execution in the journal, its ARN and its context object."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from infra.asl import Machine
from infra.local.template.loader import ACCOUNT, REGION
from infra.local.template.stack import StateMachine
from kernel.clock import timestamp
from storage.sqlite.database import Database

INSERT = (
    "insert into executions (id, name, machine, kind, status, definition, order_id, input,"
    " started_at, wake_at) values (?, ?, ?, ?, 'RUNNING', ?, ?, ?, ?, ?)"
)
INSERT_ENDED = (
    "insert into executions (id, name, machine, kind, status, definition, order_id, input,"
    " started_at, output, error, cause, ended_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
WAKE = "update executions set wake_at = ? where id = ?"
END = (
    "update executions set status = ?, output = ?, error = ?, cause = ?, ended_at = ?,"
    " wake_at = null where id = ?"
)
HISTORY = "insert into history (execution_id, piece) values (?, ?)"
LAST_PIECE = "select piece from history where execution_id = ? order by id desc limit 1"


class Redrive(NamedTuple):
    """A redrive: the number of it, its time in epoch seconds and the client's token."""

    number: int
    at: float
    token: str | None


def arn(machine: StateMachine, name: str, number: int) -> str:
    """Return an execution's ARN; for EXPRESS it has the number, as names may repeat."""
    if machine.kind == "EXPRESS":
        return f"arn:aws:states:{REGION}:{ACCOUNT}:express:{machine.name}:{name}:{number}"
    return f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine.name}:{name}"


def context_of(
    machine: StateMachine, number: int, name: str, body: Any, started: float
) -> dict[str, Any]:
    """Return the context object of an execution, which is constant while it runs."""
    return {
        "Execution": {
            "Id": arn(machine, name, number),
            "Input": body,
            "Name": name,
            "RedriveCount": 0,
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{machine.name}",
            "StartTime": timestamp(started),
        },
        "StateMachine": {"Id": machine.arn, "Name": machine.name},
    }


def redrives_of(database: Database, number: int) -> tuple[int, float | None]:
    """Return how often an execution was redriven, and when it was the last time."""
    query = "select count(*), max(at) from execution_redrives where execution_id = ?"
    [(count, at)] = database.rows(query, number)
    return count, at


def redriven_context(context: Mapping[str, Any], count: int, at: float | None) -> dict[str, Any]:
    """Return the context object of an execution that was redriven ``count`` times, last at ``at``.

    Source: "Accessing execution data from the Context object" in the AWS Step Functions Developer
    Guide.
    """
    if at is None:
        return dict(context)
    redriven = {"RedriveCount": count, "RedriveTime": timestamp(at)}
    return {**context, "Execution": {**context["Execution"], **redriven}}


def removed_machine(row: Any, machine: Machine) -> StateMachine:
    """Return the state machine of an execution whose template no longer has it."""
    name = row["machine"]
    address = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
    return StateMachine(name, address, row["kind"], machine, "")
