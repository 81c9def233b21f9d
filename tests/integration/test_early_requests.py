"""Early requests on real stores: the same tests for each adapter."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from kernel.errors import OrderNotFound, VersionConflict
from kernel.order_record import Entry, Message, OrderRecord
from orders import change_requests, idempotent_placement, lost_events
from orders import usecases as orders
from orders.dynamodb import DynamoKeys, DynamoOrders, DynamoOutbox
from orders.early_requests import MAX_KEPT, RETENTION, EarlyRequest
from orders.idempotency_key import Key, Keys
from orders.store import SQLiteKeys, SQLiteOrders
from orders.usecases import Policy, Ports
from storage.dynamodb.table import Table
from tests.fakes.events import ADDRESS, created, envelope, read
from tests.fakes.records import NOW, RUN
from tests.integration.dynamo_stores import DynamoStores, OneAtATime, moto
from tests.integration.stores import SQLiteStores, Stores
from tests.integration.test_stores import at_once

CANCEL = envelope("Order Cancelled", reason="cheaper", metadata={"event_id": "event-9"})
ROUNDS = 6
"""Races on each store; in each, the request and the order start together."""


@pytest.fixture(scope="module")
def aws() -> Iterator[OneAtATime]:
    with moto() as client:
        yield client


@pytest.fixture
def dynamodb(aws: OneAtATime) -> Iterator[DynamoStores]:
    opened = DynamoStores(aws)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "dynamodb"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    if request.param == "sqlite":
        return SQLiteStores(tmp_path)
    found: Stores = request.getfixturevalue("dynamodb")
    return found


def ports(stores: Stores, now: float = NOW) -> Ports:
    return Ports(stores.orders(), lambda: now, Policy(), "quarantine")


def take(stores: Stores, event: dict[str, Any], now: float = NOW) -> None:
    change_requests.apply_request(event, ports(stores, now))


def moved(email: str, at: str = "2026-01-31T13:00:00Z") -> dict[str, Any]:
    return envelope("Order Updated", email=email, timestamp=at)


FIRST_WRITES: dict[str, Callable[[Ports], object]] = {
    "claim": lambda ports: orders.claim(envelope(), RUN, ports),
    "place": lambda ports: orders.place(created(), ports),
}


@pytest.mark.parametrize("comes", FIRST_WRITES.values(), ids=FIRST_WRITES)
def test_an_order_is_written_with_its_early_requests(
    stores: Stores, comes: Callable[[Ports], object]
) -> None:
    take(stores, moved("old@example.com", "2026-01-31T12:01:00Z"))
    take(stores, CANCEL, NOW + 1)
    take(stores, envelope("Order Updated", email=None, shipping_address=ADDRESS), NOW + 2)
    take(stores, CANCEL, NOW + 3)
    comes(ports(stores, NOW + 4))
    record = stores.orders().read("A-1")
    assert (record.cancel_requested, record.cancel_event_id) == (True, "event-9")
    assert (record.email, record.version) == ("old@example.com", 1)
    assert record.shipping_address == {**ADDRESS, "region": None, "postal_code": None}
    entries = [(entry.what, entry.at) for _, entry in stores.timeline("A-1")]
    assert entries == [
        ("CHANGED", NOW),
        ("CANCEL_REQUESTED", NOW + 1),
        ("CHANGED", NOW + 2),
        ("RECEIVED", NOW + 4),
    ]
    assert stores.orders().expired_requests(NOW + 10 * RETENTION, 10) == []


def test_an_early_request_opens_no_order(stores: Stores) -> None:
    take(stores, CANCEL)
    store = stores.orders()
    assert store.find("A-1") is None
    with pytest.raises(OrderNotFound):
        store.read("A-1")
    with pytest.raises(OrderNotFound):
        orders.cancel("A-1", None, None, ports(stores))
    with pytest.raises(OrderNotFound):
        orders.claim({"resume": {"order_id": "A-1"}}, RUN, ports(stores))
    assert list(store.stranded(NOW + 10 * RETENTION, 0.0, 10)) == []
    assert store.by_customer("C-42", 10, None) == []
    assert stores.outbox() == []


@pytest.mark.parametrize("comes", FIRST_WRITES.values(), ids=FIRST_WRITES)
def test_a_concurrent_request_and_order_see_each_other(
    stores: Stores, comes: Callable[[Ports], object]
) -> None:
    for number in range(ROUNDS):
        order_id = f"A-{number}"
        event = envelope("Order Created", order_id=order_id)
        opened = ports(stores)
        first: list[Callable[[], object]] = [
            partial(orders.claim, event, RUN, opened)
            if comes is FIRST_WRITES["claim"]
            else partial(orders.place, created(order_id=order_id), opened),
            partial(take, stores, envelope("Order Cancelled", order_id=order_id)),
            partial(take, stores, envelope("Order Updated", order_id=order_id)),
        ]
        random.Random(number).shuffle(first)
        results = at_once(*first)
        assert not [result for result in results if isinstance(result, Exception)]
        record = stores.orders().read(order_id)
        assert (record.cancel_requested, record.email) == (True, "ada@example.com")
    assert stores.orders().expired_requests(NOW + 10 * RETENTION, 100) == []


def under_a_key(ports: Ports, *, order_id: str = "A-1") -> object:
    """Place an order under an idempotency key."""
    store: Any = ports.store
    sqlite = isinstance(store, SQLiteOrders)
    keys: Keys = SQLiteKeys(store.database) if sqlite else DynamoKeys(store.table)
    key = Key("", order_id, "fingerprint")
    event = created(order_id=order_id)
    return idempotent_placement.place(event, key, replace(ports, keys=keys), "Idempotency-Key")


def test_an_order_placed_with_a_key_is_written_with_its_early_requests(
    stores: Stores,
) -> None:
    take(stores, CANCEL)
    _, new = cast("tuple[OrderRecord, bool]", under_a_key(ports(stores)))
    record, again = cast("tuple[OrderRecord, bool]", under_a_key(ports(stores)))
    assert (new, again, record.cancel_requested) == (True, False, True)
    assert stores.orders().expired_requests(NOW + 10 * RETENTION, 10) == []


def test_a_concurrent_request_and_order_with_a_key_see_each_other(stores: Stores) -> None:
    for number in range(ROUNDS):
        order_id = f"A-{number}"
        tasks: list[Callable[[], object]] = [
            partial(under_a_key, ports(stores), order_id=order_id),
            partial(take, stores, envelope("Order Cancelled", order_id=order_id)),
        ]
        results = at_once(*tasks)
        assert not [result for result in results if isinstance(result, Exception)]
        assert stores.orders().read(order_id).cancel_requested
    assert stores.orders().expired_requests(NOW + 10 * RETENTION, 100) == []


class BetweenReadAndWrite:
    """A store that runs another step between the first step's read and write."""

    def __init__(self, store: Any, other: Callable[[], object], write: str) -> None:
        self._store = store
        self._other = [other]
        self._write = write

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)
        if name != self._write:
            return operation

        def after(*arguments: Any) -> Any:
            if self._other:
                self._other.pop()()
            return operation(*arguments)

        return after


