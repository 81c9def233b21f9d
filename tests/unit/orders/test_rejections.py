"""A refused event is told once, by one fact, without the sender's values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import MAX_PROBLEMS, InvalidEvent, OrderConflict
from kernel.events import CONTRACTS, REQUESTS, Event, OrderRejected, parse
from kernel.order_record import Message
from kernel.order_status import Status
from orders.change_requests import apply_request, take_message
from orders.rejections import rejection
from orders.usecases import Ports, claim
from tests.fakes.events import created, envelope
from tests.fakes.orders import FakeOrders
from tests.fakes.records import NOW, RUN, order
from tests.strategies import json_values
from tests.unit.orders.test_order_usecases import POLICY

SECRET = "Secretive7"


def ports(store: FakeOrders) -> Ports:
    return Ports(store, lambda: NOW, POLICY, "quarantine", journal=store)


def sent(name: str = "Order Created", event_id: str = "bus-1", **fields: Any) -> dict[str, Any]:
    return {**envelope(name, **fields), "id": event_id}


def told(store: FakeOrders) -> list[Event[Any]]:
    return [event for event in store.events if event.name == OrderRejected.name]


def fact(message: Message | None) -> dict[str, Any]:
    assert message is not None
    detail: dict[str, Any] = json.loads(str(message.body["Detail"]))
    return detail


def refused(event: dict[str, Any]) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as error:
        parse(event)
    return error.value


def test_an_invalid_order_is_told_with_every_problem() -> None:
    store = FakeOrders()
    event = sent(total=1, email="ada", metadata={"event_id": "e-1", "correlation_id": "r-1"})
    with pytest.raises(InvalidEvent):
        claim(event, RUN, ports(store))
    [rejected] = told(store)
    detail = rejected.detail
    assert (detail.order_id, detail.rejected_event_id) == ("A-1", "bus-1")
    assert (detail.rejected_event_type, detail.reason) == ("Order Created", "InvalidEvent")
    assert [each.field for each in detail.problems] == ["detail.total", "detail.email"]
    assert all("send" in each.problem for each in detail.problems)
    assert detail.problem_count == 2
    assert (rejected.correlation_id, detail.metadata.causation_id) == ("r-1", "e-1")
    assert store.records == {}


def test_another_content_for_a_known_order_is_told_and_the_order_goes_on() -> None:
    known = order()
    store = FakeOrders(known)
    with pytest.raises(OrderConflict):
        claim(sent(customer_id="C-99"), RUN, ports(store))
    [rejected] = told(store)
    assert rejected.detail.reason == "OrderConflict"
    assert "new id" in rejected.detail.problems[0].problem
    assert store.only == known


def test_a_late_update_is_told() -> None:
    known = order(status=Status.COMPLETED)
    store = FakeOrders(known)
    apply_request(sent("Order Updated"), ports(store))
    [rejected] = told(store)
    assert (rejected.detail.reason, rejected.detail.order_id) == ("ChangeRefused", "A-1")
    assert store.only == known


def test_a_repeated_refusal_has_the_same_event_id_and_another_event_another_id() -> None:
    store = FakeOrders()
    for event_id in ("bus-1", "bus-1", "bus-2"):
        with pytest.raises(InvalidEvent):
            claim(sent(event_id=event_id, total=1), RUN, ports(store))
    ids = [event.event_id for event in told(store)]
    assert (ids[0] == ids[1], ids[1] == ids[2]) == (True, False)


def test_an_unknown_detail_type_is_told_with_the_known_ones() -> None:
    store = FakeOrders()
    event = sent("Order Updated") | {"detail-type": f"Order {SECRET}"}
    assert not take_message(json.dumps(event), ports(store))
    letter, _ = store.outbox
    assert letter.kind == "message"
    [rejected] = told(store)
    assert rejected.detail.rejected_event_type is None
    assert "Order Created" in rejected.detail.problems[0].problem
    assert SECRET not in rejected.detail.model_dump_json()


@pytest.mark.parametrize("name", sorted(CONTRACTS.keys() - REQUESTS))
def test_a_fact_is_never_rejected(name: str) -> None:
    store = FakeOrders()
    fact_of_another = {"id": "bus-1", "source": "orders.service", "detail-type": name, "detail": {}}
    assert not take_message(json.dumps(fact_of_another), ports(store))
    assert [message.kind for message in store.outbox] == ["message"]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(sent(total=1)),  # the workflow tells it
        json.dumps(envelope("Order Updated", email="ada")),  # not from the bus
        json.dumps({"id": "bus-1", "source": "inventory.service", "detail-type": "Stock"}),
        json.dumps({"id": "bus 1\n", **envelope("Order Updated", email="ada")}),
        json.dumps({"id": 7, **envelope("Order Updated", email="ada")}),
        "no JSON",
        "[]",
    ],
)
def test_a_message_that_is_no_event_of_a_producer_is_quarantined_only(body: str) -> None:
    store = FakeOrders()
    assert not take_message(body, ports(store))
    assert [message.kind for message in store.outbox] == ["message"]


def test_at_most_a_hundred_problems_are_told_and_all_are_counted() -> None:
    event = sent(items=[{"sku": f"S-{n}"} for n in range(90)])
    detail = fact(rejection(event, refused(event), NOW))
    assert len(detail["problems"]) == MAX_PROBLEMS
    assert detail["problem_count"] > MAX_PROBLEMS


@pytest.mark.parametrize(
    "damage",
    [
        {"order_id": SECRET + " "},
        {"order_id": SECRET * 20},
        {"order_id": SECRET + "\n"},
        {"metadata": {"event_id": SECRET * 20, "correlation_id": SECRET * 20}},
        {"metadata": SECRET},
        {"customer_id": SECRET + "!"},
        {"currency": SECRET},
        {"total": SECRET},
        {"items": [{"sku": SECRET + " ", "quantity": SECRET, "unit_price": SECRET}]},
        {"items": SECRET},
        {"timestamp": SECRET},
        {"timestamp": "2026-02-31T12:00:00Z" + SECRET},
        {"email": f"{SECRET}@x"},
        {"email": f"{SECRET} one@example.com"},
        {"payment_token": SECRET * 100},
        {"shipping_address": {"name": SECRET * 100, "street": SECRET, "city": 7, "country": ""}},
        {"shipping_address": SECRET},
        {"metadata": {"schema_version": SECRET}},
        {SECRET: SECRET, "total": 1},
    ],
    ids=str,
)
def test_no_problem_repeats_the_value(damage: dict[str, Any]) -> None:
    event = sent(**damage)
    error = refused(event)
    assert SECRET not in json.dumps(fact(rejection(event, error, NOW)))
    assert len(error.unquoted) == len(error.problems)


@given(st.dictionaries(st.sampled_from(sorted(created().detail.model_fields_set)), json_values))
def test_any_refused_event_has_a_valid_fact(damage: dict[str, Any]) -> None:
    event = sent(**damage)
    try:
        parse(event)
    except InvalidEvent as error:
        message = rejection(event, error, NOW)
        assert message is not None
        envelope_of_fact = {
            "source": message.body["Source"],
            "detail-type": message.body["DetailType"],
            "detail": fact(message),
        }
        assert parse(envelope_of_fact).name == OrderRejected.name


def test_half_of_a_surrogate_pair_in_an_id_is_left_out() -> None:
    event = sent(total=1, metadata={"event_id": "a\ud800", "correlation_id": "b\ud800"})
    detail = fact(rejection(event, refused(event), NOW))
    assert detail["metadata"]["causation_id"] == "bus-1"
