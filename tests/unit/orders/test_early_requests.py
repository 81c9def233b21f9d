"""Requests that arrive before their order are stored, applied, or become dead letters."""

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from kernel.clock import timestamp
from kernel.errors import OrderCancelled, OrderNotFound
from kernel.lease import require_active
from kernel.order_status import Status
from orders.change_requests import apply_request, expire_requests
from orders.early_requests import MAX_KEPT, RETENTION
from orders.model import Amendment
from orders.usecases import (
    Policy,
    Ports,
    amend,
    claim,
    compensate,
    fail,
    place,
)
from tests.fakes.events import ADDRESS, created, envelope
from tests.fakes.orders import FakeOrders
from tests.fakes.records import EPOCH, NOW, RUN, order


def ports(store: FakeOrders, now: float = NOW) -> Ports:
    return Ports(store, lambda: now, Policy(), "quarantine")


CANCEL = envelope("Order Cancelled", reason="cheaper", metadata={"event_id": "event-9"})
MOVE = envelope("Order Updated", shipping_address=ADDRESS, email="bob@example.com")
MOVED = {**ADDRESS, "region": None, "postal_code": None}
FIRST_WRITES: dict[str, Callable[[FakeOrders], object]] = {
    "claim": lambda store: claim(envelope(), RUN, ports(store)),
    "place": lambda store: place(created(), ports(store)),
}


@pytest.fixture(params=FIRST_WRITES)
def comes(request: pytest.FixtureRequest) -> Callable[[FakeOrders], object]:
    """Return the first write of an order: by a run, or by the HTTP API."""
    return FIRST_WRITES[request.param]


def test_an_early_request_is_stored_once() -> None:
    store = FakeOrders()
    for event in (CANCEL, MOVE, CANCEL):
        apply_request(event, ports(store))
    assert [one.name for one in store.kept["A-1"]] == ["Order Cancelled", "Order Updated"]
    assert (store.records, store.timeline, store.outbox) == ({}, [], [])


def test_an_order_with_an_early_cancellation_is_never_fulfilled(
    comes: Callable[[FakeOrders], object],
) -> None:
    store = FakeOrders()
    apply_request(CANCEL, ports(store))
    comes(store)
    record = store.only
    assert (record.cancel_requested, record.cancel_reason) == (True, "cheaper")
    assert record.cancel_event_id == "event-9"
    assert record.version == 1
    assert store.happened == ["CANCEL_REQUESTED", "RECEIVED"]
    assert (store.kept, store.runs) == ({}, [])
    with pytest.raises(OrderCancelled):
        require_active(record, record.epoch)


def test_the_confirmation_of_an_early_cancellation_names_its_request() -> None:
    store = FakeOrders()
    apply_request(CANCEL, ports(store))
    claim(envelope(), RUN, ports(store))
    compensate("A-1", EPOCH, {"Error": "OrderCancelled", "Cause": ""}, RUN, ports(store))
    assert fail("A-1", EPOCH + 1, ports(store)) is Status.CANCELLED
    [confirmed] = store.events
    assert confirmed.name == "Order Cancellation Confirmed"
    assert confirmed.detail.metadata.causation_id == "event-9"


def test_an_early_update_changes_the_address_of_its_order(
    comes: Callable[[FakeOrders], object],
) -> None:
    store = FakeOrders()
    apply_request(MOVE, ports(store))
    comes(store)
    assert (store.only.shipping_address, store.only.email) == (MOVED, "bob@example.com")
    assert store.happened == ["CHANGED", "RECEIVED"]


def test_the_latest_early_update_of_each_field_wins_in_any_order() -> None:
    times = {
        name: f"2026-01-31T12:0{minute}:00Z" for minute, name in enumerate(("old", "mid", "new"))
    }
    updates = [
        envelope("Order Updated", timestamp=times["new"], email="new@example.com"),
        envelope("Order Updated", timestamp=times["mid"], email=None, shipping_address=ADDRESS),
        envelope("Order Updated", timestamp=times["old"], email="old@example.com"),
    ]
    for order_of_arrival in permutations(updates):
        store = FakeOrders()
        for event in order_of_arrival:
            apply_request(event, ports(store))
        claim(envelope(), RUN, ports(store))
        assert (store.only.email, store.only.shipping_address) == ("new@example.com", MOVED)


