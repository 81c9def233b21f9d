"""Redrives of dead letters in the shipped stack: each returns to the place where it failed."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.dead_letters.reading import letters
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.local.template.stack import Stack
from infra.server.aws_api import AwsApi
from tests.fakes.runtime import Rig

LONGEST = "o" * 64
"""An order id of the longest length that the contract allows."""

NAME = 80
"""Longest name of an execution (Step Functions API reference, StartExecution)."""


@cache
def _stack() -> Stack:
    return stack_of(DataDirectory(Path("/nowhere")))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path, stack=lambda _: _stack())
    opened.settle()
    opened.functions.calls.clear()
    yield opened
    opened.close()


def letter(rig: Rig, queue: str, body: Any) -> int:
    """Send a dead letter, as the platform does; return its id."""
    rig.send(json.dumps(body), queue=queue)
    return int(rig.queue(queue)[-1]["id"])


def quarantined(consumer: str, event: Any) -> dict[str, Any]:
    reason = {"error": "InvalidEvent", "message": "total: is missing"}
    return {"reason": reason, "consumer": consumer, "event": event}


def redriven(rig: Rig, *ids: int) -> None:
    """Redrive dead letters as the command does, and settle."""
    asked = AwsApi(rig.engine, rig.database).answer(
        "Orderflow.RedriveDeadLetters", json.dumps({"ids": list(ids)}).encode()
    )
    rig.turn()
    assert not isinstance(asked, dict)
    asked.result(0)
    rig.settle()


def inputs(rig: Rig) -> list[Any]:
    return [
        json.loads(row["input"]) for row in rig.rows("select input from executions order by id")
    ]


def test_dead_letters_are_listed_oldest_first(rig: Rig) -> None:
    queues = ["QuarantineQueue", "AttentionQueue", "QuarantineQueue"]
    numbers = [letter(rig, queue, {"order_id": queue}) for queue in queues]
    found = letters(rig.database, rig.engine.stack.dead_letter_queues)
    assert [one["id"] for one in found] == numbers
    assert [one["queue"] for one in found] == queues


@pytest.mark.parametrize("order_id", ["A-1", LONGEST])
def test_an_order_in_the_attention_queue_is_resumed_by_a_run_with_a_valid_name(
    rig: Rig, order_id: str
) -> None:
    letter(rig, "AttentionQueue", {"consumer": "order_processing", "order_id": order_id})
    rig.database.connection.execute("update messages set id = 999999999")
    redriven(rig, 999_999_999)
    [run] = rig.rows("select name, machine, order_id from executions")
    assert len(run["name"]) <= NAME
    assert (run["machine"], run["order_id"]) == (rig.engine.profile.order_machine, order_id)
    assert inputs(rig) == [{"resume": {"order_id": order_id}}]
    assert rig.queue("AttentionQueue") == []


def test_orders_whose_ids_begin_alike_are_each_resumed(rig: Rig) -> None:
    ids = [LONGEST[:-1] + last for last in "ab"]
    numbers = [letter(rig, "AttentionQueue", {"order_id": order_id}) for order_id in ids]
    redriven(rig, *numbers)
    assert [one["resume"]["order_id"] for one in inputs(rig)] == ids


def test_each_quarantined_order_gets_its_own_run(rig: Rig) -> None:
    events = [{"detail": {"order_id": f"A-{number}"}} for number in range(3)]
    numbers = [
        letter(rig, "QuarantineQueue", quarantined("order_processing", event)) for event in events
    ]
    redriven(rig, *numbers)
    assert inputs(rig) == events
    assert len({row["name"] for row in rig.rows("select name from executions")}) == len(events)
    assert rig.queue("QuarantineQueue") == []


@pytest.mark.parametrize(
    ("consumer", "function"),
    [
        ("change_order", "ChangeOrderFunction"),
        ("flag_high_value", "FlagHighValueFunction"),
        ("send_confirmation", "SendConfirmationFunction"),
    ],
)
def test_a_quarantined_event_returns_to_the_consumer_that_refused_it(
    rig: Rig, consumer: str, function: str
) -> None:
    event = {"detail-type": "Order Cancelled", "detail": {"order_id": "A-1"}}
    redriven(rig, letter(rig, "QuarantineQueue", quarantined(consumer, event)))
    [call] = rig.functions.calls
    assert call.function.name == function
    [record] = json.loads(call.payload)["Records"]
    assert json.loads(record["body"]) == event
    assert record["attributes"]["ApproximateReceiveCount"] == "1"


def test_only_the_named_dead_letters_are_redriven(rig: Rig) -> None:
    numbers = [letter(rig, "AttentionQueue", {"order_id": f"A-{number}"}) for number in range(3)]
    redriven(rig, numbers[1])
    assert [one["resume"]["order_id"] for one in inputs(rig)] == ["A-1"]
    assert [row["id"] for row in rig.queue("AttentionQueue")] == [numbers[0], numbers[2]]


@pytest.mark.parametrize("field", ["order_id", "execution", "id"])
@pytest.mark.parametrize("queue", ["AttentionQueue", "QuarantineQueue"])
def test_a_letter_with_text_that_is_no_unicode_stops_no_other_redrive(
    rig: Rig, queue: str, field: str
) -> None:
    """SQLite returns a lone surrogate of JSON as bytes that are no UTF-8."""
    bad = letter(rig, queue, {field: "\ud800"})
    number = letter(rig, "AttentionQueue", {"order_id": "A-1"})
    redriven(rig, number)
    for _ in range(100):
        open_calls = rig.functions.calls.copy()
        rig.functions.calls.clear()
        for call in open_calls:
            rig.functions.fail(call, "ValueError")
        rig.pass_time(30.0)
    [run] = rig.rows("select status from executions where order_id = 'A-1'")
    assert run["status"] != "RUNNING"
    assert rig.rows("select * from closed_letters where state = 'PENDING'") == []
    assert bad in [row["id"] for row in rig.queue(queue)]
    assert rig.failures() == []
