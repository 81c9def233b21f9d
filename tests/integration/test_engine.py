"""The engine's turn: answers after the commit, durable commits, and errors of callers."""

import json
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.errors import InvalidRequest
from infra.local.clock import Clock
from infra.local.engine.engine import Engine
from infra.local.stack_loader import load
from infra.local.template.stack import Function
from infra.local.workers.pool import WorkerPool
from infra.server.aws_api import AwsApi
from tests.fakes.runtime import MINUTE, NOW, PROFILE, Rig, entry, flow, task

if TYPE_CHECKING:
    from concurrent.futures import Future

ROOT = Path(__file__).parents[2]


ROOT = Path(__file__).parents[2]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path)
    yield opened
    opened.close()


# ---- functions called for a client


def test_a_caller_of_a_function_gets_its_answer(rig: Rig) -> None:
    future = rig.engine.call_function("Step", {"a": 1})
    rig.turn()
    [call] = rig.functions.calls
    assert json.loads(call.payload) == {"a": 1}
    assert not future.done()
    rig.functions.answer(call, {"b": 2})
    rig.turn()
    assert future.result(0).payload == {"b": 2}


def test_a_caller_of_a_function_gets_its_error(rig: Rig) -> None:
    future = rig.engine.call_function("Step", {})
    rig.turn()
    rig.functions.fail(rig.functions.calls[0], "Oops")
    rig.turn()
    error = future.result(0).error
    assert error is not None
    assert error["errorType"] == "Oops"


@pytest.mark.parametrize("when", ["before the turn", "before the answer"])
def test_a_cancelled_call_does_not_affect_others(rig: Rig, when: str) -> None:
    """Uvicorn cancels the requests that are still running when it has waited long enough."""
    future: Future[Any]
    if when == "before the turn":
        future = rig.engine.call(lambda now: rig.engine.bus.put([entry()], now))
        future.cancel()
    else:
        future = rig.engine.call_function("Step", {})
        rig.turn()
        future.cancel()
        rig.functions.answer(rig.functions.calls[0], {})
    rig.settle()
    assert rig.put(entry())["FailedEntryCount"] == 0


def test_the_answer_of_a_cancelled_call_is_dropped(rig: Rig) -> None:
    rig.start("one")
    [call] = rig.functions.calls
    for _ in range(2):
        rig.functions.answer(call, {})
        rig.settle()
    assert rig.execution("one")["status"] == "SUCCEEDED"


def test_metrics_of_functions_are_journalled(rig: Rig) -> None:
    rig.start("one")
    [call] = rig.functions.calls
    emf = '{"_aws":{"CloudWatchMetrics":[{"Dimensions":[[]],"Metrics":[{"Name":"N"}]}]},"N":[3.0]}'
    rig.functions.answer(call, {}, metrics=[emf])
    rig.settle()
    assert rig.rows("select name, count, sum from metrics") == [
        {"name": "N", "count": 1, "sum": 3.0}
    ]


@pytest.mark.parametrize(
    "line",
    [
        '{"_aws": nonsense',
        '{"_aws": {}}',
        '{"_aws": []}',
        '{"_aws":{"CloudWatchMetrics":[{"Dimensions":[["a"],["b"]],"Metrics":[{"Name":"N"}]}]}}',
        *(
            f'{{"_aws":{{"CloudWatchMetrics":[{{"Dimensions":[],"Metrics":[{{"Name":"N"}}]}}]}},"N":{one}}}'
            for one in (
                '"many"',
                '"nan"',
                '"inf"',
                "1e109",
                "[1,-1e300]",
                "true",
                "null",
                "9" * 400,
            )
        ),
    ],
)
def test_a_malformed_metric_is_counted(rig: Rig, line: str) -> None:
    rig.start("one")
    rig.functions.answer(rig.functions.calls[0], {}, metrics=[line])
    rig.settle()
    assert rig.execution("one")["status"] == "SUCCEEDED"
    assert rig.rows("select name, sum from metrics") == [{"name": "EMFParsingErrors", "sum": 1.0}]


def test_a_metric_counts_once_for_each_set_of_its_dimensions(rig: Rig) -> None:
    rig.start("one")
    declared = '{"Dimensions":[["a"],["b"]],"Metrics":[{"Name":"N"}]}'
    emf = f'{{"_aws":{{"CloudWatchMetrics":[{declared}]}},"N":2,"a":"x","b":"y"}}'
    rig.functions.answer(rig.functions.calls[0], {}, metrics=[emf])
    rig.settle()
    assert rig.rows("select dimensions, sum from metrics order by 1") == [
        {"dimensions": '{"a":"x"}', "sum": 2.0},
        {"dimensions": '{"b":"y"}', "sum": 2.0},
    ]


# ---- requests


def test_requests_of_one_turn_are_answered_together_after_one_commit(rig: Rig) -> None:
    rig.settle()
    before = rig.engine.journal.commits
    futures = [
        rig.engine.call(lambda now: rig.engine.bus.put([entry("Nobody")], now)) for _ in range(20)
    ]
    rig.turn()
    assert all(future.done() for future in futures)
    assert rig.engine.journal.commits == before + 1


SHOP_BUS = "arn:aws:events:us-east-1:000000000000:event-bus/shop-bus"
ARCHIVE = "arn:aws:events:us-east-1:000000000000:archive/shop-archive"
FLOW = "arn:aws:states:us-east-1:000000000000:stateMachine:shop-flow"


