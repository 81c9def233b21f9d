"""The engine's error boundary: an error ends its item alone, and is recorded."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.engine import executions
from infra.local.engine.integrations import SendMessage
from infra.local.engine.quarantined_orders import FAILURES
from infra.local.engine.targets import MachineTarget, QueueTarget
from kernel import json_text
from tests.fakes.runtime import MINUTE, Rig, entry, flow, task

ANYTHING = [RuntimeError("broken"), RecursionError(), MemoryError(), KeyError("x"), TypeError()]
SENDS = task(
    "arn:aws:states:::sqs:sendMessage",
    Parameters={"QueueUrl": "${Letters}", "MessageBody.$": "$"},
)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path, flow=flow(Send=SENDS), parameters={"FlowType": "STANDARD"})
    opened.handlers.update(Worker=lambda _: None, Tick=lambda _: None)
    opened.restart()
    opened.settle()
    opened.failures_expected = True
    yield opened
    opened.close()


@pytest.fixture(params=ANYTHING, ids=repr)
def anything(request: pytest.FixtureRequest) -> Exception:
    raised: Exception = request.param
    return raised


def raising(patch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception) -> None:
    """Let a method raise if its arguments contain the poison."""
    shipped = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        if "poison" in repr(arguments):
            raise error
        return shipped(*arguments, **named)

    patch.setattr(owner, name, call)


def goes_on(rig: Rig) -> bool:
    """Return whether plain items of each kind are handled, before and after a restart."""
    for times in (1, 2):
        rig.put(entry("Work"), entry("Flow"))
        rig.send("plain")
        rig.settle()
        ended = rig.rows("select * from executions where status = 'SUCCEEDED'")
        worked = [record for event in rig.functions.of("Worker") for record in event["Records"]]
        if len(ended) != times or len(worked) != 2:
            return False
        rig.restart()
        rig.settle()
    return True


def recorded(rig: Rig) -> list[tuple[str, str]]:
    return [(failure["kind"], failure["error"]) for failure in rig.failures()]


def test_a_target_that_raises_is_retried_and_its_event_becomes_a_dead_letter(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, anything: Exception
) -> None:
    raising(monkeypatch, QueueTarget, "deliver", anything)
    rig.put(entry(detail='{"is": "poison"}'))
    rig.settle()
    for _ in range(10):
        rig.pass_time(MINUTE)
    [letter] = rig.queue("TargetLetters")
    attributes = json.loads(letter["attributes"])
    assert attributes["ERROR_CODE"] == "INTERNAL_ERROR"
    assert type(anything).__name__ in attributes["ERROR_MESSAGE"]
    assert attributes["RETRY_ATTEMPTS"] == "3"
    assert recorded(rig) == [("delivery", type(anything).__name__)] * 2  # of both rules
    assert goes_on(rig)


def test_a_delivery_that_raises_after_a_write_is_rolled_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = QueueTarget.deliver

    def fail_late(self: QueueTarget, *arguments: Any) -> None:
        deliver(self, *arguments)
        raise RuntimeError("too late")

    monkeypatch.setattr(QueueTarget, "deliver", fail_late)
    rig.put(entry())
    rig.settle()
    assert rig.queue("Work") == []
    assert len(rig.rows("select * from deliveries")) == 2  # of both rules


def test_an_integration_that_raises_fails_its_execution_alone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, anything: Exception
) -> None:
    raising(monkeypatch, SendMessage, "call", anything)
    rig.start("bad", {"is": "poison"})
    rig.settle()
    row = rig.execution("bad")
    assert (row["status"], row["error"]) == ("FAILED", "States.Runtime")
    assert type(anything).__name__ in row["cause"]
    assert rig.history("bad")[-1]["type"] == "ExecutionFailed"
    assert recorded(rig) == [("execution", type(anything).__name__)]
    assert goes_on(rig)


@pytest.mark.parametrize("name", ["packed", "json_text"])
def test_an_unserialisable_execution_fails_alone(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """See `Executions.flush`: the codec raises for one execution."""
    if name == "packed":
        raising(monkeypatch, executions, "packed", TypeError("no JSON"))
    else:
        raising(monkeypatch, json_text, "write", TypeError("no JSON"))
    rig.define(flow(Result={"Type": "Pass", "Result": "poison", "End": True}))
    rig.restart()
    rig.start("bad")
    rig.settle()
    row = rig.execution("bad")
    assert (row["status"], row["error"]) == ("FAILED", "States.Runtime")
    rig.define(flow(Send=SENDS))
    rig.restart()
    assert goes_on(rig)


def test_an_unreadable_execution_fails_alone(rig: Rig) -> None:
    rig.define(flow(Wait={"Type": "Wait", "Seconds": 60, "Next": "Send"}, Send=SENDS))
    rig.restart()
    rig.start("bad")
    rig.start("good")
    rig.settle()
    with rig.database.write() as connection:
        connection.execute(
            "update history set piece = x'00' where execution_id = ?", (rig.execution("bad")["id"],)
        )
    rig.pass_time(MINUTE)
    assert rig.execution("good")["status"] == "SUCCEEDED"
    row = rig.execution("bad")
    assert (row["status"], row["error"]) == ("FAILED", "States.Runtime")


def test_an_execution_that_raises_at_its_start_does_not_block_its_event(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, MachineTarget, "deliver", RuntimeError("broken"))
    rig.put(entry("Flow", '{"is": "poison"}'))
    rig.settle()
    assert rig.rows("select * from executions") == []
    assert goes_on(rig)


def test_a_request_that_raises_gets_its_error_and_is_rolled_back(rig: Rig) -> None:
    def request(now: float) -> None:
        rig.engine.bus.put([entry()], now)
        raise RuntimeError("too late")

    with pytest.raises(RuntimeError, match="too late"):
        rig.ask(request)
    rig.settle()
    assert rig.rows("select * from events") == []
    assert recorded(rig) == [("request", "RuntimeError")]
    assert goes_on(rig)


def test_a_pattern_that_raises_refuses_its_event_and_takes_the_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = rig.engine.stack.rules[0].pattern
    raising(monkeypatch, type(pattern), "matches", RecursionError("deep"))
    answer = rig.put(entry(detail='{"is": "poison"}'), entry())
    assert [one.get("ErrorCode") for one in answer["Entries"]] == ["InternalFailure", None]
    rig.settle()
    assert len(rig.rows("select * from events")) == 1


def test_an_outbox_row_that_cannot_be_sent_becomes_a_dead_letter(rig: Rig) -> None:
    rows = [("event", "5"), ("event", "{}"), ("run", "[]"), ("message", "null"), ("event", "{")]
    with rig.database.write() as connection:
        connection.executemany("insert into outbox (kind, body, created_at) values (?, ?, 0)", rows)
    rig.restart()
    rig.settle()
    letters = rig.queue(rig.engine.stack.dead_letter_queues[-1])
    assert [letter["body"] for letter in letters] == [body for _, body in rows]
    assert all("outbox" in json.loads(letter["attributes"])["REASON"] for letter in letters)
    assert goes_on(rig)


def test_a_schedule_that_raises_runs_at_the_next_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke = rig.engine.schedules.invoke

    def fails_once(*arguments: Any) -> int:
        monkeypatch.setattr(rig.engine.schedules, "invoke", invoke)
        raise RuntimeError("not now")

    monkeypatch.setattr(rig.engine.schedules, "invoke", fails_once)
    rig.pass_time(5 * MINUTE)
    assert recorded(rig) == [("schedule", "RuntimeError")]
    assert rig.functions.of("Tick") == []
    rig.pass_time(5 * MINUTE)
    assert len(rig.functions.of("Tick")) == 1


def test_an_error_in_handling_a_result_does_not_stop_the_engine(rig: Rig) -> None:
    empty: dict[int, None] = {}
    future = rig.engine.call_function("Other", {})
    rig.turn()
    future.cancel()
    [call] = rig.functions.calls
    rig.engine.calls.waiting[call.id] = lambda *_: empty[1]
    rig.functions.answer(call, {})
    rig.turn()
    assert recorded(rig) == [("call", "KeyError")]
    assert goes_on(rig)


def test_a_component_that_raises_outside_of_any_item_does_not_stop_the_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_: float) -> bool:
        raise RuntimeError("broken")

    monkeypatch.setattr(rig.engine.streams, "work", work)
    rig.put(entry())
    rig.turn(5)
    assert rig.queue("Work") == []  # the worker took it
    assert recorded(rig) == [("work", "RuntimeError")]


def test_a_journal_that_fails_stops_the_engine(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(*_: Any) -> Any:
        raise sqlite3.OperationalError("disk I/O error")

    rig.put(entry())
    monkeypatch.setattr(rig.engine.journal.database, "rows", rows)
    with pytest.raises(sqlite3.OperationalError):
        rig.turn(3)


def test_a_failure_is_in_the_log_and_counted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, SendMessage, "call", RuntimeError("broken"))
    rig.start("bad", {"is": "poison"})
    rig.settle()
    number = rig.execution("bad")["id"]
    [line] = [json.loads(text) for text in rig.directory.log.read_text().splitlines()]
    assert (line["item"], line["level"]) == (f"execution {number}", "ERROR")
    assert "RuntimeError: broken" in line["exception"]
    [metric] = rig.rows("select * from metrics where name = 'ItemsFailed'")
    assert (json.loads(metric["dimensions"]), metric["sum"]) == ({"kind": "execution"}, 1)


def test_a_repeated_failure_is_one_row_with_a_count(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, QueueTarget, "deliver", RuntimeError("broken"))
    rig.put(entry(detail='{"is": "poison"}'))
    for _ in range(4):
        rig.pass_time(MINUTE)
    assert [row["count"] for row in rig.rows("select * from failures")] == [4, 4]  # of both rules


# ---- an order with repeatedly failing runs


def poisoned_event(number: int) -> dict[str, Any]:
    return entry("Flow", json.dumps({"order_id": "A-1", "is": "poison", "number": number}))


def test_an_order_with_three_failed_runs_is_held_until_its_dead_letter_is_redriven(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        raising(patch, SendMessage, "call", RuntimeError("broken"))
        for number in range(FAILURES + 2):
            rig.put(poisoned_event(number))
            rig.settle()
    runs = rig.rows("select status from executions")
    assert [run["status"] for run in runs] == ["FAILED"] * FAILURES
    letters = rig.queue(rig.engine.stack.dead_letter_queues[-1])
    [letter] = [body for body in (json.loads(one["body"]) for one in letters) if "reason" in body]
    assert letter["reason"]["error"] == "OrderHeld"
    assert "RuntimeError: broken" in letter["reason"]["message"]
    assert letter["event"]["detail"]["order_id"] == "A-1"
    refused = [json.loads(one["attributes"])["ERROR_CODE"] for one in rig.queue("TargetLetters")]
    assert refused == ["Orderflow.OrderHeld"] * 2
    rig.put(entry("Flow", '{"order_id": "A-2"}'))
    rig.restart()
    rig.settle()
    assert rig.rows("select status from executions")[-1]["status"] == "SUCCEEDED"
    rig.ask(lambda now: rig.engine.quarantined_orders.release("A-1"))
    rig.put(poisoned_event(9))
    rig.settle()
    assert [run["status"] for run in rig.rows("select status from executions")[-2:]] == [
        "SUCCEEDED",
        "SUCCEEDED",
    ]


# ---- parameters of another type

TYPES: dict[str, tuple[str, dict[str, Any]]] = {
    "entries of numbers": ("events:putEvents", {"Entries.$": "$.numbers"}),
    "entries that are null": ("events:putEvents", {"Entries.$": "$.nothing"}),
    "entries that are text": ("events:putEvents", {"Entries.$": "$.text"}),
    "a detail that is a list": ("events:putEvents", {"Entries": [{"Detail.$": "$.numbers"}]}),
    "a source that is a number": ("events:putEvents", {"Entries": [{"Source.$": "$.number"}]}),
    "a queue that is null": ("sqs:sendMessage", {"QueueUrl.$": "$.nothing", "MessageBody": "x"}),
    "no body": ("sqs:sendMessage", {"QueueUrl": "Work"}),
    "a function that is null": ("lambda:invoke", {"FunctionName.$": "$.nothing"}),
    "a function that is a list": ("lambda:invoke", {"FunctionName.$": "$.numbers"}),
    "a machine that is a number": (
        "states:startExecution",
        {"StateMachineArn.$": "$.number"},
    ),
    "a name that is an object": (
        "states:startExecution",
        {"StateMachineArn": "SubFlow", "Name.$": "$"},
    ),
}
GIVEN = {"numbers": [5], "nothing": None, "text": "x", "number": 5}


@pytest.mark.parametrize("name", TYPES)
def test_a_parameter_of_another_type_fails_its_execution_with_a_cause(rig: Rig, name: str) -> None:
    service, parameters = TYPES[name]
    rig.define(flow(Call=task(f"arn:aws:states:::{service}", Parameters=parameters)))
    rig.restart()
    rig.start("bad", GIVEN)
    rig.settle()
    row = rig.execution("bad")
    assert (row["status"], row["error"]) == ("FAILED", "States.Runtime")
    assert "could not be used to start the Task" in row["cause"]
    rig.define(flow(Send=SENDS))
    rig.restart()
    assert goes_on(rig)


@pytest.mark.parametrize("service", ["sqs:sendMessage", "lambda:invoke", "events:putEvents"])
def test_a_task_without_parameters_whose_input_is_text_fails_alone(rig: Rig, service: str) -> None:
    rig.define(flow(Call=task(f"arn:aws:states:::{service}")))
    rig.restart()
    rig.start("bad", "text")
    rig.settle()
    assert rig.execution("bad")["error"] == "States.Runtime"


# ---- events pass unchanged


@pytest.mark.parametrize("levels", [252, 300, 1_000])
def test_a_deeply_nested_event_reaches_every_target(rig: Rig, levels: int) -> None:
    detail = '{"a":' * levels + "1" + "}" * levels
    for kind in ("Work", "Flow"):
        assert rig.put(entry(kind, detail))["FailedEntryCount"] == 0
    rig.settle()
    rig.restart()
    rig.settle()
    assert rig.failures() == []
    bodies = [json.loads(message["body"]) for message in rig.queue("Untouched")]
    assert [json_text.write(body["detail"]).decode() for body in bodies] == [detail] * 2
    assert [row["status"] for row in rig.rows("select status from executions")] == ["SUCCEEDED"]


@pytest.mark.parametrize("number", ["999.99999999999999999", "12345678901234567890123", "1E2"])
def test_a_detail_arrives_as_it_was_sent(rig: Rig, number: str) -> None:
    rig.put(entry(detail=f'{{ "n": {number} }}'))
    rig.settle()
    [call] = rig.functions.of("Worker")
    assert f'"detail":{{ "n": {number} }}' in call["Records"][0]["body"]
