"""A run of a deployed stack from its history, which Step Functions keeps of STANDARD executions.

Source: AWS Step Functions API Reference, GetExecutionHistory (at most 1,000 events a page),
DescribeStateMachineForExecution (the definition with which the execution began).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from infra.asl import HistoryEvent
from infra.deployed.account import translate_errors
from infra.deployed.orders import execution_arn
from infra.deployed.stack import DeployedStack
from infra.views.run_story import MAX_EVENTS, RunStory, visits_of

PAGE = 1_000
_REDEPLOY = "deploy the stack again"
_DETAILS = re.compile(r"EventDetails$")
_TEXTS = ("input", "output", "parameters")
"""Details whose values are JSON in a text."""


def read_run(stack: DeployedStack, name: str) -> RunStory:
    """Return a STANDARD run by its name.

    Raises
    ------
    AWSError
        AWS refused a call, or has no history of the run.
    """
    arn = execution_arn(stack, name)
    client = stack.client("stepfunctions")
    with translate_errors(f"the history of the run {name}", _REDEPLOY):
        run = client.describe_execution(executionArn=arn)
        machine = client.describe_state_machine_for_execution(executionArn=arn)
        events, is_complete = _events(client, arn)
    stopped = run.get("stopDate")
    return RunStory(
        name=name,
        machine=machine["name"],
        kind="STANDARD",
        status=run["status"],
        started=run["startDate"].timestamp(),
        ended=None if stopped is None else stopped.timestamp(),
        error=run.get("error"),
        cause=run.get("cause"),
        definition_id="",
        definition=json.loads(machine["definition"]),
        visits=visits_of(events, is_running=run["status"] == "RUNNING"),
        events=events,
        is_complete=is_complete,
    )


def _events(client: Any, arn: str) -> tuple[list[HistoryEvent], bool]:
    """Return the first events of a run, at most `MAX_EVENTS`, and whether these are all."""
    events: list[HistoryEvent] = []
    request: dict[str, Any] = {"executionArn": arn, "maxResults": PAGE}
    while len(events) < MAX_EVENTS:
        page = client.get_execution_history(**request)
        events += map(event_of, page["events"])
        if not page.get("nextToken"):
            return events, True
        request["nextToken"] = page["nextToken"]
    return events, False


def event_of(event: Mapping[str, Any]) -> HistoryEvent:
    """Return an event of GetExecutionHistory; the inverse of `HistoryEvent.to_json`."""
    at = event["timestamp"]
    found = (value for key, value in event.items() if _DETAILS.search(key))
    details: Mapping[str, Any] = next(found, {})
    return HistoryEvent(
        int(event["id"]),
        int(event.get("previousEventId", 0)),
        at if isinstance(at, float | int) else at.timestamp(),
        str(event["type"]),
        {key: _value(key, value) for key, value in details.items() if not key.endswith("Details")},
    )


def _value(key: str, value: Any) -> Any:
    """Return the value of a detail; a text that is no JSON, or was truncated, stays text."""
    try:
        if key in _TEXTS:
            return json.loads(value)
        if key == "assignedVariables":
            return {name: json.loads(text) for name, text in value.items()}
    except (TypeError, ValueError):
        pass
    return value
