"""RedriveExecution: once per token, refused as AWS refuses it, and kept by a crash."""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from infra.errors import InvalidRequest
from infra.local.directory.history_pieces import packed_text, unpacked_text
from infra.local.engine import execution_redrive
from infra.local.engine.execution_control import stop_execution
from infra.local.engine.executions import MAX_LOADED
from infra.server.aws_api import AwsApi
from infra.server.machines_api import named_execution
from tests.fakes.runtime import DAY, NOW, FunctionError, Rig, flow, task

STATES = "arn:aws:states:us-east-1:000000000000"
ARN = f"{STATES}:execution:shop-flow:one"
INVOKE = "arn:aws:states:::lambda:invoke"
PAYLOAD = {"count.$": "$$.Execution.RedriveCount", "whole.$": "$$.Execution"}
STEPS = flow(
    First=task(INVOKE, Parameters={"FunctionName": "${Other}"}, Next="Second", ResultPath=None),
    Second=task(INVOKE, Parameters={"FunctionName": "${Step}", "Payload": PAYLOAD}),
)


class Flaky:
    """A function that fails until it is mended."""

    def __init__(self) -> None:
        self.mended = False

    def __call__(self, payload: Any) -> Any:
        if not self.mended:
            raise FunctionError("Down")
        return payload


@pytest.fixture
def step() -> Flaky:
    return Flaky()


@pytest.fixture
def rig(tmp_path: Path, step: Flaky) -> Iterator[Rig]:
    rig = Rig(tmp_path, flow=STEPS, handlers={"Step": step, "Other": lambda _: "done"})
    rig.start("one", {"a": 1})
    rig.settle()
    assert rig.execution("one")["status"] == "FAILED"
    yield rig
    rig.close()


def asked(rig: Rig, operation: str, **fields: Any) -> Any:
    """Return the answer of an operation of the port."""
    answer = AwsApi(rig.engine, rig.database).answer(
        f"AWSStepFunctions.{operation}", json.dumps(fields).encode()
    )
    if isinstance(answer, Future):
        rig.turn()
        return answer.result(0)
    return answer


def redrive(rig: Rig, arn: str = ARN, **fields: Any) -> Any:
    return asked(rig, "RedriveExecution", executionArn=arn, **fields)


def refusal(rig: Rig, arn: str = ARN, **fields: Any) -> tuple[str, str]:
    """Return the code and the message of a refused redrive."""
    with pytest.raises(InvalidRequest) as error:
        redrive(rig, arn, **fields)
    return error.value.code, str(error.value)


def told(rig: Rig) -> dict[str, Any]:
    """Return the fields of DescribeExecution that tell of redrives."""
    described = asked(rig, "DescribeExecution", executionArn=ARN)
    return {name: value for name, value in described.items() if name.startswith("redrive")}


def test_a_redrive_that_ended_the_process_twice_is_refused_from_then_on(rig: Rig) -> None:
    """The recovery quarantines the execution; the redrive itself was never committed."""
    events = rig.history("one")
    rig.engine.executions.quarantine(rig.execution("one")["id"], "it ended the process", NOW)
    rig.turn()
    code, message = refusal(rig)
    assert code == "ExecutionNotRedrivable"
    assert "ended the process twice while it was redriven" in message
    assert told(rig)["redriveStatus"] == "NOT_REDRIVABLE"
    assert rig.execution("one")["status"] == "FAILED"
    assert rig.history("one") == events


def test_a_failed_execution_continues_at_its_failed_task(rig: Rig, step: Flaky) -> None:
    assert told(rig) == {"redriveCount": 0, "redriveStatus": "REDRIVABLE"}
    step.mended = True
    rig.clock.time = NOW + 60
    assert redrive(rig) == {"redriveDate": NOW + 60}
    running = rig.execution("one")
    assert (running["status"], running["error"], running["ended_at"]) == ("RUNNING", None, None)
    rig.settle()
    ended = rig.execution("one")
    assert (ended["status"], ended["error"], ended["cause"]) == ("SUCCEEDED", None, None)
    assert len(rig.functions.of("Other")) == 1
    payload = rig.functions.of("Step")[-1]
    assert payload["count"] == 1
    assert payload["whole"]["RedriveTime"] == "2027-01-15T08:01:00.000Z"
    assert told(rig) == {
        "redriveCount": 1,
        "redriveDate": NOW + 60,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
    }
    events = rig.history("one")
    [redriven] = [event for event in events if event["type"] == "ExecutionRedriven"]
    assert redriven["executionRedrivenEventDetails"] == {"redriveCount": 1}
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] for event in events].count("ExecutionFailed") == 1


