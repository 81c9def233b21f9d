"""Executions: journalled before they act, resumed after any turn, unloaded while they wait."""

import gc
import json
import sqlite3
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from infra.asl import Execution
from infra.local.directory.history_pieces import snapshot_in
from infra.local.engine.executions import MAX_INPUT, MAX_LOADED, UNLOAD_AFTER
from infra.local.engine.integrations import TaskError
from tests.fakes.runtime import DAY, MINUTE, NOW, FakeFunctions, FunctionError, Rig, flow, task

SEND = "arn:aws:states:::sqs:sendMessage"
PUT = "arn:aws:states:::events:putEvents"
START = "arn:aws:states:::states:startExecution"
INVOKE = "arn:aws:states:::lambda:invoke"
SUB_FLOW = "arn:aws:states:us-east-1:000000000000:stateMachine:SubFlow"

Make = Callable[..., Rig]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return a function that opens a rig, which is closed with the test."""
    opened: list[Rig] = []

    def build(*_: Any, **options: Any) -> Rig:
        opened.append(Rig(tmp_path, **options))
        return opened[-1]

    yield build
    for rig in opened:
        rig.close()


def wait(seconds: int, **fields: Any) -> dict[str, Any]:
    """Return a Wait state, which ends its workflow by default."""
    end = {} if "Next" in fields else {"End": True}
    return {"Type": "Wait", "Seconds": seconds, **end, **fields}


def begin(rig: Rig, name: str, body: Any) -> Callable[[float], str]:
    """Return the request that starts an execution."""
    return lambda now: rig.engine.executions.start("shop-flow", name, body, now)


def echo(payload: Any) -> Any:
    return payload


# ---- starting, calling, ending


def test_an_execution_runs_its_functions_and_ends_with_their_answer(make: Make) -> None:
    rig = make(handlers={"Step": lambda given: {"got": given}})
    arn = rig.start("one", {"order_id": "A-1"})
    rig.settle()
    row = rig.execution("one")
    assert arn == "arn:aws:states:us-east-1:000000000000:execution:shop-flow:one"
    assert (row["status"], json.loads(row["output"])) == ("SUCCEEDED", {"got": {"order_id": "A-1"}})
    assert (row["started_at"], row["ended_at"]) == (NOW, NOW)
    assert row["wake_at"] is None
    assert row["order_id"] == "A-1"


def test_an_ended_execution_is_freed_without_the_garbage_collector(make: Make) -> None:
    rig = make(handlers={"Step": echo})
    gc.collect()
    gc.disable()
    before = {id(held) for held in gc.get_objects() if isinstance(held, Execution)}
    try:
        rig.start("one", {"order_id": "A-1"})
        rig.settle()
        after = {id(held) for held in gc.get_objects() if isinstance(held, Execution)}
    finally:
        gc.enable()
    assert rig.execution("one")["status"] == "SUCCEEDED"
    assert after <= before


def test_an_execution_fails_with_its_functions_error(make: Make) -> None:
    def decline(_: Any) -> Any:
        raise FunctionError("PaymentDeclined", "no money")

    rig = make(handlers={"Step": decline})
    rig.start("one")
    rig.settle()
    row = rig.execution("one")
    assert (row["status"], row["error"]) == ("FAILED", "PaymentDeclined")
    assert json.loads(row["cause"])["errorMessage"] == "no money"


def test_lambda_invoke_answers_with_the_response_around_the_payload(make: Make) -> None:
    definition = flow(
        Step=task(
            INVOKE, Parameters={"FunctionName": "${Step}", "Payload": {"order.$": "$.order_id"}}
        )
    )
    rig = make(flow=definition, handlers={"Step": echo})
    rig.start("one", {"order_id": "A-1"})
    rig.settle()
    answer = json.loads(rig.execution("one")["output"])
    request = answer["SdkResponseMetadata"]["RequestId"]
    trace = answer["SdkHttpMetadata"]["HttpHeaders"]["X-Amzn-Trace-Id"]
    assert trace.startswith("root=1-")
    headers = {
        "Connection": "keep-alive",
        "Content-Length": "15",
        "Content-Type": "application/json",
        "Date": "Fri, 15 Jan 2027 08:00:00 GMT",
        "X-Amz-Executed-Version": "$LATEST",
        "x-amzn-Remapped-Content-Length": "0",
        "x-amzn-RequestId": request,
        "X-Amzn-Trace-Id": trace,
    }
    assert answer == {
        "ExecutedVersion": "$LATEST",
        "Payload": {"order": "A-1"},
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": request},
        "StatusCode": 200,
    }


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"Name": "a b/c?"}, "StepFunctions.InvalidNameException"),
        ({"Name": "x" * 81}, "StepFunctions.InvalidNameException"),
        ({"Input": "{"}, "StepFunctions.InvalidExecutionInputException"),
    ],
)
def test_a_nested_start_has_the_checks_of_the_port(
    make: Make, parameters: dict[str, Any], error: str
) -> None:
    rig = make(flow=flow(Step=task(START, Parameters={"StateMachineArn": SUB_FLOW, **parameters})))
    rig.start("one", {})
    rig.settle()
    assert rig.execution("one")["error"] == error


def test_a_nested_start_reads_a_text_as_json(make: Make) -> None:
    parameters = {"StateMachineArn": SUB_FLOW, "Name": "k", "Input": '{"a":1}'}
    rig = make(flow=flow(Step=task(START, Parameters=parameters)))
    rig.start("one", {})
    rig.settle()
    assert json.loads(rig.execution("k")["input"]) == {"a": 1}


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"InvocationType": "Event"}, "must be RequestResponse"),
        ({"Qualifier": "7"}, "must be $LATEST"),
        ({"Surprise": 1}, "The parameter 'Surprise' is not supported"),
    ],
)
def test_a_parameter_that_only_the_data_has_is_refused_too(
    make: Make, parameters: dict[str, Any], problem: str
) -> None:
    rig = make(flow=flow(Step=task(INVOKE, InputPath="$.all")), handlers={"Step": echo})
    rig.start("one", {"all": {"FunctionName": "Step", **parameters}})
    rig.settle()
    row = rig.execution("one")
    assert row["error"] == "States.Runtime"
    assert problem in row["cause"]


def test_a_missing_function_is_an_error_that_can_be_caught(make: Make) -> None:
    catch = [{"ErrorEquals": ["Lambda.ResourceNotFoundException"], "Next": "Caught"}]
    missing = "arn:aws:lambda:us-east-1:000000000000:function:Missing"
    rig = make(flow=flow(Step=task(missing, Catch=catch), Caught={"Type": "Succeed"}))
    rig.start("one")
    rig.settle()
    assert rig.entered("one") == ["Step", "Caught"]


def test_the_context_object_names_the_execution_and_its_machine(make: Make) -> None:
    rig = make(flow=flow(Step={"Type": "Pass", "Parameters": {"context.$": "$$"}, "End": True}))
    rig.start("one", {"a": 1})
    rig.settle()
    context = json.loads(rig.execution("one")["output"])["context"]
    arn = "arn:aws:states:us-east-1:000000000000"
    assert context["Execution"] == {
        "Id": f"{arn}:execution:shop-flow:one",
        "Input": {"a": 1},
        "Name": "one",
        "RedriveCount": 0,
        "RoleArn": "arn:aws:iam::000000000000:role/shop-flow",
        "StartTime": "2027-01-15T08:00:00.000Z",
    }
    assert context["StateMachine"] == {
        "Id": f"{arn}:stateMachine:shop-flow",
        "Name": "shop-flow",
    }


# ---- journal first


def test_a_function_is_called_after_the_commit_of_its_execution(make: Make) -> None:
    rig = make()
    seen: list[Any] = []
    rig.functions.on_submit = lambda _: seen.append(
        rig.outside(
            "select name, status, count(h.id) from executions e join history h"
            " on h.execution_id = e.id"
        )
    )
    rig.start("one")
    rig.settle()
    assert seen == [[("one", "RUNNING", 1)]]


def test_the_next_function_is_called_after_the_commit_of_the_step_before(make: Make) -> None:
    rig = make(flow=flow(First=task(Next="Second"), Second=task("${Other}")))
    rig.start("one")
    seen: list[Any] = []
    rig.functions.on_submit = lambda _: seen.append(
        snapshot_in(rig.outside("select piece from history order by id")[-1][0])
    )
    rig.functions.answer(rig.functions.calls[0], {})
    rig.settle()
    assert [one["root"]["state"] for one in seen] == ["Second"]


def test_a_start_is_answered_after_the_commit_of_its_execution(make: Make) -> None:
    rig = make()
    seen: list[Any] = []
    future = rig.engine.call(lambda now: rig.engine.executions.start("shop-flow", "one", {}, now))
    future.add_done_callback(lambda _: seen.append(rig.outside("select name from executions")))
    rig.turn()
    assert seen == [[("one",)]]


def test_a_turn_with_a_failed_commit_calls_no_function(make: Make) -> None:
    rig = make()
    rig.settle()
    [pages] = rig.database.connection.execute("pragma page_count").fetchone()
    rig.database.connection.execute(f"pragma max_page_count = {pages}")
    rig.engine.call(
        lambda now: rig.engine.executions.start("shop-flow", "big", {"x": "y" * 100_000}, now)
    )
    with pytest.raises(sqlite3.OperationalError, match="full"):
        rig.turn()
    assert rig.functions.calls == []


# ---- restarts

LONG = flow(
    First=task(Retry=[{"ErrorEquals": ["Flaky"], "IntervalSeconds": 1}], Next="Pause"),
    Pause=wait(900, Next="Both"),
    Both={
        "Type": "Parallel",
        "Branches": [
            flow(Left=task("${Other}")),
            flow(Right=wait(2, Next="RightTask"), RightTask=task("${Other}")),
        ],
        "Next": "Each",
    },
    Each={
        "Type": "Map",
        "MaxConcurrency": 1,
        "ItemProcessor": flow(One=task("${Other}")),
        "Next": "Last",
    },
    Last=task("${Step}"),
)
"""Each kind of waiting: for a retry, a time, functions side by side, one after the other."""


class Flaky:
    """A function whose first call fails."""

    def __init__(self) -> None:
        self.failed = False

    def __call__(self, payload: Any) -> Any:
        if not self.failed:
            self.failed = True
            raise FunctionError("Flaky")
        return payload


def run_long(make: Make, restart_after: int | None) -> tuple[list[str], dict[str, Any]]:
    """Run the long workflow with a restart after a turn; return its path and its row."""
    rig = make(flow=LONG, handlers={"Step": Flaky(), "Other": echo})
    rig.start("one", {"order_id": "A-1"})
    for turn in range(200):
        if turn == restart_after:
            rig.restart()
        if rig.execution("one")["status"] != "RUNNING":
            break
        if not rig.engine.turn(0):
            rig.clock.time = max(rig.clock.time, rig.engine.next_due(schedules=False))
    return rig.entered("one"), rig.execution("one")


WHOLE = ["First", "Pause", "Both", "Left", "Right", "RightTask", "Each", "One", "One", "Last"]


def test_the_long_workflow_ends_without_a_restart(make: Make) -> None:
    path, row = run_long(make, None)
    assert (path, row["status"]) == (WHOLE, "SUCCEEDED")
    assert json.loads(row["output"]) == [{"order_id": "A-1"}, {"order_id": "A-1"}]


@pytest.mark.parametrize("turn", range(16))
def test_an_execution_continues_after_a_restart_at_any_turn(make: Make, turn: int) -> None:
    path, row = run_long(make, turn)
    assert (path, row["status"]) == (WHOLE, "SUCCEEDED")
    assert json.loads(row["output"]) == [{"order_id": "A-1"}, {"order_id": "A-1"}]


def test_an_execution_ends_though_the_process_is_killed_at_every_turn(make: Make) -> None:
    rig = make(flow=LONG, handlers={"Step": Flaky(), "Other": echo})
    rig.start("one", {"order_id": "A-1"})
    for _ in range(40):
        rig.restart()
        rig.turn(2)  # one calls the functions again, the next takes their answers
        if rig.execution("one")["status"] != "RUNNING":
            break
        due = rig.engine.next_due(schedules=False)
        rig.clock.time = max(rig.clock.time, due) if isfinite(due) else rig.clock.time
    assert rig.execution("one")["status"] == "SUCCEEDED"
    assert rig.entered("one") == WHOLE


def test_a_task_that_was_running_runs_again(make: Make) -> None:
    rig = make()
    rig.start("one", {"order_id": "A-1"})
    rig.restart()
    rig.settle()
    assert rig.functions.of("Step") == [{"order_id": "A-1"}]


def test_a_wait_that_ended_while_no_process_ran_ends_at_once(make: Make) -> None:
    rig = make(flow=flow(Wait=wait(3)))
    rig.start("one")
    rig.close()
    rig.clock.time += DAY
    rig._open()  # noqa: SLF001 - a restart that takes a day
    rig.settle()
    assert rig.execution("one")["status"] == "SUCCEEDED"


def test_the_history_is_complete_and_in_order_across_restarts(make: Make) -> None:
    def history() -> list[Any]:
        return rig.history("one")

    rig = make(flow=flow(First=task(Next="Pause"), Pause=wait(900, Next="Last"), Last=task()))
    rig.handlers["Step"] = echo
    rig.restart()
    rig.start("one")
    rig.settle()
    rig.restart()
    rig.settle()
    rig.pass_time(900)
    assert [event["id"] for event in history()] == list(range(1, len(history()) + 1))
    assert history()[0]["type"] == "ExecutionStarted"
    assert history()[-1]["type"] == "ExecutionSucceeded"
    assert all(a["timestamp"] <= b["timestamp"] for a, b in pairwise(history()))


# ---- the limit of loaded executions


def test_only_max_loaded_executions_are_in_memory_and_the_others_wait_in_the_journal(
    make: Make,
) -> None:
    rig = make()
    for number in range(MAX_LOADED + 10):
        rig.start(f"e{number}")
    rig.settle()
    assert len(rig.engine.executions.live) == MAX_LOADED
    assert len(rig.functions.calls) == MAX_LOADED
    rig.functions.answer(rig.functions.calls[0], {})
    rig.settle()
    assert len(rig.functions.calls) == MAX_LOADED + 1
    waiting = rig.rows("select name from executions where wake_at is not null")
    assert len(waiting) == 9


def test_a_burst_of_executions_ends_in_the_order_of_their_starts(make: Make) -> None:
    rig = make(handlers={"Step": echo})
    for number in range(3 * MAX_LOADED):
        rig.engine.call(begin(rig, f"e{number}", {"n": number}))
    rig.settle()
    assert rig.rows("select count(*) as n from executions where status = 'SUCCEEDED'") == [
        {"n": 3 * MAX_LOADED}
    ]
    assert [given["n"] for given in rig.functions.of("Step")] == list(range(3 * MAX_LOADED))


def test_executions_that_wait_in_the_journal_are_loaded_after_a_restart(make: Make) -> None:
    rig = make()
    for number in range(MAX_LOADED + 10):
        rig.start(f"e{number}")
    rig.handlers["Step"] = echo
    rig.restart()
    rig.settle()
    assert rig.rows("select distinct status from executions") == [{"status": "SUCCEEDED"}]
    assert len(rig.functions.calls) == MAX_LOADED + 10


def test_events_beyond_max_loaded_wait_as_deliveries(make: Make) -> None:
    rig = make()
    for number in range(MAX_LOADED + 5):
        detail = json.dumps({"n": number})
        rig.put(
            {"EventBusName": "shop-bus", "Source": "shop", "DetailType": "Flow", "Detail": detail}
        )
    rig.settle()
    assert len(rig.rows("select * from executions")) == MAX_LOADED
    assert len(rig.rows("select * from deliveries")) == 5


def test_the_engine_does_not_spin_while_max_loaded_executions_are_in_memory(
    make: Make,
) -> None:
    rig = make()
    for number in range(MAX_LOADED + 10):
        rig.start(f"e{number}")
    rig.settle()
    assert rig.engine.next_due(schedules=False) > NOW


# ---- unloaded executions


def test_an_execution_with_a_long_wait_is_unloaded_and_loaded_in_time(make: Make) -> None:
    rig = make(flow=flow(Wait=wait(900)))
    rig.start("one")
    rig.settle()
    assert rig.engine.executions.live == {}
    assert rig.execution("one")["wake_at"] == NOW + 900
    assert rig.engine.next_due(schedules=False) == NOW + 900
    rig.pass_time(899)
    assert rig.execution("one")["status"] == "RUNNING"
    rig.pass_time(1)
    assert rig.execution("one")["status"] == "SUCCEEDED"


def test_an_execution_with_a_short_wait_stays_loaded(make: Make) -> None:
    rig = make(flow=flow(Wait=wait(int(UNLOAD_AFTER) - 1)))
    rig.start("one")
    rig.settle()
    assert len(rig.engine.executions.live) == 1
    assert rig.engine.next_due(schedules=False) == NOW + int(UNLOAD_AFTER) - 1
    rig.pass_time(int(UNLOAD_AFTER) - 1)
    assert rig.execution("one")["status"] == "SUCCEEDED"


def test_an_execution_that_waits_for_a_function_is_never_unloaded(make: Make) -> None:
    both = {
        "Type": "Parallel",
        "End": True,
        "Branches": [flow(Long=wait(900)), flow(Step=task(TimeoutSeconds=600))],
    }
    rig = make(flow=flow(Both=both))
    rig.start("one")
    rig.pass_time(100)
    assert len(rig.engine.executions.live) == 1
    [call] = rig.functions.calls
    rig.functions.answer(call, {})
    rig.settle()
    assert rig.engine.executions.live == {}
    rig.pass_time(800)
    assert rig.execution("one")["status"] == "SUCCEEDED"


def test_a_cancelled_call_keeps_no_execution_loaded(make: Make) -> None:
    both = {
        "Type": "Parallel",
        "Branches": [flow(Step=task(TimeoutSeconds=600)), flow(Other=task("${Other}"))],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Wait"}],
        "End": True,
    }
    rig = make(flow=flow(Both=both, Wait=wait(900)))
    rig.start("one")
    rig.settle()
    rig.functions.fail(rig.functions.calls[1], "Oops")
    rig.settle()
    assert rig.entered("one")[-1] == "Wait"
    assert rig.engine.executions.live == {}
    assert rig.execution("one")["wake_at"] == NOW + 900
    rig.functions.answer(rig.functions.calls[0], "late")
    rig.pass_time(900)
    assert rig.execution("one")["status"] == "SUCCEEDED"


def test_an_execution_with_a_long_backoff_is_unloaded_too(make: Make) -> None:
    retry = [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 60}]
    rig = make(flow=flow(Step=task(Retry=retry)), handlers={"Step": Flaky()})
    rig.start("one")
    rig.settle()
    assert rig.engine.executions.live == {}
    rig.pass_time(MINUTE - 1)
    assert rig.execution("one")["status"] == "RUNNING"
    rig.pass_time(1)
    assert rig.execution("one")["status"] == "SUCCEEDED"


def test_thousands_of_unloaded_executions_take_no_room(make: Make) -> None:
    rig = make(flow=flow(Wait=wait(900)))
    for number in range(3 * MAX_LOADED):
        rig.engine.call(begin(rig, f"e{number}", {}))
    rig.settle()
    assert rig.engine.executions.live == {}
    rig.pass_time(900)
    assert rig.rows("select distinct status from executions") == [{"status": "SUCCEEDED"}]


def test_the_earlier_of_two_timers_loads_an_unloaded_execution(make: Make) -> None:
    both = {
        "Type": "Parallel",
        "Branches": [flow(Short=wait(60)), flow(Long=wait(900))],
        "End": True,
    }
    rig = make(flow=flow(Both=both))
    rig.start("one")
    rig.settle()
    assert rig.execution("one")["wake_at"] == NOW + 60
    rig.pass_time(60)
    assert rig.execution("one")["wake_at"] == NOW + 900
    rig.pass_time(840)
    assert rig.execution("one")["status"] == "SUCCEEDED"


# ---- timeouts


def test_a_task_past_its_timeout_fails_and_its_late_answer_changes_nothing(make: Make) -> None:
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Late"}]
    rig = make(
        flow=flow(Step=task(TimeoutSeconds=10, Catch=catch), Late=task("${Other}")),
        handlers={"Other": lambda _: "late"},
    )
    rig.start("one")
    rig.settle()
    rig.clock.time += 10
    rig.turn()
    rig.functions.answer(rig.functions.calls[0], "too late")
    rig.settle()
    row = rig.execution("one")
    assert (row["status"], row["output"]) == ("SUCCEEDED", '"late"')
    assert rig.entered("one") == ["Step", "Late"]


def test_a_tasks_timeout_begins_when_a_worker_begins_the_call(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst waits for its workers; only a function that runs can be too slow."""
    running = 0.0
    monkeypatch.setattr(FakeFunctions, "elapsed", lambda *_: running)
    rig = make(flow=flow(Step=task(TimeoutSeconds=10)))
    rig.start("one")
    rig.settle()
    rig.pass_time(10)
    running = 4.0
    rig.pass_time(10)
    assert rig.execution("one")["status"] == "RUNNING"
    rig.pass_time(5)
    assert rig.execution("one")["status"] == "RUNNING", "6 seconds were left"
    running = 10.0
    rig.pass_time(1)
    assert rig.execution("one")["error"] == "States.Timeout"