def test_the_commit_is_synced_before_any_function_is_called(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut cannot lose the state that the function acted on."""
    seen: list[str] = []
    rig.functions.on_submit = lambda _: seen.append("called")
    monkeypatch.setattr(os, "fdatasync", lambda _: seen.append("on the disk"))
    rig.engine.call_function("Step", {})
    rig.send("work", queue="Work")
    rig.settle()
    assert "called" in seen
    assert seen[seen.index("called") - 1] == "on the disk"


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("AWSEvents.PutEvents", {"Entries": [entry("Nobody")]}),
        (
            "AWSEvents.StartReplay",
            {
                "ReplayName": "again",
                "EventSourceArn": ARCHIVE,
                "EventStartTime": 1,
                "EventEndTime": 2,
                "Destination": {"Arn": SHOP_BUS},
            },
        ),
        ("AWSStepFunctions.StartExecution", {"stateMachineArn": FLOW, "input": "{}"}),
        ("Orderflow.RedriveDeadLetters", {"ids": []}),
    ],
)
def test_the_commit_is_synced_before_an_operation_is_answered(
    rig: Rig, operation: str, request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.send("letter", queue="WorkLetters")
    rig.ask(
        lambda now: rig.engine.journal.batch.add(
            "update messages set attributes = ?", '{"SOURCE_QUEUE": "Work"}'
        )
    )
    reader = rig.reader()
    statements: list[str] = []
    rig.database.connection.set_trace_callback(lambda text: statements.append(text.lower()))
    answer = AwsApi(rig.engine, reader).answer(operation, json.dumps(request_).encode())
    assert not isinstance(answer, dict)
    monkeypatch.setattr(os, "fdatasync", lambda _: statements.append(f"sync {answer.done()}"))
    rig.turn()
    assert answer.result(0)
    written = [statement for statement in statements if not statement.startswith("select")]
    assert written[-2:] == ["commit", "sync False"], "answered once it is on the disk"
    reader.close()


def test_a_refused_request_does_not_affect_its_turn(rig: Rig) -> None:
    good = rig.engine.call(lambda now: rig.engine.bus.put([entry("Nobody")], now))
    bad = rig.engine.call(lambda now: rig.engine.bus.put([], now))
    rig.turn()
    assert good.result(0)["FailedEntryCount"] == 0
    assert isinstance(bad.exception(0), InvalidRequest)
    assert len(rig.rows("select * from events")) == 1


def test_a_request_that_is_refused_halfway_is_rolled_back(rig: Rig) -> None:
    def halfway(now: float) -> None:
        rig.engine.queues.send("Work", "half", {}, now)
        raise InvalidRequest("ValidationException", "no")

    with pytest.raises(InvalidRequest):
        rig.ask(halfway)
    rig.settle()
    assert rig.queue("Work") == []
    assert rig.functions.calls == []


# ---- when to look again


def test_nothing_is_due_in_an_empty_directory(rig: Rig) -> None:
    rig.settle()
    assert rig.engine.next_due(schedules=False) == float("inf")
    assert rig.engine.next_due(schedules=True) == NOW + 5 * MINUTE
    assert rig.engine.idle


def test_an_engine_with_a_running_function_is_not_idle(rig: Rig) -> None:
    rig.start("one")
    assert not rig.engine.idle
    rig.functions.answer(rig.functions.calls[0], {})
    rig.settle()
    assert rig.engine.idle


def test_a_schedule_runs_its_function_on_time(rig: Rig) -> None:
    rig.settle()
    rig.pass_time(5 * MINUTE)
    assert len(rig.functions.of("Tick")) == 1
    rig.pass_time(4 * MINUTE)
    assert len(rig.functions.of("Tick")) == 1


def test_a_schedule_may_be_run_manually(rig: Rig) -> None:
    rig.engine.run_schedule("Tick")
    rig.settle()
    assert len(rig.functions.of("Tick")) == 1


def test_an_engine_runs_until_it_is_stopped_from_another_thread(rig: Rig) -> None:
    thread = threading.Thread(target=rig.engine.run_until_stopped)
    thread.start()
    future = rig.engine.call(lambda now: rig.engine.bus.put([entry("Nobody")], now))
    assert future.result(10)["FailedEntryCount"] == 0
    rig.engine.stop()
    thread.join(10)
    assert not thread.is_alive()


# ---- with real workers


def test_the_timeout_of_a_task_begins_when_a_worker_begins_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst waits in the journal or for a worker; only a function that runs can be too slow."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    rig = Rig(tmp_path, flow=flow(Step=task(TimeoutSeconds=1)))
    stack = load(tmp_path / "template.yaml", {}, rig.directory.local_value)
    sleeps = Function("Step", "arn", "tests.fakes.functions.sleeps", 30, 128, {})
    stack.functions = dict.fromkeys(stack.functions, sleeps)
    pool = WorkerPool(stack.functions, tmp_path / "log", 1)
    try:
        pool.start()
        engine = Engine(stack, rig.database, rig.directory, pool, Clock(), profile=PROFILE)
        for number in range(4):
            start = partial(engine.executions.start, "shop-flow", f"e{number}", {"seconds": 0.4})
            engine.call(start)
        end = time.monotonic() + 20
        while not engine.idle or not rig.rows("select * from executions"):
            assert time.monotonic() < end
            engine.turn(0.1)
        ended = rig.rows("select status from executions order by id")
        assert [row["status"] for row in ended] == ["SUCCEEDED"] * 4
    finally:
        pool.close()
        rig.close()
