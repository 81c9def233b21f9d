"""An execution that is not in memory, from its row and the last piece of its history."""

from typing import Any

from infra.asl import Execution
from infra.local.directory.history_pieces import snapshot_in
from infra.local.engine.definitions import Definitions
from infra.local.engine.execution_rows import (
    LAST_PIECE,
    context_of,
    redriven_context,
    redrives_of,
    removed_machine,
)
from infra.local.engine.loaded_execution import LoadedExecution
from infra.local.template.stack import Stack
from kernel import json_text
from storage.sqlite.database import Database


def restored(
    database: Database, definitions: Definitions, stack: Stack, row: Any
) -> LoadedExecution | None:
    """Return an execution with its snapshot, or None if it has not begun."""
    last = database.row(LAST_PIECE, row["id"])
    if last is None:
        return None
    machine = definitions.machine(row["definition"], row["machine"])
    described = stack.state_machines.get(row["machine"]) or removed_machine(row, machine)
    body = json_text.parse(row["input"])
    context = context_of(described, row["id"], row["name"], body, row["started_at"])
    if row["kind"] == "STANDARD":
        context = redriven_context(context, *redrives_of(database, row["id"]))
    execution = Execution.restore({**snapshot_in(last[0]), "context": context}, machine)
    live = LoadedExecution(row["id"], row["machine"], machine, execution)
    live.wake_at = row["wake_at"]
    return live