def test_an_answered_task_has_no_timeout(make: Make) -> None:
    rig = make(flow=flow(Step=task(TimeoutSeconds=10, Next="Other"), Other=task("${Other}")))
    rig.start("one")
    rig.settle()
    rig.functions.answer(rig.functions.calls[0], {})
    rig.settle()
    rig.pass_time(11)
    assert rig.execution("one")["status"] == "RUNNING"


@pytest.mark.parametrize("is_asked", [False, True], ids=["unasked", "asked"])
def test_the_timer_after_an_answered_one_fires_at_its_own_time(
    make: Make, *, is_asked: bool
) -> None:
    """The engine is woken for the first timer of an execution only, and then looks for the next."""
    rig = make(
        flow=flow(
            Step=task(TimeoutSeconds=10, Next="Other"), Other=task("${Other}", TimeoutSeconds=30)
        )
    )
    rig.start("one")
    rig.settle()
    assert rig.engine.next_due(schedules=False) == NOW + 10
    rig.clock.time += 2
    rig.functions.answer(rig.functions.calls[0], {})
    rig.settle()
    if is_asked:
        assert rig.engine.next_due(schedules=False) == NOW + 32
    rig.pass_time(29)
    assert rig.execution("one")["status"] == "RUNNING"
    assert rig.engine.next_due(schedules=False) == NOW + 32
    rig.pass_time(1)
    assert rig.execution("one")["error"] == "States.Timeout"
    assert rig.engine.next_due(schedules=False) == float("inf")


