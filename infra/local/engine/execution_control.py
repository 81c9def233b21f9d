"""StopExecution: end a running execution from outside."""

from typing import TYPE_CHECKING, Any

from infra.asl import Execution
from infra.local.directory.history_pieces import snapshot_in
from infra.local.engine.execution_rows import LAST_PIECE, context_of, removed_machine
from infra.local.engine.loaded_execution import LoadedExecution
from kernel import json_text

if TYPE_CHECKING:
    from infra.local.engine.executions import Executions


def stop_execution(
    executions: "Executions", row: Any, error: str | None, cause: str | None, now: float
) -> float:
    """End an execution as ABORTED; return when it ended.

    An execution that has ended before keeps its status and its time. The answer of a function that
    the execution has called is ignored.
    """
    if row["status"] != "RUNNING" or executions.has_ended(row["id"]):
        return float(row["ended_at"] or now)
    live = executions.live.get(row["id"]) or _restored(executions, row)
    if live is None:
        executions.stop_row(row["id"], error, cause, now)
    else:
        executions.stop(live, error, cause, now)
    return now


def _restored(executions: "Executions", row: Any) -> LoadedExecution | None:
    """Return an execution that is not in memory, or None if it has not begun."""
    last = executions.journal.database.row(LAST_PIECE, row["id"])
    if last is None:
        return None
    machine = executions.definitions.machine(row["definition"], row["machine"])
    known = executions.stack.state_machines.get(row["machine"])
    body = json_text.parse(row["input"])
    described = known or removed_machine(row, machine)
    context = context_of(described, row["id"], row["name"], body, row["started_at"])
    execution = Execution.restore({**snapshot_in(last[0]), "context": context}, machine)
    live = LoadedExecution(row["id"], row["machine"], machine, execution)
    live.wake_at = row["wake_at"]
    return live
