"""Faults of single items: data, parameters, targets and records that cannot be processed."""

import base64
import json
import os
import shutil
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics.warehouse import connect
from infra.local.engine.targets import QueueTarget
from infra.local.template.project import ROOT
from tests.fakes.redrives import redrive
from tests.faults.scene import DAY, Scene, dead_letters, has_completed_once
from tests.host import Host, event, order
from tests.strategies import nested

Patch = Callable[[Host], None]
POISON = "T-POISON"
HIGH_VALUE: dict[str, Any] = {
    "items": [{"sku": "TEA", "quantity": 80, "unit_price": 12.5}],
    "total": 1000.0,
}


def check_that_orders_complete(machine: Host, number: int = 1) -> None:
    """Check that a plain order completes."""
    machine.put(order(f"T-{number}"))
    machine.settle()
    assert has_completed_once(machine, f"T-{number}")


def with_detail(text: str) -> dict[str, str]:
    """Return the entry of an order whose detail has one more field, as text."""
    detail = json.dumps(order(POISON)["detail"])[:-1]
    entry = {"EventBusName": "orders-bus", "Source": "orders.service"}
    return {**entry, "DetailType": "Order Created", "Detail": f'{detail},"more":{text}}}'}


CARRIED = {
    **{f"{levels} levels": nested(levels - 1, '{"a":') for levels in (249, 252, 255, 300, 1_000)},
    "a list in a list": nested(999),
    "an integer beyond 64 bits": "18446744073709551616",
    "309 digits": "1" + "0" * 308,
    "a number of many digits": "999.99999999999999999",
    "a zero byte": '"\\u0000"',
    "200,000 characters": '"' + "x" * 200_000 + '"',
    "10,000 values": f"[{','.join(['1'] * 10_000)}]",
    "a name given twice": '1,"more":2',
}
REFUSED = {
    "1,001 levels": nested(1_000, '{"a":'),
    "100,000 levels": nested(100_000),
    "beyond a double": "1e400",
    "310 digits": "9" * 310,
    "no number": "NaN",
    "half a surrogate pair": '"\\ud800"',
}


@pytest.mark.parametrize("kind", [*CARRIED, *REFUSED])
def test_f35_an_extreme_event(scene: Scene, kind: str) -> None:
    """F35: a deep, huge or odd event -> processed to its end, or refused; others continue."""
    entry = with_detail((CARRIED | REFUSED)[kind])
    with scene.open() as machine:
        machine.receive(TEA=1000)
        asked = machine.engine.call(lambda now: machine.engine.bus.put([entry], now))
        machine.engine.turn(0)
        [answer] = asked.result(0)["Entries"]
        assert answer.get("ErrorCode") == (None if kind in CARRIED else "MalformedDetail")
        check_that_orders_complete(machine)
    with scene.open() as machine:
        check_that_orders_complete(machine, 2)
        assert has_completed_once(machine, POISON) is (kind in CARRIED)
        assert dead_letters(machine) == []
        query = "select envelope from events where detail_type = 'Order Created' and order_id = ?"
        kept = [row["envelope"] for row in machine.rows(query, POISON)]
        assert [entry["Detail"] in envelope for envelope in kept] == [True] * (kind in CARRIED)


PARAMETERS: dict[str, tuple[dict[str, Any], Any]] = {
    "entries that are numbers": (
        {"Resource": "events:putEvents", "Parameters": {"Entries.$": "$.x"}},
        [5],
    ),
    "entries that are null": (
        {"Resource": "events:putEvents", "Parameters": {"Entries.$": "$.x"}},
        None,
    ),
    "a queue that is null": (
        {"Resource": "sqs:sendMessage", "Parameters": {"QueueUrl.$": "$.x", "MessageBody": "b"}},
        None,
    ),
    "a function that is null": (
        {"Resource": "lambda:invoke", "Parameters": {"FunctionName.$": "$.x"}},
        None,
    ),
    "a state machine that is a number": (
        {"Resource": "states:startExecution", "Parameters": {"StateMachineArn.$": "$.x"}},
        5,
    ),
    "a name that is an object": (
        {
            "Resource": "states:startExecution",
            "Parameters": {"StateMachineArn": "${OrderRecoveryArn}", "Name.$": "$.x"},
        },
        {"a": 1},
    ),
    "parameters that are text": ({"Resource": "sqs:sendMessage", "InputPath": "$.x"}, "text"),
    "a number beyond 64 bits": (
        {"Parameters": {"n.$": "States.StringToJson($.x)"}},
        "1" + "0" * 30,
    ),
    "text that is too deep": ({"Parameters": {"n.$": "States.StringToJson($.x)"}}, nested(1_001)),
}


