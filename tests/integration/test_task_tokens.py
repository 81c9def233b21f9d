"""Tasks that wait for their token: answered once, timed out, stopped, and kept by a restart."""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from infra.asl import DefinitionError, compile_definition
from infra.errors import InvalidRequest
from infra.local.engine.executions import MAX_LOADED
from infra.local.template.errors import TemplateError
from infra.server.aws_api import AwsApi
from tests.fakes.runtime import HOUR, Rig, flow, task

WAIT = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
PARAMETERS = {
    "QueueUrl": "${Letters}",
    "MessageBody": {"token.$": "$$.Task.Token", "order.$": "$.order"},
}
CAUGHT = [{"ErrorEquals": ["States.ALL"], "Next": "Caught", "ResultPath": "$.failure"}]


def waiting(**fields: Any) -> dict[str, Any]:
    """Return a flow that asks and waits, and ends with the answer or the failure."""
    ask = task(WAIT, Parameters=PARAMETERS, Catch=CAUGHT, Next="Done", **fields)
    return flow(Ask=ask, Done={"Type": "Succeed"}, Caught={"Type": "Succeed"})


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, flow=waiting(TimeoutSeconds=7_200, HeartbeatSeconds=1_800))
    yield rig
    rig.close()


def begin(rig: Rig, name: str = "one") -> str:
    """Start an execution; return the token that it sent."""
    rig.start(name, {"order": name})
    rig.settle()
    return str(json.loads(rig.queue("Untouched")[-1]["body"])["token"])


def send(rig: Rig, operation: str, token: str, **fields: Any) -> Any:
    """Send a token back, as a client of the port does."""
    api = AwsApi(rig.engine, rig.database)
    body = json.dumps({"taskToken": token, **fields}).encode()
    answer = api.answer(f"AWSStepFunctions.SendTask{operation}", body)
    assert isinstance(answer, Future)
    rig.turn()
    result = answer.result(0)
    rig.settle()
    return result


def refused(rig: Rig, operation: str, token: str, **fields: Any) -> str:
    """Return the code of a refused answer."""
    with pytest.raises(InvalidRequest) as error:
        send(rig, operation, token, **fields)
    return error.value.code


def output(rig: Rig, name: str = "one") -> Any:
    """Return the output of an execution that has succeeded."""
    row = rig.execution(name)
    assert row["status"] == "SUCCEEDED"
    return json.loads(row["output"])


ARN = "arn:aws:states:us-east-1:000000000000:execution:shop-flow:one"


def in_one_turn(rig: Rig, *requests: tuple[str, dict[str, Any]]) -> list[Any]:
    """Run operations in the same turn; return each answer, or the code of the refusal."""
    api = AwsApi(rig.engine, rig.database)
    answers = [
        api.answer(f"AWSStepFunctions.{name}", json.dumps(fields).encode())
        for name, fields in requests
    ]
    rig.settle()
    results: list[Any] = []
    for answer in answers:
        assert isinstance(answer, Future)
        try:
            results.append(answer.result(0))
        except InvalidRequest as error:
            results.append(error.code)
    return results


def test_a_task_waits_without_a_place_in_memory_until_its_token_succeeds(rig: Rig) -> None:
    token = begin(rig)
    assert rig.execution("one")["status"] == "RUNNING"
    assert rig.engine.executions.live == {}
    assert send(rig, "Success", token, output='{"approved": true}') == {}
    assert output(rig) == {"approved": True}
    assert [event["type"] for event in rig.history("one")][2:6] == [
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
    ]
    assert len(rig.queue("Untouched")) == 1


def test_a_failure_has_the_senders_error_and_cause(rig: Rig) -> None:
    send(rig, "Failure", begin(rig), error="Rejected", cause="no budget")
    assert output(rig)["failure"] == {"Error": "Rejected", "Cause": "no budget"}


def test_a_token_is_valid_once(rig: Rig) -> None:
    token = begin(rig)
    send(rig, "Success", token, output="1")
    for operation, fields in (("Success", {"output": "2"}), ("Failure", {}), ("Heartbeat", {})):
        assert refused(rig, operation, token, **fields) == "TaskTimedOut"
    assert output(rig) == 1


