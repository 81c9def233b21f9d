"""RedriveExecution, and the fields of an execution's description that tell of redrives.

Source: Step Functions API Reference, RedriveExecution, DescribeExecution and ListExecutions.
"""

import re
from concurrent.futures import Future
from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.execution_redrive import reason_against, redrive_execution
from infra.local.engine.execution_rows import redrives_of
from infra.server.fields import Answer, Operation, Request, states_name, text_of, violated
from infra.server.machines_api import named_execution, no_execution
from storage.sqlite.database import Database

FILTERS = ("REDRIVEN", "NOT_REDRIVEN")
"""Values of ``redriveFilter``."""

REDRIVEN = "exists (select 1 from execution_redrives where execution_id = executions.id)"
"""The SQL condition of an execution that was redriven."""

_MAX_TOKEN = 64
_TOKEN = re.compile(r"[!-~]+")


def redrive_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operation on an engine's executions, by its name."""

    def redrive(request: Request) -> Future[Answer]:
        reference = text_of(request, "executionArn")
        _, name = states_name(reference, ["execution"])
        token = _token_of(request)

        def begin(now: float) -> Answer:
            row = named_execution(engine.journal.database, name)
            if row is None:
                raise no_execution(reference)
            at = redrive_execution(engine.executions, row, token, now)
            engine.journal.make_real()
            engine.journal.batch.durable = True
            return {"redriveDate": at}

        return engine.call(begin)

    return {"AWSStepFunctions.RedriveExecution": redrive}


def redrive_outline(database: Database, row: Any) -> Answer:
    """Return the fields of an execution in a list: how often and when it was redriven."""
    if row["kind"] == "EXPRESS":
        return {}
    count, at = redrives_of(database, row["id"])
    return {"redriveCount": count} | ({} if at is None else {"redriveDate": at})


def redrive_status(database: Database, row: Any, now: float) -> Answer:
    """Return whether an execution can be redriven now, and why not."""
    reason = reason_against(database, row, now)
    if reason is None:
        return {"redriveStatus": "REDRIVABLE"}
    return {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}


def check_list(request: Request) -> None:
    """Raise InvalidRequest for the filters of ListExecutions that need a Map Run."""
    if request.get("mapRunArn") is not None:
        message = "mapRunArn is not supported: a distributed Map cannot run on one machine"
        raise InvalidRequest("ValidationException", message)
    if request.get("statusFilter") == "PENDING_REDRIVE":
        message = "statusFilter PENDING_REDRIVE is valid with mapRunArn only"
        raise InvalidRequest("ValidationException", message)


def _token_of(request: Request) -> str | None:
    token = request.get("clientToken")
    if token is None:
        return None
    if not _TOKEN.fullmatch(token):
        pattern = f"Member must satisfy regular expression pattern: {_TOKEN.pattern}"
        raise violated("clientToken", token, pattern)
    if len(token) > _MAX_TOKEN:
        most = f"Member must have length less than or equal to {_MAX_TOKEN}"
        raise violated("clientToken", token, most)
    return str(token)
