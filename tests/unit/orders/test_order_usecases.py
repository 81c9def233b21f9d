"""The use cases of an order; record, timeline and messages are one write."""

import json
from typing import Any

import pytest

from kernel.errors import (
    CancellationRefused,
    ChangeRefused,
    DuplicateOrder,
    InvalidEvent,
    LeaseLost,
    OrderConflict,
    OrderIncomplete,
    OrderNotFound,
    VersionConflict,
)
from kernel.events import (
    Event,
    OrderBackordered,
    OrderCancellationConfirmed,
    OrderCancellationRefused,
    OrderCompleted,
    OrderCreated,
    OrderDetail,
    OrderFailed,
    parse,
)
from kernel.idempotency import published_event_id
from kernel.order_record import CONFLICT_RETRIES, Entry, Line, OrderRecord
from kernel.order_status import ChargeStatus, Reservation, ShipmentStatus, Status
from orders.change_requests import apply_request
from orders.model import DELAYED, Amendment
from orders.usecases import (
    ClaimedOrder,
    Policy,
    Ports,
    amend,
    cancel,
    claim,
    compensate,
    complete,
    fail,
    pause,
    place,
    reconcile,
)
from tests.fakes.events import ADDRESS, created, envelope
from tests.fakes.orders import FakeOrders
from tests.fakes.records import EPOCH, NOW, RUN, order, waiting

POLICY = Policy(lease_seconds=300.0, recovery_delay=120, max_attempts=3)
HASH = created().detail.content_hash
MISSING = [{"sku": "TEA", "requested": 2, "available": 1}]
SHORT = {"outcome": "OUT_OF_STOCK", "reason": "OutOfStock", "message": "TEA", "missing": MISSING}
RESUME = {"resume": {"order_id": "A-1"}}


def ports(store: FakeOrders) -> Ports:
    return Ports(store, lambda: NOW, POLICY, journal=store)


def the_event(store: FakeOrders, name: str, *, of: OrderRecord) -> Event[Any]:
    """Return the only event in the outbox, after a check of its name and its derived id."""
    [event] = store.events
    assert event.name == name
    assert event.event_id == published_event_id(of.order_id, name, of.version + 1)
    assert event.correlation_id == of.correlation_id
    assert event.detail.metadata is not None
    assert event.detail.metadata.causation_id == of.event_id
    assert event.detail.metadata.schema_version == "1.0"
    assert event.detail.timestamp == "2026-02-02T02:40:00.000Z"
    return event


def tells_the_order(detail: OrderDetail, record: OrderRecord) -> bool:
    """Return whether an event has all fields of the recorded order."""
    lines = tuple(Line(item.sku, item.quantity, item.unit_price) for item in detail.items)
    return (detail.order_id, detail.customer_id, detail.currency, detail.total, lines) == (
        record.order_id,
        record.customer_id,
        record.currency,
        record.total,
        record.items,
    )


# ---- claim


def test_the_first_event_of_an_order_opens_and_claims_it() -> None:
    store = FakeOrders()
    event = envelope(
        email="ada@example.com",
        shipping_address=ADDRESS,
        payment_token="tok_visa",
        metadata={"event_id": "event-1", "correlation_id": "request-1"},
    )
    assert claim(event, RUN, ports(store)) == ClaimedOrder("A-1", 1)
    full_address = {**ADDRESS, "region": None, "postal_code": None}
    assert store.only == order(
        content_hash=parse(event).detail.content_hash,  # type: ignore[attr-defined]
        created_at=NOW,
        updated_at=NOW,
        email="ada@example.com",
        shipping_address=full_address,
    )
    assert store.timeline == [("A-1", Entry("RECEIVED", NOW, {"run": RUN, "attempt": 1}))]
    assert store.outbox == []


def test_an_order_placed_over_http_is_claimed_by_its_own_event() -> None:
    store = FakeOrders()
    place(created(email="ada@example.com", shipping_address=ADDRESS), ports(store))
    [message] = store.outbox
    event = {
        "source": message.body["Source"],
        "detail-type": message.body["DetailType"],
        "detail": json.loads(str(message.body["Detail"])),
    }
    assert claim(event, RUN, ports(store)) == ClaimedOrder("A-1", 1)