def test_each_execution_has_its_own_token(rig: Rig) -> None:
    first, second = begin(rig, "one"), begin(rig, "two")
    send(rig, "Success", second, output='"second"')
    assert rig.execution("one")["status"] == "RUNNING"
    send(rig, "Success", first, output='"first"')
    assert (output(rig, "one"), output(rig, "two")) == ("first", "second")


@pytest.mark.parametrize("token", ["x", "AAAA", "é", "eDp5I3o=", "a" * 3_000])
def test_text_that_is_no_token_is_refused(rig: Rig, token: str) -> None:
    begin(rig)
    assert refused(rig, "Success", token, output="1") == "InvalidToken"
    assert rig.execution("one")["status"] == "RUNNING"


def test_a_token_with_another_secret_is_refused(rig: Rig) -> None:
    token = begin(rig)
    other = token[:-8] + ("AAAAAAA=" if token.endswith("=") else "AAAAAAAA")
    assert refused(rig, "Success", other, output="1") in {"TaskTimedOut", "InvalidToken"}
    assert rig.execution("one")["status"] == "RUNNING"


def test_an_output_that_is_no_json_leaves_the_task_waiting(rig: Rig) -> None:
    token = begin(rig)
    assert refused(rig, "Success", token, output="{") == "InvalidOutput"
    assert refused(rig, "Failure", token, error="x" * 257) == "ValidationException"
    send(rig, "Success", token, output="1")
    assert output(rig) == 1


def test_a_missed_heartbeat_is_a_timeout_of_its_own(rig: Rig) -> None:
    token = begin(rig)
    rig.pass_time(1_700)
    send(rig, "Heartbeat", token)
    rig.pass_time(1_700)
    assert rig.execution("one")["status"] == "RUNNING"
    rig.pass_time(200)
    assert output(rig)["failure"]["Error"] == "States.HeartbeatTimeout"
    assert refused(rig, "Success", token, output="1") == "TaskTimedOut"


def test_heartbeats_do_not_prolong_the_timeout(rig: Rig) -> None:
    token = begin(rig)
    for _ in range(4):
        rig.pass_time(1_700)
        send(rig, "Heartbeat", token)
    rig.pass_time(500)
    assert output(rig)["failure"]["Error"] == "States.Timeout"
    [event] = [event for event in rig.history("one") if event["type"] == "TaskTimedOut"]
    assert event["taskTimedOutEventDetails"]["error"] == "States.Timeout"


def test_a_restart_changes_nothing(rig: Rig) -> None:
    token = begin(rig)
    rig.restart()
    rig.settle()
    assert len(rig.queue("Untouched")) == 1  # the request is not sent again
    assert rig.execution("one")["status"] == "RUNNING"
    send(rig, "Success", token, output='"after"')
    assert output(rig) == "after"


def test_a_restart_keeps_the_heartbeat(rig: Rig) -> None:
    begin(rig)
    rig.pass_time(1_000)
    rig.restart()
    rig.pass_time(900)
    assert output(rig)["failure"]["Error"] == "States.HeartbeatTimeout"


def test_a_stopped_execution_takes_no_token(rig: Rig) -> None:
    token = begin(rig)
    api = AwsApi(rig.engine, rig.database)
    answer = api.answer(
        "AWSStepFunctions.StopExecution", json.dumps({"executionArn": ARN}).encode()
    )
    assert isinstance(answer, Future)
    rig.settle()
    assert rig.execution("one")["status"] == "ABORTED"
    assert refused(rig, "Success", token, output="1") == "TaskTimedOut"


def test_of_two_answers_in_a_turn_the_first_one_counts(rig: Rig) -> None:
    token = begin(rig)
    success = [("SendTaskSuccess", {"taskToken": token, "output": each}) for each in "12"]
    assert in_one_turn(rig, *success) == [{}, "TaskTimedOut"]
    assert output(rig) == 1


