"""StopExecution: end a running execution from outside."""

from typing import TYPE_CHECKING, Any

from infra.asl import HistoryEvent
from infra.local.engine.execution_redrive import unbegun_piece
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
    live = executions.live.get(row["id"]) or executions.restored(row)
    if live is None:
        machine = executions.definitions.machine(row["definition"], row["machine"])
        last = HistoryEvent(1, 0, now, "ExecutionAborted", {})
        piece = unbegun_piece(machine, json_text.parse(row["input"]), last)
        executions.end_row(row["id"], piece, ("ABORTED", "null", error, cause), now)
    else:
        executions.stop(live, error, cause, now)
    return now