def test_timers_of_one_execution_fire_in_their_order(make: Make) -> None:
    def branch(seconds: int, end: str) -> dict[str, Any]:
        catch = [{"ErrorEquals": ["States.ALL"], "Next": end}]
        states = {f"Step{seconds}": task(TimeoutSeconds=seconds, Catch=catch)}
        return flow(**states, **{end: {"Type": "Succeed"}})

    branches = [branch(20, "Late"), branch(5, "Early"), branch(10, "Middle")]
    rig = make(flow=flow(All={"Type": "Parallel", "Branches": branches, "End": True}))
    rig.start("one")
    rig.settle()
    rig.pass_time(60)
    assert rig.entered("one")[-3:] == ["Early", "Middle", "Late"]


@pytest.mark.parametrize("restarted", [False, True])
def test_an_execution_past_its_timeout_is_timed_out(make: Make, *, restarted: bool) -> None:
    rig = make(flow={**flow(Step=task()), "TimeoutSeconds": 30})
    rig.start("one")
    rig.settle()
    if restarted:
        rig.restart()
        rig.settle()
    rig.pass_time(29)
    assert rig.execution("one")["status"] == "RUNNING"
    rig.pass_time(1)
    assert rig.execution("one")["status"] == "TIMED_OUT"


# ---- a definition that changes (F30)