def test_an_order_is_resumed_without_its_event() -> None:
    store = FakeOrders(waiting())
    assert claim(RESUME, "run-2", ports(store)) == ClaimedOrder("A-1", EPOCH + 1)
    assert store.only.lease_owner == "run-2"
    with pytest.raises(OrderNotFound):
        claim({"resume": {"order_id": "A-2"}}, RUN, ports(store))


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (envelope("Order Cancelled"), "detail-type"),
        (envelope(total=1), "detail.total"),
        (envelope() | {"source": "elsewhere"}, "source"),
        ({}, "source"),
    ],
)
def test_an_event_that_opens_no_order_is_refused_and_writes_nothing(
    event: dict[str, Any], field: str
) -> None:
    store = FakeOrders()
    with pytest.raises(InvalidEvent) as refused:
        claim(event, RUN, ports(store))
    assert refused.value.field == field
    assert (store.records, store.timeline) == ({}, [])


@pytest.mark.parametrize(
    ("record", "error", "what"),
    [
        (order(content_hash=HASH, status=Status.COMPLETED), DuplicateOrder, "DUPLICATE_IGNORED"),
        (order(content_hash=HASH), DuplicateOrder, "DUPLICATE_IGNORED"),
        (order(content_hash="other"), OrderConflict, "CONFLICT_IGNORED"),
    ],
)
def test_a_second_event_changes_nothing_and_is_noted(
    record: OrderRecord, error: type[Exception], what: str
) -> None:
    store = FakeOrders(record)
    with pytest.raises(error) as refused:
        claim(envelope(metadata={"event_id": "event-2"}), "run-2", ports(store))
    assert store.only == record
    detail = {"event_id": "event-2", "reason": str(refused.value)}
    assert store.timeline == [("A-1", Entry(what, NOW, detail))]


def test_a_duplicate_resumption_is_not_noted() -> None:
    store = FakeOrders(order())
    with pytest.raises(DuplicateOrder):
        claim(RESUME, "run-2", ports(store))
    assert store.timeline == []


def test_one_of_two_concurrent_first_events_gets_the_order() -> None:
    store = FakeOrders()
    other: list[ClaimedOrder] = []
    store.before_next_write(lambda: other.append(claim(envelope(), "run-2", ports(store))))
    with pytest.raises(DuplicateOrder, match="held by run run-2"):
        claim(envelope(), RUN, ports(store))
    assert other == [ClaimedOrder("A-1", 1)]
    assert (store.only.epoch, store.only.lease_owner) == (1, "run-2")


def test_one_of_two_runs_gets_an_order_with_an_expired_lease() -> None:
    store = FakeOrders(order(lease_until=NOW))
    store.before_next_write(lambda: claim(RESUME, "run-2", ports(store)))
    with pytest.raises(DuplicateOrder):
        claim(RESUME, "run-3", ports(store))
    assert (store.only.epoch, store.only.lease_owner) == (EPOCH + 1, "run-2")


# ---- pause


def test_an_order_out_of_stock_waits_and_publishes_the_shortage() -> None:
    before = order()
    store = FakeOrders(before)
    assert pause("A-1", EPOCH, SHORT, ports(store)) == ClaimedOrder("A-1", EPOCH, "WAITING", 120)
    assert store.only.status is Status.WAITING
    assert (store.only.attempts, store.only.resume_at) == (1, NOW + 120)
    event = the_event(store, "Order Backordered", of=before)
    assert isinstance(event.detail, OrderBackordered)
    assert tells_the_order(event.detail, before)
    assert [short.model_dump() for short in event.detail.missing] == MISSING


def test_an_order_that_waits_for_the_gateway_publishes_nothing() -> None:
    store = FakeOrders(order(status=Status.RESERVED))
    step = {"Error": "PaymentGatewayError", "Cause": '{"errorMessage": "503"}'}
    assert pause("A-1", EPOCH, step, ports(store)).outcome == "WAITING"
    assert store.outbox == []
    entry = Entry("WAITING", NOW, {"reason": "PaymentGatewayError", "message": "503"})
    assert store.timeline == [("A-1", entry)]


def test_an_order_is_backordered_once_for_several_waits() -> None:
    store = FakeOrders(order())
    for epoch in (EPOCH, EPOCH + 1):
        pause("A-1", epoch, SHORT, ports(store))
        claim(RESUME, "run-2", ports(store))
    assert (store.only.attempts, len(store.outbox)) == (2, 1)