def test_the_event_of_a_placed_order_ignores_early_requests() -> None:
    """The order's own event must claim it, so it has the content of the HTTP request."""
    store = FakeOrders()
    apply_request(MOVE, ports(store))
    record, new = place(created(email="ada@example.com"), ports(store))
    assert new
    assert record.email == "bob@example.com"
    [published] = store.events
    assert published.detail.email == "ada@example.com"
    [entry] = [message.body for message in store.outbox]
    event = {"source": "orders.service", "detail-type": "Order Created"}
    claim({**event, "detail": json.loads(str(entry["Detail"]))}, RUN, ports(store))
    assert store.only.email == "bob@example.com"
    assert place(created(email="ada@example.com"), ports(store))[1] is False


def test_a_request_that_arrives_during_its_orders_write_is_applied(
    comes: Callable[[FakeOrders], object],
) -> None:
    store = FakeOrders()
    store.before_next_write(
        lambda: apply_request(CANCEL, ports(store)), lambda: apply_request(MOVE, ports(store))
    )
    comes(store)
    assert store.only.cancel_requested
    assert store.only.email == "bob@example.com"
    assert store.kept == {}


@pytest.mark.parametrize("event", [CANCEL, MOVE])
def test_an_order_that_arrives_during_a_requests_write_gets_the_request(
    comes: Callable[[FakeOrders], object], event: dict[str, Any]
) -> None:
    store = FakeOrders()
    store.before_next_write(lambda: comes(store))
    apply_request(event, ports(store))
    assert store.kept == {}
    assert store.only.cancel_requested or store.only.email == "bob@example.com"


def test_the_number_of_early_requests_per_order_is_bounded() -> None:
    store = FakeOrders()
    for number in range(MAX_KEPT):
        apply_request(envelope("Order Updated", email=f"a{number}@example.com"), ports(store))
    with pytest.raises(OrderNotFound, match="20 requests wait for it already"):
        apply_request(CANCEL, ports(store))
    assert len(store.kept["A-1"]) == MAX_KEPT


def test_a_request_whose_order_never_arrives_is_a_dead_letter_after_a_day() -> None:
    store = FakeOrders()
    apply_request(CANCEL, ports(store, NOW - RETENTION))
    apply_request(MOVE, ports(store, NOW - RETENTION))
    assert expire_requests(ports(store)) == 0
    assert expire_requests(ports(store, NOW + 0.5)) == 2
    assert store.kept == {}
    first, second = (message.body for message in store.outbox)
    assert first["queue"] == second["queue"] == "quarantine"
    dead_letter: Any = first["body"]
    assert dead_letter["reason"] == {
        "error": "OrderNotFound",
        "message": "order A-1 did not arrive within 24 hours of this request;"
        " send the order first, then the request again",
    }
    assert dead_letter["consumer"] == "change_order"
    apply_request(dead_letter["event"], ports(store))
    assert store.kept["A-1"][0].event_id == "event-9", "a redriven dead letter is stored again"


def test_an_order_that_arrives_while_its_request_expires_gets_the_request() -> None:
    store = FakeOrders()
    apply_request(CANCEL, ports(store, NOW - 2 * RETENTION))
    store.before_next_write(lambda: claim(envelope(), RUN, ports(store)))
    assert expire_requests(ports(store)) == 0
    assert store.only.cancel_requested
    assert store.outbox == []


def test_an_update_ahead_of_our_clock_is_effective_when_the_bus_accepted_it() -> None:
    store = FakeOrders(order())
    ahead = envelope("Order Updated", email="typo@example.com", timestamp="2099-01-01T00:00:00Z")
    ahead["time"] = timestamp(NOW - 10)
    apply_request(ahead, ports(store))
    assert store.only.email == "typo@example.com"
    amend("A-1", Amendment(None, "ada@example.com"), ports(store))
    apply_request(ahead, ports(store))  # delivered once more
    assert store.only.email == "ada@example.com"
    assert store.happened == ["CHANGED", "CHANGED", "CHANGE_IGNORED"]