OLD, NEW = flow(Old=task(Next="OldEnd"), OldEnd=task()), flow(New=task())


def test_an_execution_ends_on_the_definition_of_its_start(make: Make) -> None:
    rig = make(flow=OLD)
    rig.start("before")
    rig.define(NEW)
    rig.handlers["Step"] = echo
    rig.restart()
    rig.start("after")
    rig.settle()
    assert rig.entered("before") == ["Old", "OldEnd"]
    assert rig.entered("after") == ["New"]
    assert rig.rows("select distinct status from executions") == [{"status": "SUCCEEDED"}]


def test_a_journalled_execution_keeps_its_definition_after_a_change(make: Make) -> None:
    rig = make(flow=OLD)
    for number in range(MAX_LOADED + 1):
        rig.start(f"e{number}")
    rig.define(NEW)
    rig.handlers["Step"] = echo
    rig.restart()
    rig.settle()
    assert rig.entered(f"e{MAX_LOADED}") == ["Old", "OldEnd"]


def test_a_journalled_execution_ends_though_its_state_machine_is_renamed(
    make: Make,
) -> None:
    rig = make(flow=OLD)
    for number in range(MAX_LOADED + 1):
        rig.start(f"e{number}")
    template = rig.folder / "template.yaml"
    template.write_text(template.read_text().replace("shop-flow", "shop-renamed"))
    rig.handlers["Step"] = echo
    rig.restart()
    rig.settle()
    assert rig.entered(f"e{MAX_LOADED}") == ["Old", "OldEnd"]
    assert rig.rows("select distinct status from executions") == [{"status": "SUCCEEDED"}]


