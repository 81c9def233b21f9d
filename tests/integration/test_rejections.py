"""`Order Rejected` on the shipped platform: reported once for an event, to every subscriber."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analytics.warehouse import connect
from orders import change_requests
from orders.usecases import Policy, Ports
from tests.fakes.events import envelope
from tests.fakes.records import NOW
from tests.host import Host, event, order
from tests.integration.dynamo_stores import DynamoStores, OneAtATime, moto
from tests.integration.stores import SQLiteStores, Stores


def facts(machine: Host) -> list[dict[str, Any]]:
    rows = machine.rows("select envelope from events where detail_type = 'Order Rejected'")
    return [json.loads(row["envelope"])["detail"] for row in rows]


def test_an_event_that_two_rules_refuse_is_told_once(machine: Host) -> None:
    [answer] = machine.put(order(total=5_000))
    machine.settle()
    [fact] = facts(machine)
    assert fact["rejected_event_id"] == answer["EventId"]
    assert [letter["queue"] for letter in machine.dead_letters()] == ["QuarantineQueue"] * 2
    assert machine.status() is None


@pytest.mark.parametrize(
    "refused",
    [
        order(total=1),
        event("Order Updated"),
        event("Order Cancelled", reason=7),
        event("Order Placed"),
        event("order created"),
    ],
    ids=lambda one: str(one["detail-type"]),
)
def test_a_refused_event_is_told_by_the_id_of_its_answer(
    machine: Host, refused: dict[str, Any]
) -> None:
    [answer] = machine.put(refused)
    machine.settle()
    [fact] = facts(machine)
    assert (fact["rejected_event_id"], fact["order_id"]) == (answer["EventId"], "T-1")
    assert fact["problem_count"] == len(fact["problems"]) >= 1
    [letter] = machine.dead_letters()
    assert json.loads(letter["body"])["event"]["id"] == answer["EventId"]


def test_a_fact_of_another_sender_causes_no_rejection(machine: Host) -> None:
    machine.put(event("Order Rejected"), event("Order Completed"))
    machine.settle()
    assert len(facts(machine)) == 1, "the sender's own"
    assert machine.dead_letters() == []


def test_a_rejection_leaves_the_order_of_its_id_alone(machine: Host) -> None:
    machine.put(order())
    machine.settle()
    before = machine.rows("select * from orders")
    machine.put(order(customer_id="C-2"), order(total=1), event("Order Updated", email="a@b.de"))
    machine.settle()
    assert machine.rows("select * from orders") == before
    assert machine.status() == "COMPLETED"
    assert sorted(fact["reason"] for fact in facts(machine)) == [
        "ChangeRefused",
        "InvalidEvent",
        "OrderConflict",
    ]


def test_a_redriven_event_is_told_under_the_same_event_id(machine: Host) -> None:
    machine.put(order(total=1), event("Order Updated"))
    machine.settle()
    letters = [letter["id"] for letter in machine.dead_letters()]
    assert len(letters) == 2
    engine = machine.engine
    engine.call(lambda now: engine.dead_letters.redrive(letters, "tester", now))
    machine.settle()
    told = [fact["metadata"]["event_id"] for fact in facts(machine)]
    assert (len(told), len(set(told))) == (4, 2)


def test_the_analysts_count_no_rejection_as_an_outcome(machine: Host) -> None:
    machine.put(order())
    machine.settle()
    machine.put(order(customer_id="C-2"), order("T-2", total=1), event("Order Rejected", "T-3"))
    machine.settle()
    with connect(machine.directory.bucket) as connection:
        orders = connection.sql("select order_id, status from orders").fetchall()
        told = connection.sql(
            "select order_id, reason, origin from order_events"
            " where event_type = 'Order Rejected' order by order_id"
        ).fetchall()
    assert orders == [("T-1", "COMPLETED")]
    assert told == [("T-1", "OrderConflict", "platform"), ("T-2", "InvalidEvent", "platform")]


@pytest.fixture(scope="module")
def aws() -> Iterator[OneAtATime]:
    with moto() as client:
        yield client


@pytest.fixture(params=["sqlite", "dynamodb"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    opened: Stores
    if request.param == "sqlite":
        opened = SQLiteStores(tmp_path)
    else:
        opened = DynamoStores(request.getfixturevalue("aws"))
    yield opened
    opened.close()


def test_the_dead_letter_and_its_fact_are_one_write(stores: Stores) -> None:
    ports = Ports(stores.orders(), lambda: NOW, Policy(), "quarantine")
    body = json.dumps({**envelope("Order Updated", email="ada"), "id": "bus-1"})
    assert not change_requests.take_message(body, ports)
    letter, fact = (message for message, _ in stores.outbox())
    assert (letter.kind, fact.kind) == ("message", "event")
    assert fact.body["DetailType"] == "Order Rejected"
    if isinstance(stores, DynamoStores):
        assert sum(key.endswith(" outbox") for key in stores.everything()) == 1