def test_a_redrive_that_fails_can_be_redriven(rig: Rig, step: Flaky) -> None:
    for count in (1, 2, 3):
        redrive(rig)
        rig.settle()
        assert rig.execution("one")["error"] == "Down"
        assert told(rig)["redriveCount"] == count
    step.mended = True
    redrive(rig)
    rig.settle()
    assert rig.execution("one")["status"] == "SUCCEEDED"
    assert rig.functions.of("Step")[-1]["count"] == 4


def test_a_request_with_the_same_token_is_answered_without_a_redrive(rig: Rig) -> None:
    first = redrive(rig, clientToken="t")
    rig.settle()
    rig.clock.time += 899
    assert redrive(rig, clientToken="t") == first
    rig.settle()
    assert told(rig)["redriveCount"] == 1
    rig.clock.time += 2  # the token's life of 15 minutes is over
    assert redrive(rig, clientToken="t")["redriveDate"] == NOW + 901
    rig.settle()
    assert told(rig)["redriveCount"] == 2


def test_the_last_ten_tokens_are_remembered(rig: Rig) -> None:
    for number in range(11):
        rig.clock.time += 1
        redrive(rig, clientToken=f"t{number}")
        rig.settle()
    assert redrive(rig, clientToken="t1")["redriveDate"] == NOW + 2
    assert told(rig)["redriveCount"] == 11
    redrive(rig, clientToken="t0")
    rig.settle()
    assert told(rig)["redriveCount"] == 12


def test_requests_of_one_turn_redrive_once(rig: Rig) -> None:
    api = AwsApi(rig.engine, rig.database)
    bodies = [{"clientToken": "t"}, {"clientToken": "t"}, {"clientToken": "other"}, {}]
    answers = [
        api.answer(
            "AWSStepFunctions.RedriveExecution", json.dumps({"executionArn": ARN, **body}).encode()
        )
        for body in bodies
    ]
    rig.turn()
    results: list[Any] = []
    for answer in answers:
        assert isinstance(answer, Future)
        error = answer.exception(0)
        results.append(error.code if isinstance(error, InvalidRequest) else answer.result(0))
    assert results == [{"redriveDate": NOW}] * 2 + ["ExecutionNotRedrivable"] * 2
    rig.settle()
    assert told(rig)["redriveCount"] == 1
    assert len(rig.functions.of("Step")) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("status = 'RUNNING'", "Execution is RUNNING and cannot be redriven"),
        ("status = 'SUCCEEDED'", "Execution is SUCCEEDED and cannot be redriven"),
        (f"ended_at = {NOW - 14 * DAY - 1}", "Execution redrivable period exceeded"),
        (f"started_at = {NOW - 365 * DAY - 1}", "Execution has exceeded the max execution time"),
    ],
)
def test_an_execution_that_cannot_be_redriven_says_why(rig: Rig, change: str, reason: str) -> None:
    with rig.database.write() as connection:
        connection.execute(f"update executions set {change}")
    assert told(rig)["redriveStatusReason"] == reason
    assert refusal(rig) == ("ExecutionNotRedrivable", reason)
    with rig.database.write() as connection:  # it is no longer running
        connection.execute("update executions set status = 'FAILED'")


@pytest.mark.parametrize(
    "change", [f"ended_at = {NOW - 14 * DAY}", f"started_at = {NOW - 365 * DAY}"]
)
def test_the_limits_themselves_are_allowed(rig: Rig, change: str) -> None:
    with rig.database.write() as connection:
        connection.execute(f"update executions set {change}")
    assert told(rig)["redriveStatus"] == "REDRIVABLE"


@pytest.mark.parametrize(("room", "status"), [(1, "REDRIVABLE"), (0, "NOT_REDRIVABLE")])
def test_a_full_history_cannot_be_redriven(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, room: int, status: str
) -> None:
    assert execution_redrive.MAX_EVENTS == 24_999
    monkeypatch.setattr(execution_redrive, "MAX_EVENTS", len(rig.history("one")) + room)
    assert told(rig)["redriveStatus"] == status