def test_an_unloaded_execution_keeps_its_definition_after_a_change(make: Make) -> None:
    rig = make(flow=flow(Wait=wait(900, Next="OldEnd"), OldEnd={"Type": "Succeed"}))
    rig.start("one")
    rig.settle()
    rig.define(NEW)
    rig.restart()
    rig.pass_time(900)
    assert rig.entered("one") == ["Wait", "OldEnd"]


def test_a_definition_may_change_and_change_back(make: Make) -> None:
    rig = make(flow=OLD)
    rig.start("one")
    for definition in (NEW, OLD, NEW):
        rig.define(definition)
        rig.restart()
    rig.handlers["Step"] = echo
    rig.restart()
    rig.settle()
    assert rig.entered("one") == ["Old", "OldEnd"]


# ---- names


def test_a_running_standard_execution_may_be_started_again_with_the_same_input(
    make: Make,
) -> None:
    rig = make()
    assert rig.start("one", {"a": 1}) == rig.start("one", {"a": 1})
    assert len(rig.rows("select * from executions")) == 1


@pytest.mark.parametrize("ended", [False, True])
def test_a_standard_executions_name_is_taken_with_other_input_or_once_it_has_ended(
    make: Make, *, ended: bool
) -> None:
    rig = make(handlers={"Step": echo} if ended else {})
    rig.start("one", {"a": 1})
    rig.settle()
    with pytest.raises(TaskError, match="Execution Already Exists: 'arn:") as taken:
        rig.start("one", {"a": 1 if ended else 2})
    assert taken.value.error == "StepFunctions.ExecutionAlreadyExistsException"
    assert len(rig.rows("select * from executions")) == 1


