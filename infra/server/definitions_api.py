"""The operations on definitions: ValidateStateMachineDefinition, DescribeStateMachineForExecution.

Source: Step Functions API Reference. A validation computes its answer from the request alone; the
compiler stops at the first error, so that an answer has one diagnostic at most, and no warning.
"""

from typing import Any

from infra.asl import DefinitionError, compile_definition
from infra.asl.queries.client import Client
from infra.local.template.loader import ACCOUNT, REGION
from infra.local.template.task_parameters import PARAMETERS
from infra.server.fields import Answer, Request, choice_of, states_name, text_of, within
from infra.server.machines_api import named_execution, no_execution
from storage.sqlite.database import Database

VALIDATE = "AWSStepFunctions.ValidateStateMachineDefinition"

DESCRIBE = "AWSStepFunctions.DescribeStateMachineForExecution"

_MOST = 100
"""Maximum diagnostics of an answer."""

_CLIENT = Client()  # a process of its own: an expression does not hold up the engine's


def validate(request: Request) -> Answer:
    """Return whether a definition can be deployed, and the first reason against it."""
    definition = text_of(request, "definition")
    kind = choice_of(request, "type", ("STANDARD", "EXPRESS")) or "STANDARD"
    choice_of(request, "severity", ("ERROR", "WARNING"))
    within(request, "maxResults", 0, 0, _MOST)
    problem = _CLIENT.run(_problem, definition, kind)
    diagnostics = [] if problem is None else [_diagnostic(problem)]
    result = "OK" if problem is None else "FAIL"
    return {"result": result, "diagnostics": diagnostics, "truncated": False}


def _problem(definition: str, kind: str) -> DefinitionError | None:
    try:
        compile_definition(
            definition, name="validated", integrations=PARAMETERS, express=kind == "EXPRESS"
        )
    except DefinitionError as problem:
        return problem
    return None


def _diagnostic(problem: DefinitionError) -> Answer:
    diagnostic: Answer = {"severity": "ERROR", "code": problem.code, "message": problem.problem}
    return {**diagnostic, "location": problem.place} if problem.place else diagnostic


def describe_for_execution(reader: Database, request: Request) -> Answer:
    """Return the state machine of an execution, with the definition of its start.

    The journal has no date of a definition: it is given as that of the execution's start, when it
    was in use.
    """
    reference = text_of(request, "executionArn")
    _, name = states_name(reference, ["execution"])
    row: Any = named_execution(reader, name)
    if row is None:
        raise no_execution(reference)
    [(body,)] = reader.rows("select body from definitions where id = ?", row["definition"])
    return {
        "stateMachineArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{row['machine']}",
        "name": row["machine"],
        "definition": body,
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/{row['machine']}",
        "updateDate": row["started_at"],
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": {"enabled": False},
    }