def test_an_order_that_waited_for_another_reason_is_backordered_too() -> None:
    store = FakeOrders(order())
    pause("A-1", EPOCH, {"Error": "States.Timeout", "Cause": ""}, ports(store))
    claim(RESUME, "run-2", ports(store))
    pause("A-1", EPOCH + 1, SHORT, ports(store))
    assert [event.name for event in store.events] == ["Order Backordered"]


@pytest.mark.parametrize(("attempts", "outcome"), [(0, "WAITING"), (2, "WAITING"), (3, "UNDO")])
def test_an_order_waits_at_most_max_attempts_times(attempts: int, outcome: str) -> None:
    before = order(attempts=attempts)
    store = FakeOrders(before)
    assert pause("A-1", EPOCH, SHORT, ports(store)).outcome == outcome
    if outcome == "UNDO":
        assert (store.only, store.outbox, store.timeline) == (before, [], [])


def test_a_cancelled_order_does_not_wait() -> None:
    store = FakeOrders(order(cancel_requested=True))
    assert pause("A-1", EPOCH, SHORT, ports(store)) == ClaimedOrder("A-1", EPOCH, "UNDO")


def test_an_order_in_compensation_does_not_wait() -> None:
    """For example, its stock could not be read: the workflow then calls PauseOrder."""
    store = FakeOrders(order(status=Status.COMPENSATING, failure="PaymentDeclined"))
    step = {"Error": "States.Timeout", "Cause": ""}
    assert pause("A-1", EPOCH, step, ports(store)).outcome == "UNDO"


def test_a_concurrent_cancellation_prevents_the_wait() -> None:
    store = FakeOrders(order())
    store.before_next_write(lambda: cancel("A-1", None, None, ports(store)))
    assert pause("A-1", EPOCH, SHORT, ports(store)).outcome == "UNDO"
    assert store.only.status is Status.RECEIVED


def test_a_repeated_pause_is_the_same_pause() -> None:
    store = FakeOrders(order())
    first = pause("A-1", EPOCH, SHORT, ports(store))
    assert pause("A-1", EPOCH, SHORT, ports(store)) == first
    assert (store.only.attempts, len(store.outbox), store.writes) == (1, 1, 1)


@pytest.mark.parametrize(
    "fields", [{}, {"cancel_requested": True}, {"attempts": 9}, {"status": Status.COMPENSATING}]
)
def test_a_run_without_the_lease_can_neither_pause_nor_compensate(
    fields: dict[str, Any],
) -> None:
    store = FakeOrders(order(epoch=EPOCH + 1, **fields))
    with pytest.raises(LeaseLost):
        pause("A-1", EPOCH, SHORT, ports(store))


@pytest.mark.parametrize("because", [None, "text"])
def test_an_order_waits_without_a_reason_of_the_workflow(because: object) -> None:
    store = FakeOrders(order())
    assert pause("A-1", EPOCH, because, ports(store)).outcome == "WAITING"
    assert store.outbox == []


# ---- compensate


def test_compensation_returns_its_new_epoch() -> None:
    store = FakeOrders(order())
    assert compensate("A-1", EPOCH, SHORT, RUN, ports(store)) == ClaimedOrder(
        "A-1", EPOCH + 1, "COMPENSATING"
    )
    record = store.only
    assert (record.status, record.epoch, record.lease_owner) == ("COMPENSATING", EPOCH + 1, RUN)
    assert (record.lease_until, record.failure) == (NOW + 300, "OutOfStock")


def test_a_repeated_compensation_is_the_same_compensation() -> None:
    store = FakeOrders(order())
    first = compensate("A-1", EPOCH, SHORT, RUN, ports(store))
    assert compensate("A-1", EPOCH, SHORT, RUN, ports(store)) == first
    assert store.writes == 1


def test_concurrent_calls_start_one_compensation() -> None:
    store = FakeOrders(order())
    store.before_next_write(lambda: compensate("A-1", EPOCH, SHORT, RUN, ports(store)))
    assert compensate("A-1", EPOCH, SHORT, RUN, ports(store)).epoch == EPOCH + 1
    assert store.writes == 1


def test_a_concurrent_write_does_not_prevent_the_compensation() -> None:
    store = FakeOrders(order())
    store.before_next_write(store.touch)
    assert compensate("A-1", EPOCH, SHORT, RUN, ports(store)).epoch == EPOCH + 1