@pytest.mark.parametrize("kind", PARAMETERS)
def test_f36_a_task_whose_parameters_are_of_another_type(
    scene: Scene, tmp_path: Path, kind: str
) -> None:
    """F36: a task's parameters of another type -> only this execution fails, States.Runtime."""
    state, value = PARAMETERS[kind]
    template = _with_state(tmp_path / "changed", state)
    with scene.open(template=template) as machine:
        machine.receive(TEA=1000)
        machine.put({**order(POISON, x=value), "source": "orders.service"})
        machine.settle()
        [row] = machine.rows("select * from executions where order_id = ?", POISON)
        works = kind == "a number beyond 64 bits"
        expected = ("SUCCEEDED", None) if works else ("FAILED", "States.Runtime")
        assert (row["status"], row["error"]) == expected
    with scene.open() as machine:
        machine.engine.run_schedule("ReconcileFunction")
        check_that_orders_complete(machine)


def _with_state(folder: Path, state: dict[str, Any]) -> Path:
    """Return a template whose workflow is one state, which reads the event's ``x``."""
    shutil.copytree(ROOT / "workflows", folder / "workflows")
    shutil.copy(ROOT / "template.yaml", folder)
    text = json.dumps(state).replace("$.x", "$.detail.x")
    fields: dict[str, Any] = json.loads(text)
    kind = {"Type": "Pass"}
    if "Resource" in fields:
        kind = {"Type": "Task", "Resource": f"arn:aws:states:::{fields.pop('Resource')}"}
    definition = {"StartAt": "Only", "States": {"Only": {**kind, **fields, "End": True}}}
    path = folder / "workflows" / "order_processing.asl.yaml"
    path.write_text(yaml.safe_dump(definition), encoding="utf-8")
    return folder / "template.yaml"


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, RecursionError, KeyError, OSError])
def test_f37_a_target_that_raises_anything(scene: Scene, error: type[Exception]) -> None:
    """F37: a target raises any error -> retried by its policy, dead letter; others continue."""

    class Raising(QueueTarget):
        def deliver(self, target: Any, delivery: Any, now: float) -> None:
            if POISON in delivery.envelope:
                raise error("an unexpected error")
            super().deliver(target, delivery, now)

    with scene.open() as machine:
        machine.receive(TEA=1000)
        engine = machine.engine
        engine.bus.rule_targets["queue"] = Raising(engine.parts)
        machine.put(order(POISON, **HIGH_VALUE), order("T-2", **HIGH_VALUE))
        check_that_orders_complete(machine)
        assert has_completed_once(machine, POISON)
        [(queue, reason)] = dead_letters(machine)
        assert queue == "TargetsDeadLetterQueue"
        assert reason.startswith(f"INTERNAL_ERROR: {error.__name__}: ")
        assert "High Value Order Flagged" in machine.events("T-2")
        [failure] = machine.rows("select kind, error, count from failures")
        assert (failure["kind"], failure["error"]) == ("delivery", error.__name__)
        assert failure["count"] > 100


def _ends_deliveries(machine: Host) -> None:
    class Ending(QueueTarget):
        def deliver(self, target: Any, delivery: Any, now: float) -> None:
            if POISON in delivery.envelope:
                os.kill(os.getpid(), signal.SIGKILL)
            super().deliver(target, delivery, now)

    engine = machine.engine
    engine.bus.rule_targets["queue"] = Ending(engine.parts)


def _ends_calls_of(*functions: str) -> Patch:
    """Return a patch by which these functions kill the engine's process for the poison."""

    def patch(machine: Host) -> None:
        invoker: Any = machine.engine.invoker
        environment = invoker.environment
        for name in functions:
            environment.load()
            environment._handlers[name] = _ending(environment._handlers[name])  # noqa: SLF001

    return patch


