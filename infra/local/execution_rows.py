"""How an execution stands in the journal: its row, its history, its ARN."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zstandard import ZstdCompressor, decompress

from infra.asl import HistoryEvent, Machine
from infra.local.stack import StateMachine
from infra.local.template import ACCOUNT, REGION
from shared import json_text
from shared.clock import timestamp

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

_PACKER = ZstdCompressor(level=1)


def arn(machine: StateMachine, name: str, number: int) -> str:
    """Return an execution's ARN; an EXPRESS one tells executions of one name apart."""
    if machine.kind == "EXPRESS":
        return f"arn:aws:states:{REGION}:{ACCOUNT}:express:{machine.name}:{name}:{number}"
    return f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine.name}:{name}"


def context_of(
    machine: StateMachine, number: int, name: str, body: Any, started: float
) -> dict[str, Any]:
    """Return the context object of an execution, which stays the same while it runs."""
    return {
        "Execution": {
            "Id": arn(machine, name, number),
            "Input": body,
            "Name": name,
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{machine.name}",
            "StartTime": timestamp(started),
        },
        "StateMachine": {"Id": machine.arn, "Name": machine.name},
    }


def packed(events: Sequence[HistoryEvent], snapshot: Mapping[str, Any] | None) -> bytes:
    """Return a piece of history: how far an execution has come, and the events on the way there.

    Pieces are only ever added: to keep the snapshot in the execution's row would write a page for
    each state. It repeats what its events say, so together they compress well.
    """
    text = json_text.write([event.to_row() for event in events])
    if snapshot is not None:
        text += b"\n" + json_text.write(snapshot)
    return packed_text(text)


def packed_text(text: bytes) -> bytes:
    """Return the text of a piece, compressed."""
    return _PACKER.compress(text)


def events_in(piece: bytes) -> list[HistoryEvent]:
    """Return the events in a piece of history."""
    return [HistoryEvent(*row) for row in json_text.parse(decompress(piece).partition(b"\n")[0])]


def snapshot_in(piece: bytes) -> dict[str, Any]:
    """Return the snapshot in a piece of the history of an execution that still runs."""
    snapshot: dict[str, Any] = json_text.parse(decompress(piece).partition(b"\n")[2])
    return snapshot


def changed(
    piece: bytes,
    event: Callable[[HistoryEvent], HistoryEvent],
    snapshot: Callable[[Any], Any],
) -> bytes:
    """Return a piece with each of its events, and its snapshot if it has one, changed."""
    kept = decompress(piece).partition(b"\n")[2]
    found = snapshot(json_text.parse(kept)) if kept else None
    return packed([event(one) for one in events_in(piece)], found)


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