def test_an_end_from_before_redrives_were_possible_is_refused(rig: Rig) -> None:
    [last] = rig.rows("select id, piece from history order by id desc limit 1")
    events = unpacked_text(last["piece"]).partition(b"\n")[0]
    with rig.database.write() as connection:
        piece = packed_text(events)
        connection.execute("update history set piece = ? where id = ?", (piece, last["id"]))
    code, message = refusal(rig)
    assert code == "ExecutionNotRedrivable"
    assert message == "Execution was started before the launch of RedriveExecution"


@pytest.mark.parametrize(
    ("arn", "token", "code"),
    [
        (f"{STATES}:execution:shop-flow:two", None, "ExecutionDoesNotExist"),
        (f"{STATES}:express:shop-flow:one:1", None, "InvalidArn"),
        ("one", None, "InvalidArn"),
        (ARN, "", "ValidationException"),
        (ARN, "with space", "ValidationException"),
        (ARN, "t" * 65, "ValidationException"),
    ],
)
def test_a_wrong_request_is_refused(rig: Rig, arn: str, token: str | None, code: str) -> None:
    fields = {} if token is None else {"clientToken": token}
    assert refusal(rig, arn, **fields)[0] == code


def test_too_many_running_executions_are_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_redrive, "MAX_RUNNING", 1)
    rig.start("waits", machine="SubFlow")
    rig.turn()
    assert refusal(rig)[0] == "ExecutionLimitExceeded"


def test_a_process_that_ends_before_the_commit_has_not_redriven(rig: Rig, step: Flaky) -> None:
    step.mended = True
    request = json.dumps({"executionArn": ARN, "clientToken": "t"}).encode()
    AwsApi(rig.engine, rig.database).answer("AWSStepFunctions.RedriveExecution", request)
    rig.restart()
    rig.settle()
    assert rig.execution("one")["status"] == "FAILED"
    assert told(rig)["redriveCount"] == 0
    redrive(rig, clientToken="t")
    rig.settle()
    assert rig.execution("one")["status"] == "SUCCEEDED"


def test_a_process_that_ends_after_the_commit_continues_the_redrive(rig: Rig, step: Flaky) -> None:
    step.mended = True
    first = redrive(rig, clientToken="t")
    called = len(rig.functions.calls)
    rig.restart()
    assert redrive(rig, clientToken="t") == first
    rig.settle()
    assert rig.execution("one")["status"] == "SUCCEEDED"
    assert told(rig)["redriveCount"] == 1
    assert called + len(rig.functions.calls) == 3 + 1  # the call in flight is repeated
    assert rig.functions.of("Step")[-1]["count"] == 1
    types = [event["type"] for event in rig.history("one")]
    assert types.count("ExecutionRedriven") == 1


def test_a_redrive_and_its_rows_are_one_commit(rig: Rig, step: Flaky) -> None:
    step.mended = True
    rows = (
        "select status, (select count(*) from execution_redrives), (select count(*) from history"
        " where execution_id = executions.id) from executions"
    )
    seen = []
    request = json.dumps({"executionArn": ARN}).encode()
    answer = AwsApi(rig.engine, rig.database).answer("AWSStepFunctions.RedriveExecution", request)
    assert isinstance(answer, Future)
    answer.add_done_callback(lambda _: seen.append(rig.outside(rows)))
    [(_, _, pieces)] = rig.outside(rows)
    rig.turn()
    assert seen == [[("RUNNING", 1, pieces + 1)]]


def test_an_execution_that_was_stopped_is_redriven_where_it_was(tmp_path: Path) -> None:
    rig = Rig(tmp_path, flow=STEPS, handlers={"Other": lambda _: "done"})
    rig.start("one")
    rig.turn(3)
    rig.ask(lambda now: stop(rig, now))
    rig.settle()
    assert rig.execution("one")["status"] == "ABORTED"
    redrive(rig)
    rig.turn()
    calls = [call for call in rig.functions.calls if call.function.name == "Step"]
    rig.functions.answer(calls[0], "late")
    rig.turn()
    assert rig.execution("one")["status"] == "RUNNING"  # the first call's answer is ignored
    rig.functions.answer(calls[1], "now")
    rig.settle()
    assert json.loads(rig.execution("one")["output"])["Payload"] == "now"
    rig.close()