def test_another_run_cannot_join_a_compensation() -> None:
    store = FakeOrders(order())
    compensate("A-1", EPOCH, SHORT, RUN, ports(store))
    with pytest.raises(LeaseLost):
        compensate("A-1", EPOCH, SHORT, "run-2", ports(store))


def test_a_run_without_the_lease_cannot_compensate() -> None:
    store = FakeOrders(order(epoch=EPOCH + 1, status=Status.CHARGED))
    with pytest.raises(LeaseLost):
        compensate("A-1", EPOCH, SHORT, RUN, ports(store))


# ---- complete

DONE = order(
    status=Status.CHARGED,
    charge=ChargeStatus.CHARGED,
    charge_id="charge-1",
    reservation=Reservation.COMMITTED,
    shipment=ShipmentStatus.CREATED,
    shipment_id="shipment-1",
    tracking_number="TRACK-1",
    version=6,
)


def test_order_completed_has_charge_and_shipment() -> None:
    store = FakeOrders(DONE)
    assert complete("A-1", EPOCH, ports(store)) is Status.COMPLETED
    assert store.only.status is Status.COMPLETED
    event = the_event(store, "Order Completed", of=DONE)
    assert isinstance(event.detail, OrderCompleted)
    assert tells_the_order(event.detail, DONE)
    published = (event.detail.charge_id, event.detail.shipment_id, event.detail.tracking_number)
    assert published == ("charge-1", "shipment-1", "TRACK-1")


def test_an_order_completes_once() -> None:
    store = FakeOrders(DONE)
    answers = [complete("A-1", EPOCH, ports(store)) for _ in range(2)]
    assert (answers, len(store.outbox), store.writes) == ([Status.COMPLETED] * 2, 1, 1)


def test_a_concurrent_write_does_not_prevent_the_completion() -> None:
    store = FakeOrders(DONE)
    store.before_next_write(store.touch)
    assert complete("A-1", EPOCH, ports(store)) is Status.COMPLETED
    assert len(store.outbox) == 1


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (order(status=Status.CHARGED, charge=ChargeStatus.CHARGED), OrderIncomplete),
        (order(epoch=EPOCH + 1), LeaseLost),
        (order(status=Status.FAILED), LeaseLost),
        (DONE._replace(status=Status.WAITING), LeaseLost),  # a late call of the run that paused it
    ],
)
def test_an_incomplete_order_is_not_completed(record: OrderRecord, error: type[Exception]) -> None:
    store = FakeOrders(record)
    with pytest.raises(error):
        complete("A-1", EPOCH, ports(store))
    assert (store.only, store.outbox) == (record, [])


# ---- fail

UNDONE = order(
    status=Status.COMPENSATING, failure="PaymentDeclined", failure_message="declined", version=4
)


def test_order_failed_has_its_reason() -> None:
    store = FakeOrders(UNDONE)
    assert fail("A-1", EPOCH, ports(store)) is Status.FAILED
    event = the_event(store, "Order Failed", of=UNDONE)
    assert isinstance(event.detail, OrderFailed)
    assert tells_the_order(event.detail, UNDONE)
    assert (event.detail.reason, event.detail.message) == ("PaymentDeclined", "declined")


def test_a_cancelled_order_publishes_its_confirmation() -> None:
    store = FakeOrders(
        order(status=Status.COMPENSATING, cancel_requested=True, cancel_reason="cheaper")
    )
    assert fail("A-1", EPOCH, ports(store)) is Status.CANCELLED
    [event] = store.events
    assert isinstance(event.detail, OrderCancellationConfirmed)
    assert event.detail.reason == "cheaper"
    assert event.event_id == published_event_id("A-1", event.name, 2)


def test_a_confirmed_cancellation_names_its_request() -> None:
    store = FakeOrders(
        order(status=Status.COMPENSATING, cancel_requested=True, cancel_event_id="event-9")
    )
    fail("A-1", EPOCH, ports(store))
    assert store.events[0].detail.metadata.causation_id == "event-9"


