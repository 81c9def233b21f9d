"""The outcome of an event on AWS: by its order, and of a refused one by its EventId."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import pytest

from kernel.errors import (
    ChangeRefused,
    EventNotFound,
    InvalidEvent,
    OrderConflict,
    OrderNotFound,
)
from kernel.events import SOURCE
from kernel.order_record import Message
from orders import change_requests, event_requests, outbox, usecases
from orders.caller import Caller
from orders.dynamodb import DynamoOrders, DynamoOutbox
from orders.early_requests import RETENTION
from orders.event_history import UNKNOWN_TYPE
from orders.outbox import Publisher
from orders.rejections import rejection
from orders.timeline_history import TimelineHistory
from orders.usecases import Policy, Ports
from tests.fakes.events import envelope
from tests.fakes.records import NOW, RUN
from tests.integration.dynamo_stores import DynamoStores, moto

OPERATOR = Caller("", None)


@pytest.fixture
def stack() -> Iterator[Ports]:
    with moto() as client:
        stores = DynamoStores(client)
        history = TimelineHistory(stores.orders().table)
        yield Ports(stores.orders(), lambda: NOW, Policy(), "quarantine", history=history)
        stores.close()


def test_a_stack_tells_the_events_of_an_order_by_its_timeline(stack: Ports) -> None:
    usecases.claim(envelope(metadata={"event_id": "e-1"}), RUN, stack)
    with pytest.raises(OrderConflict):
        usecases.claim(envelope(customer_id="C-9", metadata={"event_id": "e-2"}), RUN, stack)
    change_requests.apply_request(envelope("Order Cancelled"), stack)
    events = event_requests.of_order("A-1", OPERATOR, stack)
    assert [(each.type, each.outcome, each.metadata_event_id) for each in events] == [
        ("Order Created", "processed", "e-1"),
        ("Order Created", "rejected", "e-2"),
        ("Order Cancelled", "processed", None),
    ]
    assert events[1].problems
    with pytest.raises(OrderNotFound):
        event_requests.of_order("A-1", Caller("", "C-9"), stack)


class Accepting:
    """A publisher that accepts the given number of messages in each request."""

    def __init__(self, number: int = 10) -> None:
        self.number = number

    def put(self, messages: Sequence[Message]) -> list[str | None]:
        return [None if n < self.number else "throttled" for n in range(len(messages))]


def relayed(ports: Ports, publisher: Publisher) -> None:
    """Send what is in the outboxes, as the reconciler does."""
    table = cast("DynamoOrders", ports.store).table
    sender = outbox.Ports(
        DynamoOutbox(table),
        publisher,
        lambda: ports.now() + 1000,
        lambda _: None,
        lambda _, most: most,
    )
    outbox.catch_up(sender, lambda: 60.0)


def test_a_stack_tells_a_refused_event_by_its_id(stack: Ports) -> None:
    with pytest.raises(InvalidEvent):
        usecases.claim({**envelope(total=1), "id": "bus-1"}, RUN, stack)
    with pytest.raises(EventNotFound, match=r"GET /orders/\{order_id\}/events"):
        event_requests.find("bus-1", OPERATOR, stack)
    relayed(stack, Accepting(0))
    with pytest.raises(EventNotFound):
        event_requests.find("bus-1", OPERATOR, stack)
    relayed(stack, Accepting())
    told = event_requests.find("bus-1", OPERATOR, stack)
    assert (told.outcome, told.type, told.order_id) == ("rejected", "Order Created", "A-1")
    assert (told.reason, told.event_id) == ("InvalidEvent", "bus-1")
    assert told.problems[0]["field"] == "detail.total"
    table = cast("DynamoOrders", stack.store).table
    item = table.get("refused#bus-1", "refused") or {}
    assert item["ttl"] == NOW + 14 * 86_400
    with pytest.raises(OrderNotFound):
        event_requests.of_order("A-1", OPERATOR, stack)


def test_a_stack_tells_a_refused_event_without_an_order_or_a_known_type(stack: Ports) -> None:
    error = InvalidEvent("detail.order_id", "is missing; send it")
    sent = {"id": "bus-1", "source": SOURCE, "detail-type": "Order Teleported", "detail": {}}
    fact = rejection(sent, error, NOW)
    assert fact is not None
    stack.store.send(fact, NOW)
    relayed(stack, Accepting())
    told = event_requests.find("bus-1", OPERATOR, stack)
    assert (told.outcome, told.type, told.order_id) == ("rejected", UNKNOWN_TYPE, None)
    with pytest.raises(EventNotFound):
        event_requests.find("bus-1", Caller("", "C-1"), stack)


def test_a_stack_tells_a_request_that_waits_for_its_order(stack: Ports) -> None:
    change_requests.apply_request({**envelope("Order Cancelled"), "id": "bus-2"}, stack)
    [told] = event_requests.of_order("A-1", OPERATOR, stack)
    assert (told.type, told.outcome, told.event_id) == ("Order Cancelled", "waiting", "bus-2")
    assert told.metadata_event_id is None
    with pytest.raises(OrderNotFound):
        event_requests.of_order("A-1", Caller("", "C-1"), stack)


def test_a_stack_tells_an_expired_request_by_its_id(stack: Ports) -> None:
    change_requests.apply_request({**envelope("Order Cancelled"), "id": "bus-2"}, stack)
    late = replace(stack, now=lambda: NOW + 2 * RETENTION)
    assert change_requests.expire_requests(late) == 1
    relayed(late, Accepting())
    assert event_requests.find("bus-2", OPERATOR, stack).reason == "OrderNotFound"


def test_a_stacks_customer_hears_of_no_refused_order_and_of_its_own_changes(stack: Ports) -> None:
    usecases.claim(envelope(), RUN, stack)
    with pytest.raises(OrderConflict):
        usecases.claim({**envelope(customer_id="C-9"), "id": "bus-1"}, RUN, stack)
    error = ChangeRefused("order A-1 is shipped already")
    late = rejection(
        {**envelope("Order Updated", email="a@example.com"), "id": "bus-2"}, error, NOW
    )
    assert late is not None
    stack.store.send(late, NOW)
    relayed(stack, Accepting())
    owner, other = Caller("", stack.store.read("A-1").customer_id), Caller("", "C-9")
    for event_id, caller in (("bus-1", owner), ("bus-1", other), ("bus-2", other)):
        with pytest.raises(EventNotFound):
            event_requests.find(event_id, caller, stack)
    assert event_requests.find("bus-2", owner, stack).reason == "ChangeRefused"
    assert event_requests.find("bus-1", OPERATOR, stack).reason == "OrderConflict"


@pytest.mark.parametrize("event_id", ["", "a b", "x" * 3000, "é"])
def test_a_stack_reads_nothing_for_an_id_that_the_bus_never_gives(
    stack: Ports, event_id: str
) -> None:
    with pytest.raises(EventNotFound):
        event_requests.find(event_id, OPERATOR, stack)
