"""How an execution stands in the journal: its row, its history, its ARN."""

from typing import Any
from zlib import DEFLATED, compressobj

from infra.asl import Machine
from infra.local.stack import StateMachine
from infra.local.template import ACCOUNT, REGION

INSERT = (
    "insert into executions (id, name, machine, kind, status, definition, order_id, input,"
    " started_at, wake_at, snapshot) values (?, ?, ?, ?, 'RUNNING', ?, ?, ?, ?, ?, ?)"
)
INSERT_ENDED = (
    "insert into executions (id, name, machine, kind, status, definition, order_id, input,"
    " started_at, output, error, cause, ended_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
SAVE = "update executions set wake_at = ?, snapshot = ? where id = ?"
END = (
    "update executions set status = ?, output = ?, error = ?, cause = ?, ended_at = ?,"
    " wake_at = null, snapshot = null where id = ?"
)
HISTORY = "insert or replace into history values (?, ?, ?)"


def arn(machine: StateMachine, name: str, number: int) -> str:
    """Return an execution's ARN; an EXPRESS one tells executions of one name apart."""
    if machine.kind == "EXPRESS":
        return f"arn:aws:states:{REGION}:{ACCOUNT}:express:{machine.name}:{name}:{number}"
    return f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine.name}:{name}"


def packed(text: bytes) -> bytes:
    """Return a piece of history compressed; zlib's default setup costs ten times the work."""
    packer = compressobj(level=1, method=DEFLATED, wbits=11, memLevel=4)
    return packer.compress(text) + packer.flush()


def gone(row: Any, machine: Machine) -> StateMachine:
    """Return the state machine of an execution that the template does not have any more."""
    name = row["machine"]
    address = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
    return StateMachine(name, address, row["kind"], machine, "")


def order_of(body: Any) -> str | None:
    """Return whose order an input or an event is about, so that the order can be followed."""
    if not isinstance(body, dict):
        return None
    for holder in (body, body.get("detail"), body.get("resume")):
        found = holder.get("order_id") if isinstance(holder, dict) else None
        if isinstance(found, str):
            return found
    return None