@pytest.mark.parametrize("cancelled", ["FAILED", "CANCELLED"])
def test_an_order_fails_once(cancelled: str) -> None:
    store = FakeOrders(
        order(
            status=Status.COMPENSATING,
            cancel_requested=cancelled == "CANCELLED",
            failure="OutOfStock",
            failure_message="",
        )
    )
    answers = [fail("A-1", EPOCH, ports(store)) for _ in range(2)]
    assert (answers, len(store.outbox), store.writes) == ([cancelled] * 2, 1, 1)


def test_a_concurrent_cancellation_decides_the_end_of_a_compensation() -> None:
    store = FakeOrders(UNDONE)
    store.before_next_write(lambda: cancel("A-1", None, None, ports(store)))
    assert fail("A-1", EPOCH, ports(store)) is Status.CANCELLED
    assert [event.name for event in store.events] == ["Order Cancellation Confirmed"]


def test_an_order_with_an_open_charge_does_not_fail() -> None:
    store = FakeOrders(order(status=Status.COMPENSATING, charge=ChargeStatus.PENDING))
    with pytest.raises(OrderIncomplete):
        fail("A-1", EPOCH, ports(store))
    assert store.outbox == []


# ---- place


def test_an_order_is_placed_with_its_event_in_one_write() -> None:
    store = FakeOrders()
    event = created(
        email="ada@example.com",
        shipping_address=ADDRESS,
        payment_token="tok_visa",
        metadata={"event_id": "event-1", "correlation_id": "request-1"},
    )
    record, new = place(event, ports(store))
    assert new
    assert store.only == record
    assert (record.status, record.epoch, record.version) == (Status.RECEIVED, 0, 1)
    assert (record.lease_owner, record.lease_until) == (None, 0.0)
    assert store.timeline == [("A-1", Entry("RECEIVED", NOW))]
    [published] = store.events
    assert isinstance(published.detail, OrderCreated)
    assert (published.event_id, published.correlation_id) == ("event-1", "request-1")
    assert published.detail.metadata is not None
    assert published.detail.metadata.causation_id is None
    assert published.detail.content_hash == record.content_hash == event.detail.content_hash
    assert published.detail.payment_token == "tok_visa"
    assert published.detail.timestamp == event.detail.timestamp


def test_an_order_placed_twice_is_one_order_and_one_event() -> None:
    store = FakeOrders()
    first, _ = place(created(), ports(store))
    assert place(created(timestamp="2027-01-01T00:00:00Z"), ports(store)) == (first, False)
    assert len(store.outbox) == 1


def test_an_order_placed_twice_at_once_is_one_order() -> None:
    store = FakeOrders()
    store.before_next_write(lambda: place(created(), ports(store)))
    record, new = place(created(), ports(store))
    assert (record, new, len(store.outbox)) == (store.only, False, 1)


def test_an_order_id_with_other_content_is_refused() -> None:
    store = FakeOrders()
    first, _ = place(created(), ports(store))
    with pytest.raises(OrderConflict, match="A-1 exists with other content; use another order_id"):
        place(created(customer_id="C-43"), ports(store))
    assert (store.only, len(store.outbox)) == (first, 1)


def test_an_order_with_a_changed_address_is_still_the_same_order() -> None:
    store = FakeOrders()
    place(created(shipping_address=ADDRESS), ports(store))
    elsewhere = {**ADDRESS, "city": "Wells"}
    amend("A-1", Amendment(elsewhere, None, "2026-01-31T12:30:00Z"), ports(store))
    record, new = place(created(shipping_address=ADDRESS), ports(store))
    assert not new
    assert record.shipping_address == {**ADDRESS, "city": "Wells"}


# ---- cancel and amend


def test_a_cancellation_and_its_run_are_one_write() -> None:
    store = FakeOrders(waiting())
    record = cancel("A-1", "cheaper", "event-9", ports(store))
    assert store.only == record
    assert (record.cancel_requested, record.cancel_reason) == (True, "cheaper")
    assert [run["input"] for run in store.runs] == [RESUME]
    assert cancel("A-1", "cheaper", "event-9", ports(store)) == record
    assert (len(store.outbox), store.writes) == (1, 1)


def test_a_late_cancellation_is_noted() -> None:
    store = FakeOrders(order(status=Status.COMPLETED))
    with pytest.raises(CancellationRefused) as refused:
        cancel("A-1", None, None, ports(store))
    entry = Entry("CANCEL_REFUSED", NOW, {"reason": str(refused.value)})
    assert store.timeline == [("A-1", entry)]


