"""The operations that describe state machines, and StopExecution.

Source: Step Functions API Reference, DescribeStateMachine, ListStateMachines and StopExecution.
"""

import time
from concurrent.futures import Future
from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.execution_control import stop_execution
from infra.local.template.loader import ACCOUNT
from infra.local.template.stack import Stack, StateMachine
from infra.server.fields import Answer, Operation, Pages, Request, states_name, text_of, within
from storage.sqlite.database import Database

MAX_PAGE, DEFAULT_PAGE = 1_000, 100
"""Maximum and default entries of a page (Step Functions API Reference, maxResults)."""


def machine_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operations on an engine's state machines, by their names."""
    opened = time.time()

    def outline(machine: StateMachine) -> Answer:
        """Return a state machine as a list has it; it is as old as this process."""
        own = {"name": machine.name, "type": machine.kind, "creationDate": opened}
        return {"stateMachineArn": machine.arn, **own}

    def describe(request: Request) -> Answer:
        name = state_machine_of(engine.stack, text_of(request, "stateMachineArn"))
        machine = engine.stack.state_machines[name]
        return {
            **outline(machine),
            "status": "ACTIVE",
            "definition": machine.definition,
            "roleArn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
            "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
            "tracingConfiguration": {"enabled": False},
        }

    def list_machines(request: Request) -> Answer:
        machines = [outline(machine) for _, machine in sorted(engine.stack.state_machines.items())]
        size = within(request, "maxResults", 0, 0, MAX_PAGE) or DEFAULT_PAGE
        return Pages(request, "stateMachines").page(machines, size, "stateMachines")

    def stop(request: Request) -> Future[Answer]:
        reference = text_of(request, "executionArn")
        _, name = states_name(reference, ["execution"])
        error, cause = request.get("error"), request.get("cause")

        def end(now: float) -> Answer:
            row = named_execution(engine.journal.database, name)
            if row is None:
                raise no_execution(reference)
            at = stop_execution(engine.executions, row, error, cause, now)
            engine.journal.batch.durable = True
            return {"stopDate": at}

        return engine.call(end)

    return {
        "AWSStepFunctions.StopExecution": stop,
        "AWSStepFunctions.DescribeStateMachine": describe,
        "AWSStepFunctions.ListStateMachines": list_machines,
    }


def state_machine_of(stack: Stack, reference: str) -> str:
    """Return the name of the state machine of an ARN; a version or an alias is the one definition.

    Raises
    ------
    InvalidRequest
        The ARN is invalid, or the state machine does not exist.
    """
    _, qualified = states_name(reference, ["stateMachine"])
    name = qualified.partition(":")[0]
    if name not in stack.state_machines:
        message = f"State Machine Does Not Exist: '{reference}'"
        raise InvalidRequest("StateMachineDoesNotExist", message)
    return name


def named_execution(database: Database, name: str) -> Any:
    """Return the row of a STANDARD execution by its machine's and its own name, or None."""
    machine, _, own = name.partition(":")
    query = "select * from executions where machine = ? and name = ? and kind = 'STANDARD'"
    return database.row(query, machine, own)


def no_execution(reference: str) -> InvalidRequest:
    """Return the error of an execution that does not exist."""
    return InvalidRequest("ExecutionDoesNotExist", f"Execution Does Not Exist: '{reference}'")