def _ending(handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def end(given: Any, context: Any) -> Any:
        records = [base64.b64decode(one["data"]).decode() for one in given.get("records", ())]
        created = [one for one in records if '"Order Created"' in one]
        if POISON in json.dumps(given) or any(POISON in one for one in created):
            os.kill(os.getpid(), signal.SIGKILL)
        return handler(given, context)

    return end


def _ends_submissions(machine: Host) -> None:
    """Kill the engine's process when the poison's execution begins its first step."""
    executions = machine.engine.executions
    run = executions._run  # noqa: SLF001

    def ending(live: Any, task: Any, now: float) -> Any:
        if POISON in json.dumps(task.parameters):
            os.kill(os.getpid(), signal.SIGKILL)
        return run(live, task, now)

    executions._run = ending  # type: ignore[method-assign]  # noqa: SLF001


def _ends_the_outbox(machine: Host) -> None:
    engine = machine.engine
    send = engine.outbox._send  # noqa: SLF001

    def ending(row: Any, now: float) -> None:
        if POISON in row["body"] and "Order Completed" in row["body"]:
            os.kill(os.getpid(), signal.SIGKILL)
        send(row, now)

    engine.outbox._send = ending  # type: ignore[method-assign]  # noqa: SLF001


ENDS: dict[str, tuple[Patch, tuple[str, ...]]] = {
    "a delivery": (_ends_deliveries, ("TargetsDeadLetterQueue",)),
    "a message": (_ends_calls_of("FlagHighValueFunction"), ("HighValueDeadLetterQueue",)),
    "an execution's beginning": (_ends_submissions, ("TargetsDeadLetterQueue",)),
    "an execution": (_ends_calls_of("CheckInventoryFunction"), ("QuarantineQueue",)),
    "a record": (_ends_calls_of("ProcessRecordsFunction"), ()),
    "an outbox entry": (_ends_the_outbox, ("AttentionQueue",)),
}


@pytest.mark.parametrize("kind", ENDS)
def test_f38_an_item_that_ends_the_process(scene: Scene, kind: str) -> None:
    """F38: an item ends the process twice -> quarantined with the reason; others continue."""
    patch, queues = ENDS[kind]
    with scene.open() as machine:
        machine.receive(TEA=1000)
    ends = [_in_a_process(lambda: _put_poison(scene, patch, first=True))]
    while ends[-1] == signal.SIGKILL and len(ends) < 5:
        ends.append(_in_a_process(lambda: _put_poison(scene, patch, first=False)))
    ends.append(_in_a_process(lambda: _put_poison(scene, patch, first=False, later=DAY)))
    assert ends == [signal.SIGKILL, signal.SIGKILL, 0, 0]
    with scene.open(later=2 * DAY) as machine:
        check_that_orders_complete(machine, 3)
        assert all(has_completed_once(machine, f"T-{number}") for number in (1, 2))
        found = dead_letters(machine)
        assert {queue for queue, _ in found} == set(queues)
        assert all("ended the process twice" in reason for _, reason in found)
        [told] = machine.rows("select message from failures where error = 'ProcessEnded'")
        assert "it is not tried again" in told["message"]
        if kind == "an outbox entry":
            return  # the event cannot be published; its letter is the result
        machine.engine.call(lambda now: redrive(machine.engine, [], now))
        machine.settle()
        assert has_completed_once(machine, POISON), "its redrive starts it again"
        assert dead_letters(machine) == []


def _put_poison(scene: Scene, patch: Patch, *, first: bool, later: float = 0.0) -> None:
    """Run the platform until nothing is due; first put the poison among other orders."""
    with scene.open(later=later) as machine:
        patch(machine)
        if first:
            poison = order(POISON, **HIGH_VALUE)
            machine.put(order("T-1"), poison, order("T-2"))
        machine.settle()
        machine.engine.run_schedule("ReconcileFunction")
        machine.settle()


def _in_a_process(work: Callable[[], None]) -> int:
    """Call ``work`` in a forked process; return the signal that ended it, or 0."""
    process = os.fork()
    if process == 0:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - told by the exit status
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert status in {0, signal.SIGKILL}, "see the traceback of the process"
    return status


ANSWERS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "left unanswered": (lambda _: None, "Lambda.MissingRecordId"),
    "an answer that is a number": (lambda _: 5, "Lambda.MissingRecordId"),
    "no data": (lambda one: {**one, "data": None}, "Lambda.JsonProcessingException"),
    "data that is no Base64": (lambda one: {**one, "data": "%"}, "Lambda.JsonProcessingException"),
    "a row that is no JSON": (
        lambda one: {**one, "data": base64.b64encode(b"{").decode()},
        "DataFormatConversion.InvalidRow",
    ),
    "a row of another type": (
        lambda one: {**one, "data": base64.b64encode(b'{"units": "many"}').decode()},
        "DataFormatConversion.InvalidRow",
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_f39_a_record_that_cannot_be_processed_or_converted(scene: Scene, kind: str) -> None:
    """F39: a record cannot be processed or converted -> error prefix; its batch is delivered."""
    change, code = ANSWERS[kind]
    with scene.open() as machine:
        machine.receive(TEA=1000)
        invoker: Any = machine.engine.invoker
        invoker.environment.load()
        handlers = invoker.environment._handlers  # noqa: SLF001
        process = handlers["ProcessRecordsFunction"]

        def answer(given: Any, context: Any) -> Any:
            poison = {one["recordId"] for one in given["records"] if _is_poison(one)}
            records = [
                change(one) if one["recordId"] in poison else one
                for one in process(given, context)["records"]
            ]
            return {"records": [one for one in records if one is not None]}

        handlers["ProcessRecordsFunction"] = answer
        machine.put(*(order(one) for one in ("T-2", "T-3")), event("Order Cancelled", POISON))
        check_that_orders_complete(machine)
        assert _analysed(machine) == {"T-1", "T-2", "T-3", POISON}, "the fact of its expiry"
        assert _errors(machine) == [code]
        assert machine.rows("select * from deliveries") == []


def _is_poison(record: dict[str, Any]) -> bool:
    """Say whether a record has the request; the fact of its expiry has the same order id."""
    content = json.loads(base64.b64decode(record["data"]))
    request = (content["detail-type"], content["detail"]["order_id"])
    return request == ("Order Cancelled", POISON)


def _analysed(machine: Host) -> set[str]:
    with connect(machine.directory.bucket) as connection:
        rows = connection.execute("select distinct order_id from order_events").fetchall()
    return {row[0] for row in rows}


def _errors(machine: Host) -> list[str]:
    paths = (machine.directory.bucket / "errors").rglob("*.jsonl")
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return [json.loads(line)["errorCode"] for line in lines]