def test_a_cancellation_after_a_concurrent_shipment_is_refused() -> None:
    store = FakeOrders(order(status=Status.CHARGED))
    store.before_next_write(lambda: store.touch(shipment=ShipmentStatus.CREATED))
    with pytest.raises(CancellationRefused):
        cancel("A-1", None, None, ports(store))
    assert not store.only.cancel_requested


def test_a_cancelled_order_whose_lease_was_released_meanwhile_gets_its_run() -> None:
    store = FakeOrders(order())
    store.before_next_write(lambda: pause("A-1", EPOCH, SHORT, ports(store)))
    cancel("A-1", None, None, ports(store))
    assert len(store.runs) == 1


def test_a_change_without_a_difference_is_not_written() -> None:
    store = FakeOrders(order())
    record = amend("A-1", Amendment(ADDRESS, None, "2026-01-31T12:30:00Z"), ports(store))
    assert store.only == record
    assert record.shipping_address == ADDRESS
    assert amend("A-1", Amendment(ADDRESS, None, "2026-01-31T12:30:00Z"), ports(store)) == record
    assert store.writes == 1


def test_a_change_is_written_after_a_concurrent_write() -> None:
    store = FakeOrders(order())
    store.before_next_write(lambda: store.touch(attempts=5))
    record = amend("A-1", Amendment(ADDRESS, None, "2026-01-31T12:30:00Z"), ports(store))
    assert (record.attempts, record.shipping_address) == (5, ADDRESS)


def test_a_late_change_is_noted() -> None:
    before = order(status=Status.COMPLETED)
    store = FakeOrders(before)
    with pytest.raises(ChangeRefused) as refused:
        amend("A-1", Amendment(ADDRESS, None, "2026-01-31T12:30:00Z"), ports(store))
    assert store.only == before
    entry = Entry("CHANGE_IGNORED", NOW, {"reason": str(refused.value)})
    assert store.timeline == [("A-1", entry)]


def test_an_unknown_order_is_neither_cancelled_nor_changed() -> None:
    with pytest.raises(OrderNotFound):
        cancel("A-1", None, None, ports(FakeOrders()))
    with pytest.raises(OrderNotFound):
        amend("A-1", Amendment(ADDRESS, None, "2026-01-31T12:30:00Z"), ports(FakeOrders()))


def test_a_step_that_always_conflicts_raises_version_conflict() -> None:
    store = FakeOrders(order())
    store.before_next_write(*[store.touch] * (CONFLICT_RETRIES + 1))
    with pytest.raises(VersionConflict):
        cancel("A-1", None, None, ports(store))


# ---- changes that come as events


def test_an_update_event_changes_the_order() -> None:
    store = FakeOrders(order())
    event = envelope("Order Updated", email="bob@example.com", shipping_address=ADDRESS)
    apply_request(event, ports(store))
    assert store.only.email == "bob@example.com"
    assert store.only.shipping_address == {**ADDRESS, "region": None, "postal_code": None}


def test_a_late_update_is_recorded_and_not_retried() -> None:
    before = order(status=Status.COMPLETED)
    store = FakeOrders(before)
    apply_request(envelope("Order Updated"), ports(store))
    assert store.only == before
    assert (store.happened, store.outbox) == (["CHANGE_IGNORED"], [])


def test_an_outdated_update_is_recorded_as_ignored() -> None:
    """F27: a queue repeats and reorders; the shipment must not go to an outdated address."""
    store = FakeOrders(order())
    older = envelope("Order Updated", email="old@example.com", timestamp="2026-01-31T13:00:00Z")
    newer = envelope("Order Updated", email="new@example.com", timestamp="2026-01-31T14:00:00Z")
    for event in (older, newer, older):
        apply_request(event, ports(store))
    assert store.only.email == "new@example.com"
    assert store.happened == ["CHANGED", "CHANGED", "CHANGE_IGNORED"]


def test_a_cancel_event_cancels_the_order() -> None:
    store = FakeOrders(order())
    event = envelope("Order Cancelled", reason="cheaper", metadata={"event_id": "event-9"})
    apply_request(event, ports(store))
    record = store.only
    assert (record.cancel_requested, record.cancel_reason) == (True, "cheaper")
    assert record.cancel_event_id == "event-9"
    assert store.outbox == []