def test_an_execution_that_was_stopped_in_the_turn_takes_no_token(rig: Rig) -> None:
    token = begin(rig)
    stop = ("StopExecution", {"executionArn": ARN})
    success = ("SendTaskSuccess", {"taskToken": token, "output": "1"})
    first, second, third = in_one_turn(rig, stop, success, stop)
    assert (list(first), second, third) == (["stopDate"], "TaskTimedOut", first)
    assert rig.execution("one")["status"] == "ABORTED"
    assert [event["type"] for event in rig.history("one")].count("ExecutionAborted") == 1


def test_an_execution_that_is_stopped_before_it_begins_does_not_begin(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.engine.executions, "room", lambda: 0)
    rig.start("one", {"order": "one"})
    rig.turn()
    monkeypatch.undo()
    in_one_turn(rig, ("StopExecution", {"executionArn": ARN}))
    assert rig.execution("one")["status"] == "ABORTED"
    assert rig.queue("Untouched") == []


def test_more_executions_wait_than_fit_into_memory(tmp_path: Path) -> None:
    rig = Rig(tmp_path, flow=waiting())
    count = MAX_LOADED + 50
    for number in range(count):
        rig.start(f"n-{number}", {"order": number})
    rig.settle()
    tokens = [json.loads(message["body"])["token"] for message in rig.queue("Untouched")]
    assert len(set(tokens)) == count
    send(rig, "Success", tokens[-1], output="1")
    assert rig.rows("select count(*) as n from executions where status = 'RUNNING'") == [
        {"n": count - 1}
    ]
    rig.close()


def test_a_retry_sends_a_new_token(tmp_path: Path) -> None:
    retry = [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    rig = Rig(tmp_path, flow=waiting(Retry=retry))
    first = begin(rig)
    send(rig, "Failure", first, error="Again")
    rig.pass_time(2)
    second = json.loads(rig.queue("Untouched")[-1]["body"])["token"]
    assert second != first
    assert refused(rig, "Success", first, output="1") == "TaskTimedOut"
    send(rig, "Success", second, output="2")
    assert output(rig) == 2
    rig.close()


def test_branches_wait_for_their_own_tokens(tmp_path: Path) -> None:
    parameters = {**PARAMETERS, "MessageBody": {"token.$": "$$.Task.Token"}}
    ask = task(WAIT, Parameters=parameters)
    branches = [flow(First=ask), flow(Second=ask)]
    rig = Rig(tmp_path, flow=flow(Both={"Type": "Parallel", "Branches": branches, "End": True}))
    rig.start("one", {})
    rig.settle()
    tokens = [json.loads(message["body"])["token"] for message in rig.queue("Untouched")]
    rig.restart()
    send(rig, "Success", tokens[1], output="2")
    send(rig, "Success", tokens[0], output="1")
    assert output(rig) == [1, 2]
    rig.close()


def test_a_task_without_a_timeout_waits_for_years(tmp_path: Path) -> None:
    rig = Rig(tmp_path, flow=waiting())
    token = begin(rig)
    rig.pass_time(24 * 365 * HOUR)
    send(rig, "Success", token, output="1")
    assert output(rig) == 1
    rig.close()


@pytest.mark.parametrize(
    ("resource", "express"),
    [
        (WAIT, True),
        ("arn:aws:states:::states:startExecution.waitForTaskToken", False),
        ("arn:aws:states:::sqs:sendMessage.sync", False),
    ],
)
def test_a_wait_that_is_not_supported_is_refused_by_name(resource: str, *, express: bool) -> None:
    definition = flow(Ask=task(resource, Parameters=PARAMETERS))
    with pytest.raises(DefinitionError, match=r"waitForTaskToken|sendMessage\.sync"):
        compile_definition(definition, name="x", express=express)


def test_an_express_machine_that_waits_for_a_token_is_refused_at_load(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="Express state machine does not support"):
        Rig(tmp_path, flow=waiting(), parameters={"FlowType": "EXPRESS"})