@pytest.mark.parametrize("comes", FIRST_WRITES.values(), ids=FIRST_WRITES)
def test_a_request_stored_between_an_orders_read_and_write_is_applied(
    stores: Stores, comes: Callable[[Ports], object]
) -> None:
    store: Any = BetweenReadAndWrite(stores.orders(), partial(take, stores, CANCEL), "open")
    comes(replace(ports(stores), store=store))
    assert stores.orders().read("A-1").cancel_requested


@pytest.mark.parametrize("comes", FIRST_WRITES.values(), ids=FIRST_WRITES)
def test_an_order_written_between_a_requests_read_and_write_is_changed(
    stores: Stores, comes: Callable[[Ports], object]
) -> None:
    store: Any = BetweenReadAndWrite(stores.orders(), partial(comes, ports(stores)), "keep_request")
    change_requests.apply_request(CANCEL, replace(ports(stores), store=store))
    assert stores.orders().read("A-1").cancel_requested
    assert stores.orders().expired_requests(NOW + 10 * RETENTION, 10) == []


def test_a_second_request_between_two_attempts_is_applied(stores: Stores) -> None:
    take(stores, CANCEL)
    inner: Any = BetweenReadAndWrite(stores.orders(), lambda: None, "open")
    store: Any = BetweenReadAndWrite(inner, partial(take, stores, moved("b@example.com")), "open")
    orders.claim(envelope(), RUN, replace(ports(stores), store=store))
    record = stores.orders().read("A-1")
    assert (record.cancel_requested, record.email) == (True, "b@example.com")


def test_at_most_max_kept_requests_are_stored_and_a_repeated_one_is_recognized(
    stores: Stores,
) -> None:
    for number in range(MAX_KEPT):
        take(stores, moved(f"a{number}@example.com"))
    take(stores, moved("a0@example.com"))
    with pytest.raises(OrderNotFound, match="20 requests wait for it already"):
        take(stores, CANCEL)
    [kept] = stores.orders().expired_requests(NOW + 1, 10)
    assert len(kept) == MAX_KEPT


def test_dead_letters_replace_expired_requests_in_one_write(stores: Stores) -> None:
    take(stores, CANCEL)
    take(stores, moved("b@example.com"), NOW + 10)
    take(stores, envelope("Order Cancelled", order_id="A-2"), NOW + RETENTION)
    late = ports(stores, NOW + RETENTION + 5)
    assert change_requests.expire_requests(late) == 0, "kept for a day from the last of them on"
    late = ports(stores, NOW + RETENTION + 11)
    assert change_requests.expire_requests(late) == 2
    assert change_requests.expire_requests(late) == 0
    sent = [message for message, _ in stores.outbox()]
    assert [one.kind for one in sent] == ["message", "message"]
    assert {str(one.body["queue"]) for one in sent} == {"quarantine"}
    orders.claim(envelope(), RUN, late)
    assert not stores.orders().read("A-1").cancel_requested
    orders.claim(envelope(order_id="A-2"), RUN, late)
    assert stores.orders().read("A-2").cancel_requested