def test_a_late_cancel_event_is_answered() -> None:
    before = order(status=Status.COMPLETED, version=9)
    store = FakeOrders(before)
    apply_request(envelope("Order Cancelled"), ports(store))
    [event] = store.events
    assert isinstance(event.detail, OrderCancellationRefused)
    assert event.detail.order_id == "A-1"
    assert "is COMPLETED already" in event.detail.reason
    assert event.correlation_id == "request-1"
    assert (store.only, store.happened) == (before, ["CANCEL_REFUSED"])


def test_a_repeated_refusal_is_the_same_event() -> None:
    store = FakeOrders(order(status=Status.COMPLETED))
    for _ in range(2):
        apply_request(envelope("Order Cancelled"), ports(store))
    assert len({event.event_id for event in store.events}) == 1


def test_a_repeated_refusal_is_the_same_event_after_the_order_changed() -> None:
    store = FakeOrders(order(status=Status.CHARGED, shipment=ShipmentStatus.CREATED))
    request = envelope("Order Cancelled", metadata={"event_id": "event-9"})
    apply_request(request, ports(store))
    store.touch(status=Status.COMPLETED)
    apply_request(request, ports(store))
    assert len({event.event_id for event in store.events}) == 1


def test_a_refusal_names_its_request() -> None:
    store = FakeOrders(order(status=Status.COMPLETED))
    apply_request(envelope("Order Cancelled", metadata={"event_id": "event-9"}), ports(store))
    assert store.events[0].detail.metadata.causation_id == "event-9"


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (envelope(), "detail-type"),
        (envelope("Order Updated", email="ada"), "detail.email"),
        (envelope("Order Cancelled", order_id="a b"), "detail.order_id"),
        ({}, "source"),
    ],
)
def test_an_event_that_changes_no_order_is_refused(event: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        apply_request(event, ports(FakeOrders(order())))
    assert refused.value.field == field


# ---- reconcile


def test_every_stranded_order_gets_a_run() -> None:
    store = FakeOrders()
    store.lost = [order(epoch=3), order(order_id="A-2")]
    assert reconcile(ports(store), limit=50) == (2, 0)
    assert [run["input"] for run in store.runs] == [
        {"resume": {"order_id": "A-1"}},
        {"resume": {"order_id": "A-2"}},
    ]
    assert len({run["name"] for run in store.runs}) == 2


@pytest.mark.parametrize(
    ("status", "age", "delayed"),
    [
        (Status.COMPENSATING, DELAYED + 1, 1),
        (Status.COMPENSATING, DELAYED - 1, 0),
        (Status.CHARGED, DELAYED + 1, 0),
    ],
)
def test_a_compensation_that_is_an_hour_late_is_counted(
    status: Status, age: float, delayed: int
) -> None:
    store = FakeOrders()
    store.lost = [order(status=status, created_at=NOW - age)]
    assert reconcile(ports(store)) == (1, delayed)


def test_a_lost_event_gets_a_run_of_its_own() -> None:
    store = FakeOrders()
    store.silent = [envelope(), envelope(order_id="A-2")]
    assert reconcile(ports(store), limit=50) == (2, 0)
    assert [run["input"] for run in store.runs] == store.silent
    assert len({run["name"] for run in store.runs}) == 2
    assert all(len(run["name"]) <= 80 for run in store.runs)


def test_an_invalid_event_gets_no_run() -> None:
    store = FakeOrders()
    store.silent = [envelope(total=1), envelope(order_id="A-2")]
    assert reconcile(ports(store)) == (1, 0)
    assert [run["input"]["detail"]["order_id"] for run in store.runs] == ["A-2"]


def test_invalid_events_do_not_block_valid_events() -> None:
    store = FakeOrders()
    store.silent = [*[envelope(total=1)] * 5, *(envelope(order_id=f"B-{n}") for n in range(5))]
    assert reconcile(ports(store), limit=2) == (2, 0)
    assert [run["input"]["detail"]["order_id"] for run in store.runs] == ["B-0", "B-1"]


def test_a_young_event_is_not_lost() -> None:
    store = FakeOrders()
    assert reconcile(ports(store), limit=50) == (0, 0)
    assert store.queries == [
        ("stranded", NOW, 300.0, 50),
        ("events_without_order", NOW - 7 * 86_400, NOW - 900, 0),
    ]
