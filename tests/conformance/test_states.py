"""The workflow language: executions end as on AWS, with a virtual clock."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.asl import JSON, Ended, RunTask, TaskFailed, TaskSucceeded, compile_definition
from infra.local.template.task_parameters import PARAMETERS
from tests.unit.asl.virtual_host import EPOCH, NEVER, Answer, VirtualHost

KNOWN_DIFFERENCES: dict[str, str] = yaml.safe_load(
    (Path(__file__).parent / "known_differences.yaml").read_text()
)
DAY = 86_400


@pytest.mark.vectors("states.jsonl", "states_masked.jsonl")
def test_an_execution_ends_as_on_aws(case: dict[str, Any], request: pytest.FixtureRequest) -> None:
    if "DistributedMap" in case["features"]:
        pytest.skip("a distributed Map is not supported")
    if case["name"] in KNOWN_DIFFERENCES:
        reason = KNOWN_DIFFERENCES[case["name"]]
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    machine = compile_definition(case["definition"], name="conformance", integrations=PARAMETERS)
    host = VirtualHost(machine, _perform(case["tasks"]))
    ended = host.run(_input(case), _context(case))
    _check_end(ended, case["expect"])
    _check_states(host, case)


def _input(case: dict[str, Any]) -> JSON:
    """Return the input; a masked timestamp is replaced by one as far ahead as the name says."""
    days = re.search(r"test_timestamp_too_far_in_future_boundary\[(\d+)\]", case["name"])
    if days is None or case["input"] != {"start_at": "timestamp"}:
        return case["input"]
    moment = datetime.fromtimestamp(EPOCH + int(days[1]) * DAY, UTC)
    return {"start_at": moment.isoformat().replace("+00:00", "Z")}


def _context(case: dict[str, Any]) -> JSON:
    account = "us-east-1:123456789012"
    return {
        "Execution": {
            "Id": f"arn:aws:states:{account}:execution:conformance:one",
            "Input": _input(case),
            "StartTime": "2026-01-01T00:00:00.000Z",
            "Name": "one",
            "RoleArn": "arn:aws:iam::123456789012:role/conformance",
            "RedriveCount": 0,
        },
        "StateMachine": {
            "Id": f"arn:aws:states:{account}:stateMachine:conformance",
            "Name": "conformance",
        },
    }


def _perform(functions: list[dict[str, Any]]) -> Callable[[RunTask], Answer]:
    """Return a Lambda service with the functions of a case, by name and by ARN."""
    by_name = {name: each for each in functions for name in (each["function"], each["arn"])}

    def perform(task: RunTask) -> Answer:
        if not task.resource.startswith("arn:aws:states:"):
            return _invoke(task, by_name[task.resource], task.parameters, _spaced)
        payload = task.parameters.get("Payload")
        event = json.loads(payload) if isinstance(payload, str) else payload
        answer = _invoke(task, by_name[task.parameters["FunctionName"]], event, _compact)
        if isinstance(answer, TaskSucceeded):
            return TaskSucceeded(answer.token, _invoke_response(answer.output))
        return answer

    return perform


def _invoke(
    task: RunTask, function: dict[str, Any], event: JSON, render: Callable[[JSON], str]
) -> Answer:
    match function["behaviour"]:
        case "echo":
            return TaskSucceeded(task.token, event)
        case "constant":
            return TaskSucceeded(task.token, function["value"])
        case "raise":
            error = {"errorMessage": function["message"], "errorType": function["error"]}
            return TaskFailed(task.token, function["error"], render(error))
        case "missing":
            cause = (
                f"Function not found: {function['arn']}:$LATEST (Service: AWSLambda; Status Code: "
                "404; Error Code: ResourceNotFoundException; Request ID: 1; Proxy: null)"
            )
            return TaskFailed(task.token, "Lambda.ResourceNotFoundException", cause)
        case "other" if function["handler"].startswith("large_output"):
            return TaskSucceeded(task.token, "a" * 257 * 1024)
    assert function["behaviour"] == "timeout", function
    return NEVER


def _compact(value: JSON) -> str:
    return json.dumps(value, separators=(",", ":"))


def _spaced(value: JSON) -> str:
    return json.dumps(value)


def _invoke_response(payload: JSON) -> JSON:
    headers = {
        "Connection": "keep-alive",
        "Content-Length": str(len(_spaced(payload))),
        "Content-Type": "application/json",
        "Date": "masked",
        "X-Amz-Executed-Version": "$LATEST",
        "x-amzn-Remapped-Content-Length": "0",
        "x-amzn-RequestId": "masked",
        "X-Amzn-Trace-Id": "masked",
    }
    return {
        "ExecutedVersion": "$LATEST",
        "Payload": payload,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": "masked"},
        "StatusCode": 200,
    }


def _check_end(ended: Ended, expect: dict[str, Any]) -> None:
    assert ended.status == expect["status"], (ended.error, ended.cause)
    if expect["status"] == "SUCCEEDED":
        masked = expect.get("output_masked", ())
        assert _shown(ended.output, masked) == _shown(expect["output"], masked)
    assert ended.error == expect["error"], ended.cause
    if expect["cause_pattern"] is not None:
        assert re.fullmatch(expect["cause_pattern"], ended.cause or "") is not None, ended.cause
    elif expect["cause_json"] is not None:
        cause = json.loads(ended.cause or "null")
        assert {key: cause[key] for key in expect["cause_json"]} == expect["cause_json"]
    else:
        assert ended.cause == expect["cause"]


def _shown(value: JSON, masked: tuple[str, ...] = (), place: str = "") -> JSON:
    """Return a comparable value: masked parts replaced, and booleans distinct from numbers."""
    if place in masked:
        return "masked"
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, dict):
        return {key: _shown(item, masked, f"{place}/{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item, masked, f"{place}/{index}") for index, item in enumerate(value)]
    return value


def _check_states(host: VirtualHost, case: dict[str, Any]) -> None:
    expected = case.get("states_entered")
    if expected is None:
        return
    ordered = case["states_entered_order"] == "total"
    arranged = (lambda names: names) if ordered else sorted
    assert arranged(host.states_entered) == arranged(expected)
    if not ordered:
        return
    exits = [event.details for event in host.history if event.type.endswith("StateExited")]
    for exited, recorded in zip(exits, case["states_exited"], strict=True):
        assert exited["name"] == recorded["name"]
        if not recorded.get("masked"):
            variables = recorded.get("variables", {})
            assert _shown(exited["output"]) == _shown(recorded["output"])
            assert _shown(exited.get("assignedVariables", {})) == _shown(variables)