def test_a_name_is_taken_from_the_request_on(make: Make) -> None:
    rig = make()

    def start(now: float) -> list[str]:
        return [rig.engine.executions.start("shop-flow", "one", {}, now) for _ in range(2)]

    first, second = rig.ask(start)
    assert first == second
    assert len(rig.rows("select * from executions")) == 1


def test_a_name_is_taken_across_a_restart(make: Make) -> None:
    rig = make(handlers={"Step": echo})
    rig.start("one")
    rig.settle()
    rig.restart()
    with pytest.raises(TaskError, match="Already Exists"):
        rig.start("one")


def test_two_state_machines_may_have_executions_of_one_name(make: Make) -> None:
    rig = make()
    assert rig.start("one") != rig.start("one", machine="SubFlow")


def test_express_executions_may_share_a_name_and_each_has_an_arn_of_its_own(make: Make) -> None:
    rig = make(parameters={"FlowType": "EXPRESS"}, handlers={"Step": echo})
    first, second = rig.start("one"), rig.start("one")
    rig.settle()
    assert first != second
    assert first.startswith("arn:aws:states:us-east-1:000000000000:express:shop-flow:one:")
    assert len(rig.rows("select * from executions where status = 'SUCCEEDED'")) == 2


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"x": "y" * (MAX_INPUT - 8)}, True),
        ({"x": "y" * (MAX_INPUT - 7)}, False),
        ({"x": "é" * (MAX_INPUT // 2 - 4)}, True),
        pytest.param(
            {"x": "é" * (MAX_INPUT // 2 - 3)},
            False,
        ),
    ],
    ids=["at the limit", "above it", "at it in bytes", "above it in bytes"],
)
def test_an_input_has_a_limit_in_bytes(make: Make, body: Any, *, fits: bool) -> None:
    rig = make()
    if fits:
        rig.start("one", body)
        return
    with pytest.raises(TaskError) as refused:
        rig.start("one", body)
    assert refused.value.error == "States.DataLimitExceeded"
    assert rig.rows("select * from executions") == []


# ---- integrations


def test_a_workflow_may_send_a_message(make: Make) -> None:
    body = {"order_id.$": "$.order_id"}
    send = task(SEND, Parameters={"QueueUrl": "${Letters}", "MessageBody": body})
    rig = make(flow=flow(Send=send))
    rig.start("one", {"order_id": "A-1"})
    rig.settle()
    [message] = rig.queue("Untouched")
    assert json.loads(message["body"]) == {"order_id": "A-1"}
    assert set(json.loads(rig.execution("one")["output"])) == {"MD5OfMessageBody", "MessageId"}


def test_a_message_and_the_step_that_sent_it_are_in_one_transaction(make: Make) -> None:
    send = task(SEND, Parameters={"QueueUrl": "${Letters}", "MessageBody": "hello"}, Next="Step")
    rig = make(flow=flow(Send=send, Step=task()))
    rig.start("one")
    rig.restart()
    rig.settle()
    assert [message["body"] for message in rig.queue("Untouched")] == ["hello"]


def test_a_workflow_may_put_events(make: Make) -> None:
    entries = [
        {
            "EventBusName": "${Bus}",
            "Source": "shop",
            "DetailType": "Work",
            "Detail": {"order_id.$": "$.order_id"},
            "Resources": ["arn:x"],
        }
    ]
    rig = make(flow=flow(Put=task(PUT, Parameters={"Entries": entries})))
    rig.start("one", {"order_id": "A-1"})
    rig.settle()
    assert json.loads(rig.execution("one")["output"])["FailedEntryCount"] == 0
    event = json.loads(rig.queue("Work")[0]["body"])
    assert event["detail"] == {"order_id": "A-1"}
    assert event["resources"] == [
        "arn:x",
        "arn:aws:states:us-east-1:000000000000:execution:shop-flow:one",
        "arn:aws:states:us-east-1:000000000000:stateMachine:shop-flow",
    ]


def test_a_workflow_may_start_another(make: Make) -> None:
    parameters = {"StateMachineArn": SUB_FLOW, "Name.$": "$.name", "Input": {"order_id": "A-1"}}
    rig = make(flow=flow(Start=task(START, Parameters=parameters)))
    rig.start("one", {"name": "child"})
    rig.settle()
    child = rig.execution("child")
    assert (child["machine"], json.loads(child["input"])) == ("SubFlow", {"order_id": "A-1"})
    answer = json.loads(rig.execution("one")["output"])
    assert answer["ExecutionArn"].endswith(":execution:SubFlow:child")
    assert answer["StartDate"]


def test_a_taken_name_fails_the_task_of_a_workflow(make: Make) -> None:
    parameters = {"StateMachineArn": SUB_FLOW, "Name": "child", "Input.$": "$"}
    rig = make(flow=flow(Start=task(START, Parameters=parameters)))
    rig.start("one", {"a": 1})
    rig.start("two", {"a": 2})
    rig.settle()
    assert rig.execution("one")["status"] == "SUCCEEDED"
    assert rig.execution("two")["error"] == "StepFunctions.ExecutionAlreadyExistsException"


@pytest.mark.parametrize("entries", [[], [{"Source": "shop"}] * 11])
def test_a_refused_putevents_request_fails_the_task_alone(make: Make, entries: list[Any]) -> None:
    rig = make(flow=flow(Put=task(PUT, Parameters={"Entries": entries})))
    rig.start("one")
    rig.settle()
    assert rig.execution("one")["status"] == "FAILED"


def test_an_event_that_the_bus_refuses_fails_the_task(make: Make) -> None:
    """See: Step Functions developer guide, "Call EventBridge with Step Functions"."""
    entries = [{"EventBusName": "nowhere", "Source": "s", "DetailType": "d", "Detail": {}}]
    rig = make(flow=flow(Put=task(PUT, Parameters={"Entries": entries})))
    rig.start("one")
    rig.settle()
    assert rig.execution("one")["error"] == "EventBridge.FailedEntry"


@pytest.mark.parametrize(
    ("resource", "parameters", "error"),
    [
        (SEND, {"QueueUrl": "Nowhere", "MessageBody": "x"}, "SQS.QueueDoesNotExistException"),
        (
            START,
            {"StateMachineArn": "Nowhere", "Input": {}},
            "StepFunctions.StateMachineDoesNotExistException",
        ),
    ],
)
def test_a_missing_resource_fails_the_task_with_the_error_of_its_service(
    make: Make, resource: str, parameters: dict[str, Any], error: str
) -> None:
    rig = make(flow=flow(Call=task(resource, Parameters=parameters)))
    rig.start("one")
    rig.settle()
    assert rig.execution("one")["error"] == error