def test_each_expired_request_is_told_to_its_sender_once(stores: Stores) -> None:
    take(stores, {**CANCEL, "id": "bus-1"})
    take(stores, {**CANCEL, "id": "bus-2"}, NOW + 1)
    take(stores, {**moved("b@example.com"), "id": "bus-3"}, NOW + 2)
    late = ports(stores, NOW + RETENTION + 11)
    assert change_requests.expire_requests(late) == 2, "the same content is one request"
    change_requests.expire_requests(late)
    sent = [message for message, _ in stores.outbox()]
    assert [one.kind for one in sent].count("message") == 2
    facts = [read(one.body) for one in sent if one.kind == "event"]
    assert {fact.detail.rejected_event_id for fact in facts} == {"bus-1", "bus-3"}
    for fact in facts:
        assert (fact.name, fact.detail.order_id) == ("Order Rejected", "A-1")
        assert (fact.detail.reason, fact.detail.problem_count) == ("OrderNotFound", 1)
        assert "did not arrive within 24 hours" in fact.detail.problems[0].problem
        text = fact.detail.model_dump_json()
        assert not any(word in text for word in ("example.com", "cheaper", *ADDRESS.values()))
    assert {fact.detail.metadata.causation_id for fact in facts} >= {"event-9"}


def test_a_request_without_an_event_id_of_the_bus_is_a_dead_letter_alone(stores: Stores) -> None:
    take(stores, CANCEL)
    assert change_requests.expire_requests(ports(stores, NOW + 2 * RETENTION)) == 1
    assert [message.kind for message, _ in stores.outbox()] == ["message"]


def test_a_request_applied_to_its_order_does_not_expire(stores: Stores) -> None:
    take(stores, CANCEL)
    store = stores.orders()
    [kept] = store.expired_requests(NOW + 1, 10)
    orders.claim(envelope(), RUN, ports(stores))
    with pytest.raises(VersionConflict):
        store.give_up(kept, [Message("message", {"queue": "q", "body": {}})], NOW)
    assert stores.outbox() == []
    assert stores.orders().read("A-1").cancel_requested


def test_requests_do_not_expire_if_another_arrived_meanwhile(stores: Stores) -> None:
    take(stores, CANCEL)
    store = stores.orders()
    [kept] = store.expired_requests(NOW + 1, 10)
    take(stores, moved("b@example.com"))
    with pytest.raises(VersionConflict):
        store.give_up(kept, [Message("message", {"queue": "q", "body": {}})], NOW)
    assert (len(store.expired_requests(NOW + 1, 10)[0]), stores.outbox()) == (2, [])


def test_a_request_with_any_text_is_stored_unchanged(stores: Stores) -> None:
    reason = "\N{CROSS MARK} '\"\\ \x00 \u200b" + "x" * 400
    take(stores, envelope("Order Cancelled", reason=reason))
    [[kept]] = stores.orders().expired_requests(NOW + 1, 10)
    assert isinstance(kept, EarlyRequest)
    assert kept.detail["reason"] == reason


# ---- on DynamoDB alone


def test_an_order_without_an_early_request_costs_nothing_more(dynamodb: DynamoStores) -> None:
    dynamodb.client.calls.clear()
    orders.claim(envelope(), RUN, ports(dynamodb))
    assert [name for name, _ in dynamodb.client.calls] == ["get_item", "update_item"]


def test_an_order_with_only_an_early_request_does_not_exist(dynamodb: DynamoStores) -> None:
    take(dynamodb, CANCEL)
    store = DynamoOrders(Table(dynamodb.table.name, lambda: dynamodb.client))
    existing: lost_events.ExistingOrders = store
    assert existing.unknown(["A-1"]) == ["A-1"]
    with pytest.raises(OrderNotFound):
        store.note("A-1", Entry("CHANGED", NOW))


def test_the_relay_ignores_stored_requests_and_sends_their_dead_letters(
    dynamodb: DynamoStores,
) -> None:
    take(dynamodb, CANCEL)
    outbox = DynamoOutbox(Table(dynamodb.table.name, lambda: dynamodb.client))
    assert outbox.overdue(NOW + 10 * RETENTION, 10) == []
    change_requests.expire_requests(ports(dynamodb, NOW + 2 * RETENTION))
    [parcel] = outbox.overdue(NOW + 10 * RETENTION, 10)
    outbox.remove(parcel, list(parcel.messages))
    assert dynamodb.everything() == {}