def stop(rig: Rig, now: float, name: str = "one") -> float:
    row = named_execution(rig.database, f"shop-flow:{name}")
    return stop_execution(rig.engine.executions, row, "Halt", "by hand", now)


def test_an_execution_that_was_stopped_before_it_began_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, flow=STEPS, handlers={"Other": lambda _: "done", "Step": lambda _: 1})
    monkeypatch.setattr(rig.engine.executions, "room", lambda: 0)
    rig.start("one", {"a": 1})
    rig.ask(lambda now: stop(rig, now))
    monkeypatch.undo()
    rig.settle()
    assert rig.execution("one")["status"] == "ABORTED"
    redrive(rig)
    rig.settle()
    assert rig.execution("one")["status"] == "SUCCEEDED"
    assert rig.entered("one") == ["First", "Second"]
    rig.close()


def test_a_redrive_that_fails_in_the_turn_of_another_end_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, flow=flow(Only={"Type": "Fail", "Error": "Told"}))
    rig.start("one")
    rig.settle()
    monkeypatch.setattr(rig.engine.executions, "room", lambda: 0)
    rig.start("two")
    rig.turn()

    def both(now: float) -> None:
        stop(rig, now, "two")  # it has not begun: its row is written at once
        row = named_execution(rig.database, "shop-flow:one")
        execution_redrive.redrive_execution(rig.engine.executions, row, None, now)

    rig.ask(both)
    monkeypatch.undo()
    rig.settle()
    assert rig.execution("two")["status"] == "ABORTED"
    ended = rig.execution("one")
    assert (ended["status"], ended["error"], ended["ended_at"]) == ("FAILED", "Told", NOW)
    assert told(rig)["redriveStatus"] == "REDRIVABLE"
    rig.close()


def test_redriven_executions_may_be_more_than_fit_into_memory(tmp_path: Path) -> None:
    waits = flow(Wait={"Type": "Wait", "Seconds": 1, "Next": "Second"}, Second={"Type": "Fail"})
    rig = Rig(tmp_path, flow=waits)
    rig.start("one")
    rig.pass_time(1)
    for number in range(MAX_LOADED):
        rig.start(f"f{number}")
    redrive(rig)
    rig.settle()
    assert told(rig)["redriveCount"] == 1
    assert rig.execution("one")["status"] == "FAILED"
    rig.pass_time(1)
    assert rig.rows("select distinct status from executions") == [{"status": "FAILED"}]
    rig.close()


def test_a_list_tells_and_selects_redriven_executions(rig: Rig) -> None:
    rig.start("two")
    rig.settle()
    redrive(rig)
    rig.settle()
    machine = f"{STATES}:stateMachine:shop-flow"

    def names(**fields: Any) -> dict[str, Any]:
        found = asked(rig, "ListExecutions", stateMachineArn=machine, **fields)["executions"]
        return {each["name"]: each["redriveCount"] for each in found}

    assert names() == {"one": 1, "two": 0}
    assert names(redriveFilter="REDRIVEN") == {"one": 1}
    assert names(redriveFilter="NOT_REDRIVEN") == {"two": 0}
    for wrong in ({"redriveFilter": "X"}, {"statusFilter": "PENDING_REDRIVE"}, {"mapRunArn": "x"}):
        with pytest.raises(InvalidRequest) as error:
            names(**wrong)
        assert error.value.code == "ValidationException"


def test_an_express_execution_tells_that_it_cannot_be_redriven(tmp_path: Path) -> None:
    rig = Rig(tmp_path, flow=STEPS, parameters={"FlowType": "EXPRESS"}, handlers={"Other": Flaky()})
    arn = rig.start("one")
    rig.settle()
    described = asked(rig, "DescribeExecution", executionArn=arn)
    assert described["redriveStatus"] == "NOT_REDRIVABLE"
    assert "EXPRESS" in described["redriveStatusReason"]
    [piece] = rig.rows("select piece from history order by id desc limit 1")
    assert b"\n" not in unpacked_text(piece["piece"])  # an order's run stores no state at its end
    assert refusal(rig, arn)[0] == "InvalidArn"
    rig.close()
