"""The rules of an order's life: claim, wait, compensation, end, cancellation and change."""

import json
from contextlib import suppress
from itertools import permutations, product
from typing import Any

import pytest

from kernel.clock import timestamp
from kernel.errors import (
    CancellationRefused,
    ChangeRefused,
    DuplicateOrder,
    LeaseLost,
    OrderConflict,
    OrderIncomplete,
)
from kernel.order_record import Entry, Message, OrderRecord
from kernel.order_status import ENDED, UNDOING, ChargeStatus, Reservation, ShipmentStatus, Status
from orders.model import (
    Amendment,
    Claimant,
    Reason,
    Wait,
    amend,
    cancel,
    claim,
    compensate,
    complete,
    effective_time,
    ending,
    fail,
    has_ended,
    is_compensating,
    is_paused,
    pause,
    resume,
)
from tests.fakes.events import ADDRESS
from tests.fakes.records import EPOCH, NOW, RUN, order, waiting

EVENT = Message("event", {"an": "event"})
IN_FLIGHT = sorted(frozenset(Status) - ENDED)
NEXT_RUN = Claimant("run-2", "hash", 300.0)
RESUMING = Claimant("run-2", None, 300.0)

FRESH: dict[str, Any] = {"epoch": 0, "version": 0, "lease_owner": None, "lease_until": 0.0}
"""The fields of an order that was never written."""

EXPIRED: dict[str, Any] = {"lease_until": NOW}
"""The fields of an order whose run has ended: its lease expires at this moment."""


# ---- claim


@pytest.mark.parametrize(
    ("situation", "record"),
    [
        ("never seen", order(**FRESH)),
        ("placed over HTTP, held by nobody", order(**FRESH | {"version": 1})),
        ("its lease has just run out", order(**EXPIRED)),
        ("it waits and is just due", waiting(resume_at=NOW)),
        ("it waits and is to be cancelled", waiting(cancel_requested=True)),
        ("it was to wait, but goes on", order(resume_at=NOW + 9, **EXPIRED)),
        ("its undoing was left", order(status=Status.COMPENSATING, **EXPIRED)),
    ],
)
def test_an_order_without_a_lease_can_be_claimed(situation: str, record: OrderRecord) -> None:
    for claimant in (NEXT_RUN, RESUMING):
        after = claim(record, claimant, NOW).after
        assert (after.epoch, after.lease_owner) == (record.epoch + 1, "run-2"), situation
        assert after.lease_until == NOW + 300
        assert after.status is record.status


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (order(), "held by run run-1"),
        (order(lease_until=NOW + 0.001), "held by run run-1"),
        (order(status=Status.COMPENSATING), "held by run run-1"),
        (order(cancel_requested=True), "held by run run-1"),
        *((order(status=status, **EXPIRED), f"is {status} already") for status in sorted(ENDED)),
    ],
)
def test_a_held_or_ended_order_cannot_be_claimed(record: OrderRecord, reason: str) -> None:
    for claimant in (NEXT_RUN, RESUMING):
        with pytest.raises(DuplicateOrder, match=f"order A-1 {reason}|order A-1 is {reason}"):
            claim(record, claimant, NOW)


def test_a_run_takes_over_the_lease_of_the_run_in_after_only() -> None:
    held = order(status=Status.COMPENSATING)
    after = claim(held, Claimant("run-2", None, 300.0, after=RUN), NOW).after
    assert (after.lease_owner, after.epoch) == ("run-2", EPOCH + 1)
    with pytest.raises(DuplicateOrder, match=f"held by run {RUN}"):
        claim(held, Claimant("run-2", None, 300.0, after="another run"), NOW)


@pytest.mark.parametrize("status", sorted(ENDED))
def test_an_ended_order_is_never_taken_over(status: Status) -> None:
    with pytest.raises(DuplicateOrder, match=f"is {status} already"):
        claim(order(status=status), Claimant("run-2", None, 300.0, after=RUN), NOW)


def test_a_waiting_order_is_not_resumed_by_a_second_event() -> None:
    with pytest.raises(DuplicateOrder, match="A-1 waits and is resumed automatically"):
        claim(waiting(), NEXT_RUN, NOW)
    assert claim(waiting(), RESUMING, NOW).after.lease_owner == "run-2"


@pytest.mark.parametrize("status", Status)
def test_other_content_is_a_conflict_in_every_status(status: Status) -> None:
    other = Claimant("run-2", "other", 300.0)
    with pytest.raises(OrderConflict, match="A-1 exists with other content"):
        claim(order(status=status, **EXPIRED), other, NOW)


def test_a_repeated_claim_fences_off_the_first_attempt() -> None:
    again = claim(order(), Claimant(RUN, "hash", 300.0), NOW + 5).after
    assert (again.epoch, again.lease_owner, again.lease_until) == (EPOCH + 1, RUN, NOW + 305)


@pytest.mark.parametrize(
    ("record", "what", "attempt"),
    [(order(**FRESH), "RECEIVED", 1), (order(**EXPIRED), "CLAIMED", 1), (waiting(), "CLAIMED", 2)],
)
def test_the_timeline_names_the_run_and_the_attempt(
    record: OrderRecord, what: str, attempt: int
) -> None:
    entry = Entry(what, NOW, {"run": "run-2", "attempt": attempt})
    assert claim(record, RESUMING, NOW).entries == (entry,)


# ---- reasons

CAUSE = json.dumps({"errorType": "CarrierError", "errorMessage": "no van"})


@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        ({"reason": "OutOfStock", "message": "TEA: 2 ordered"}, "OutOfStock", "TEA: 2 ordered"),
        ({"reason": "", "message": ""}, "Unknown", ""),
        ({"outcome": "COMMITTED"}, "Unknown", ""),
        ({"Error": "CarrierError", "Cause": CAUSE}, "CarrierError", "no van"),
        ({"Error": "States.Timeout", "Cause": "too slow"}, "States.Timeout", "too slow"),
        ({"Error": "States.Timeout"}, "States.Timeout", ""),
        ({"Error": "Odd", "Cause": "[1]"}, "Odd", "[1]"),
        ({"Error": "Odd", "Cause": '{"errorMessage": "\\ud800"}'}, "Odd", "?"),
        ({"Error": "Odd", "Cause": "[" * 9_000}, "Odd", "[" * 9_000),
        ({"Error": "Odd", "Cause": '{"other": 1}'}, "Odd", '{"other": 1}'),
        (None, "Unknown", "the workflow gave no reason"),
        ("text", "Unknown", "the workflow gave no reason"),
        (
            [
                {"outcome": "QUEUED"},
                {"outcome": "COMMITTED"},
                {"Error": "CarrierError", "Cause": ""},
            ],
            "CarrierError",
            "",
        ),
        ([{"Error": "First", "Cause": ""}, {"Error": "Second", "Cause": ""}], "First", ""),
        ([{"outcome": "QUEUED"}, {"outcome": "COMMITTED"}], "Unknown", ""),
    ],
)
def test_a_reason_is_read_from_every_form_of_a_steps_result(
    step: object, code: str, message: str
) -> None:
    assert Reason.of_step(step) == Reason(code, message)


# ---- waiting

SHORT = Reason("OutOfStock", "TEA: 2 ordered, 1 available")


def paused(record: OrderRecord, epoch: int = EPOCH) -> Any:
    return pause(record, epoch, SHORT, Wait(NOW, 120), (EVENT,))


@pytest.mark.parametrize("status", ["RECEIVED", "RESERVED", "CHARGED", "WAITING"])
def test_a_paused_order_waits_without_a_lease_until_its_time(status: str) -> None:
    after = paused(order(status=Status(status), attempts=3)).after
    assert after.status is Status.WAITING
    assert (after.attempts, after.resume_at) == (4, NOW + 120)
    assert (after.lease_owner, after.lease_until, after.epoch) == (None, 0.0, EPOCH)


@pytest.mark.parametrize(
    ("waited_for", "messages"),
    [(None, (EVENT,)), ("PaymentGatewayError", (EVENT,)), ("OutOfStock", ())],
)
def test_a_wait_is_published_once_per_reason_and_noted_each_time(
    waited_for: str | None, messages: tuple[Message, ...]
) -> None:
    change = paused(order(attempts=1, waiting_for=waited_for))
    assert change.messages == messages
    assert change.after.waiting_for == "OutOfStock"
    entry = Entry("WAITING", NOW, {"reason": "OutOfStock", "message": SHORT.message})
    assert change.entries == (entry,)


def test_only_the_run_that_holds_an_order_pauses_it() -> None:
    with pytest.raises(LeaseLost):
        paused(order(), EPOCH - 1)
    with pytest.raises(LeaseLost):
        paused(order(status=Status.COMPLETED))


@pytest.mark.parametrize(
    ("record", "epoch", "expected"),
    [
        (waiting(), EPOCH, "paused"),
        (waiting(), EPOCH + 1, "not"),
        (waiting(lease_owner="run-2"), EPOCH, "not"),
        (order(lease_owner=None), EPOCH, "not"),
    ],
)
def test_a_pause_is_recognized_by_its_epoch(record: OrderRecord, epoch: int, expected: str) -> None:
    assert is_paused(record, epoch) is (expected == "paused")


# ---- compensation

UNDOER = Claimant("run-2", None, 400.0)


@pytest.mark.parametrize("status", IN_FLIGHT)
def test_compensation_fences_off_late_invocations(status: Status) -> None:
    after = compensate(order(status=status), EPOCH, SHORT, UNDOER, NOW).after
    assert (after.status, after.epoch) == (Status.COMPENSATING, EPOCH + 1)
    assert (after.lease_owner, after.lease_until) == ("run-2", NOW + 400)


@pytest.mark.parametrize(
    ("epoch", "status"),
    [
        (EPOCH - 1, Status.CHARGED),
        (EPOCH + 1, Status.CHARGED),
        *((EPOCH, end) for end in sorted(ENDED)),
    ],
)
def test_only_the_run_that_holds_an_order_compensates_it(epoch: int, status: Status) -> None:
    with pytest.raises(LeaseLost):
        compensate(order(status=status), epoch, SHORT, UNDOER, NOW)


@pytest.mark.parametrize(
    ("situation", "record", "because", "failure", "message"),
    [
        ("a step's own reason", order(), SHORT, "OutOfStock", SHORT.message),
        (
            "the gateway stayed away",
            order(),
            Reason("PaymentGatewayError", "503"),
            "PaymentUnavailable",
            "503",
        ),
        (
            "the customer's wish comes first",
            order(cancel_requested=True, cancel_reason="found it cheaper"),
            SHORT,
            "OrderCancelled",
            "found it cheaper",
        ),
        (
            "a wish without a reason",
            order(cancel_requested=True),
            SHORT,
            "OrderCancelled",
            "cancelled on request",
        ),
        (
            "the first reason stands",
            order(status=Status.COMPENSATING, failure="PaymentDeclined", failure_message="no"),
            SHORT,
            "PaymentDeclined",
            "no",
        ),
    ],
)
def test_the_failure_code_of_a_compensation(
    situation: str, record: OrderRecord, because: Reason, failure: str, message: str
) -> None:
    change = compensate(record, EPOCH, because, UNDOER, NOW)
    assert (change.after.failure, change.after.failure_message) == (failure, message), situation
    assert change.entries == (Entry("COMPENSATING", NOW, {"reason": failure}),)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"epoch": EPOCH + 1}, "this run"),
        ({"epoch": EPOCH}, "not yet"),
        ({"epoch": EPOCH + 2}, "a later run"),
        ({"epoch": EPOCH + 1, "lease_owner": "run-2"}, "another run"),
        ({"epoch": EPOCH + 1, "status": Status.FAILED}, "ended"),
    ],
)
def test_a_compensation_is_recognized_by_its_epoch_and_owner(
    fields: dict[str, Any], expected: str
) -> None:
    record = order(**{"status": Status.COMPENSATING} | fields)
    assert is_compensating(record, EPOCH, RUN) is (expected == "this run")


# ---- how an order ends

CHARGES = (None, *ChargeStatus)
RESERVATIONS = (None, *Reservation)
SHIPMENTS = (None, *ShipmentStatus)
EVERYTHING = list(product(CHARGES, RESERVATIONS, SHIPMENTS))


@pytest.mark.parametrize(("charge", "reservation", "shipment"), EVERYTHING)
def test_an_order_completes_if_it_is_paid_taken_from_stock_and_shipped(
    charge: ChargeStatus | None, reservation: Reservation | None, shipment: ShipmentStatus | None
) -> None:
    record = order(status=Status.CHARGED, charge=charge, reservation=reservation, shipment=shipment)
    if (charge, reservation, shipment) == ("CHARGED", "COMMITTED", "CREATED"):
        assert complete(record, EPOCH, NOW, ()).after.status is Status.COMPLETED
    else:
        with pytest.raises(OrderIncomplete, match=f"charge {charge}, stock {reservation}, ship"):
            complete(record, EPOCH, NOW, ())


@pytest.mark.parametrize(("charge", "reservation", "shipment"), EVERYTHING)
def test_an_order_fails_if_nothing_is_charged_reserved_or_shipped(
    charge: ChargeStatus | None, reservation: Reservation | None, shipment: ShipmentStatus | None
) -> None:
    record = order(
        status=Status.COMPENSATING, charge=charge, reservation=reservation, shipment=shipment
    )
    undone = (
        charge in (None, "DECLINED", "REFUNDED", "VOIDED")
        and reservation in (None, "RELEASED", "RESTOCKED")
        and shipment in (None, "VOIDED")
    )
    if undone:
        assert fail(record, EPOCH, NOW, ()).after.status is Status.FAILED
    else:
        with pytest.raises(
            OrderIncomplete, match=f"still has charge {charge}, stock {reservation}"
        ):
            fail(record, EPOCH, NOW, ())


DONE = order(
    status=Status.CHARGED,
    charge=ChargeStatus.CHARGED,
    reservation=Reservation.COMMITTED,
    shipment=ShipmentStatus.CREATED,
)


def test_an_end_is_published_in_its_write_and_removes_lease_and_token() -> None:
    undone = order(status=Status.COMPENSATING, failure="OutOfStock")
    for change, what, detail in (
        (complete(DONE, EPOCH, NOW, (EVENT,)), "COMPLETED", {}),
        (fail(undone, EPOCH, NOW, (EVENT,)), "FAILED", {"reason": "OutOfStock"}),
    ):
        assert change.messages == (EVENT,)
        assert change.entries == (Entry(what, NOW, detail),)
        assert (change.after.lease_owner, change.after.lease_until) == (None, 0.0)
        assert "tok_visa" not in str(change.after.payment_token)


def test_an_order_whose_cancellation_was_requested_ends_as_cancelled() -> None:
    record = order(status=Status.COMPENSATING, cancel_requested=True)
    assert ending(record) is Status.CANCELLED
    assert fail(record, EPOCH, NOW, ()).after.status is Status.CANCELLED
    assert ending(order()) is Status.FAILED


def test_only_the_run_that_holds_an_order_ends_it() -> None:
    for epoch in (EPOCH - 1, EPOCH + 1):
        with pytest.raises(LeaseLost):
            complete(DONE, epoch, NOW, ())
        with pytest.raises(LeaseLost):
            fail(order(status=Status.COMPENSATING), epoch, NOW, ())


@pytest.mark.parametrize("status", sorted(frozenset(Status) - {Status.COMPENSATING}))
def test_an_order_that_is_not_compensated_cannot_fail(status: Status) -> None:
    with pytest.raises(LeaseLost):
        fail(order(status=status), EPOCH, NOW, ())


def test_an_end_is_recognized_by_its_epoch() -> None:
    failed = order(status=Status.FAILED)
    assert has_ended(failed, EPOCH, Status.FAILED, Status.CANCELLED)
    assert not has_ended(failed, EPOCH, Status.COMPLETED)
    assert not has_ended(failed, EPOCH + 1, Status.FAILED)


# ---- cancelling


@pytest.mark.parametrize("status", IN_FLIGHT)
def test_a_cancellation_is_recorded_for_the_run_that_holds_the_order(status: Status) -> None:
    change = cancel(order(status=status), "changed my mind", "event-9", NOW)
    assert change is not None
    assert change.after.cancel_requested
    assert (change.after.cancel_reason, change.after.cancel_event_id) == (
        "changed my mind",
        "event-9",
    )
    assert change.entries == (Entry("CANCEL_REQUESTED", NOW, {"reason": "changed my mind"}),)
    assert (change.after.status, change.after.epoch, change.messages) == (status, EPOCH, ())


@pytest.mark.parametrize(
    ("situation", "record"),
    [
        ("placed over HTTP, not yet claimed", order(**FRESH | {"version": 1})),
        ("it waits", waiting()),
        ("its run is gone", order(**EXPIRED)),
        ("the run that undid it is gone", order(status=Status.COMPENSATING, **EXPIRED)),
    ],
)
def test_a_cancelled_order_without_a_lease_gets_a_run(situation: str, record: OrderRecord) -> None:
    change = cancel(record, None, None, NOW)
    assert change is not None
    [run] = change.messages
    assert run.kind == "run", situation
    assert run.body["input"] == {"resume": {"order_id": "A-1"}}
    assert change.entries == (Entry("CANCEL_REQUESTED", NOW, {}),)


@pytest.mark.parametrize(
    "record",
    [
        order(cancel_requested=True),
        order(cancel_requested=True, status=Status.COMPENSATING),
        order(cancel_requested=True, status=Status.CANCELLED),
        order(cancel_requested=True, **EXPIRED),
    ],
)
def test_a_repeated_cancellation_changes_nothing(record: OrderRecord) -> None:
    assert cancel(record, "again", "event-10", NOW) is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (order(status=Status.COMPLETED), "A-1 is COMPLETED already"),
        (order(status=Status.FAILED), "A-1 is FAILED already"),
        (order(status=Status.COMPLETED, cancel_requested=True), "A-1 is COMPLETED already"),
        (order(status=Status.CHARGED, shipment=ShipmentStatus.CREATED), "A-1 is shipped already"),
    ],
)
def test_a_late_cancellation_is_refused(record: OrderRecord, reason: str) -> None:
    with pytest.raises(CancellationRefused, match=reason):
        cancel(record, None, None, NOW)


def test_an_order_with_a_voided_shipment_can_be_cancelled() -> None:
    record = order(status=Status.COMPENSATING, shipment=ShipmentStatus.VOIDED)
    assert cancel(record, None, None, NOW) is not None


# ---- changing

ELSEWHERE = {**ADDRESS, "city": "Wells"}


@pytest.mark.parametrize(
    ("address", "email", "changed"),
    [
        (ELSEWHERE, None, {"shipping_address": ELSEWHERE}),
        (None, "bob@example.com", {"email": "bob@example.com"}),
        (ELSEWHERE, "bob@example.com", {"shipping_address": ELSEWHERE, "email": "bob@example.com"}),
        (ADDRESS, "bob@example.com", {"email": "bob@example.com"}),
    ],
)
@pytest.mark.parametrize("status", ["RECEIVED", "RESERVED", "CHARGED", "WAITING"])
def test_address_and_email_can_be_changed_until_the_shipment(
    status: str,
    address: dict[str, str] | None,
    email: str | None,
    changed: dict[str, object],
) -> None:
    record = order(status=Status(status), shipping_address=ADDRESS, email="ada@example.com")
    change = amend(record, Amendment(address, email, "2026-01-31T12:30:00Z"), NOW)
    assert change is not None
    assert change.entries == (Entry("CHANGED", NOW, {"fields": sorted(changed)}),)
    assert {name: getattr(change.after, name) for name in changed} == changed
    assert (change.after.status, change.after.epoch) == (record.status, EPOCH)


def moved(record: OrderRecord, at: str | None, **fields: Any) -> OrderRecord:
    """Return a record after an amendment that is effective at this time."""
    amendment = Amendment(fields.get("address"), fields.get("email"), at)
    change = amend(record, amendment, NOW)
    return record if change is None else change.after


def test_an_amendment_of_the_same_time_and_value_is_not_written() -> None:
    record = moved(order(email="ada@example.com"), "2026-01-31T12:30:00Z", email="ada@example.com")
    amendment = Amendment(None, "ada@example.com", "2026-01-31T12:30:00Z")
    assert amend(record, amendment, NOW) is None


def test_the_latest_update_of_each_field_wins_in_any_order() -> None:
    updates: list[dict[str, Any]] = [
        {"at": "2026-01-31T12:01:00Z", "email": "first@example.com", "address": ADDRESS},
        {"at": "2026-01-31T12:02:00Z", "address": ELSEWHERE},
        {"at": "2026-01-31T12:03:00+00:00", "email": "last@example.com"},
        {"at": "2026-01-31T12:02:30Z", "email": "third@example.com"},
    ]
    for order_of_arrival in permutations(updates):
        record = order(email="old@example.com")
        for one in order_of_arrival:
            with suppress(ChangeRefused):
                record = moved(record, **one)
        assert (record.email, record.shipping_address) == ("last@example.com", ELSEWHERE)


def test_an_update_with_the_same_value_supersedes_earlier_updates() -> None:
    record = moved(order(email="ada@example.com"), "2026-01-31T13:00:00Z", email="ada@example.com")
    with pytest.raises(ChangeRefused, match="email was changed as of 2026-01-31T13:00:00Z"):
        moved(record, "2026-01-31T12:00:00Z", email="bob@example.com")


def test_an_outdated_field_of_an_update_is_ignored_and_noted() -> None:
    record = moved(order(), "2026-01-31T13:00:00Z", email="new@example.com")
    amendment = Amendment(ELSEWHERE, "old@example.com", "2026-01-31T12:00:00Z")
    change = amend(record, amendment, NOW)
    assert change is not None
    assert (change.after.email, change.after.shipping_address) == ("new@example.com", ELSEWHERE)
    assert [entry.what for entry in change.entries] == ["CHANGED", "CHANGE_IGNORED"]
    assert "email was changed as of" in str(change.entries[1].detail["reason"])


def test_a_change_without_a_time_is_the_latest_even_if_a_clock_is_ahead() -> None:
    ahead = timestamp(NOW + 59)
    record = moved(order(), ahead, email="ahead@example.com")
    record = moved(record, None, email="now@example.com")
    assert record.email == "now@example.com"
    with pytest.raises(ChangeRefused):
        moved(record, ahead, email="ahead@example.com")


@pytest.mark.parametrize(
    ("sent", "counts"),
    [
        (NOW - 3_600, NOW - 3_600),
        (NOW + 60, NOW + 60),
        (NOW + 61, NOW - 5),
        (NOW + 3_000_000_000, NOW - 5),
    ],
)
def test_a_time_far_ahead_of_our_clock_is_replaced_by_the_arrival(
    sent: float, counts: float
) -> None:
    assert effective_time(timestamp(sent), NOW, NOW - 5) == timestamp(counts)


def test_a_future_time_stored_by_an_older_version_is_ignored() -> None:
    record = order(email="typo@example.com", email_as_of="2099-01-01T00:00:00Z")
    assert moved(record, "2026-01-31T12:00:00Z", email="ada@example.com").email == "ada@example.com"


def test_the_senders_time_is_recorded() -> None:
    amendment = Amendment(None, "ada@example.com", timestamp(NOW), "2099-01-01T00:00:00Z")
    change = amend(order(), amendment, NOW)
    assert change is not None
    assert change.entries[0].detail == {"fields": ["email"], "as_of": "2099-01-01T00:00:00Z"}
    assert change.after.email_as_of == timestamp(NOW)


@pytest.mark.parametrize(
    ("record", "state"),
    [
        *((order(status=status), str(status)) for status in sorted(ENDED | UNDOING)),
        (order(status=Status.CHARGED, shipment=ShipmentStatus.CREATED), "shipped"),
        (order(status=Status.COMPENSATING, shipment=ShipmentStatus.VOIDED), "COMPENSATING"),
    ],
)
def test_a_late_change_is_refused(record: OrderRecord, state: str) -> None:
    with pytest.raises(ChangeRefused, match=f"A-1 is {state} already"):
        amend(record, Amendment(ELSEWHERE, None, "2026-01-31T12:30:00Z"), NOW)


# ---- resuming


def test_a_resuming_run_has_order_epoch_reason_and_minute_in_its_name() -> None:
    run = resume(order(), NOW, "c")
    assert run == resume(order(), NOW + 0.5, "c")
    names = {
        str(resume(record, now, why).body["name"])
        for record, now, why in (
            (order(), NOW, "c"),
            (order(), NOW + 60, "c"),
            (order(epoch=2), NOW, "c"),
            (order(order_id="A-2"), NOW, "c"),
            (order(), NOW, "r"),
        )
    }
    assert len(names) == 5
    assert run.kind == "run"
    assert run.body["input"] == {"resume": {"order_id": "A-1"}}


def test_orders_with_long_ids_have_distinct_run_names() -> None:
    ids = [f"{number}{'x' * 63}" for number in (1, 2)]
    names = [str(resume(order(order_id=one), NOW, "r").body["name"]) for one in ids]
    assert names[0] != names[1]


def test_a_runs_name_is_valid_in_step_functions() -> None:
    name = str(resume(order(order_id="x" * 64, epoch=12_345), NOW, "r").body["name"])
    assert len(name) <= 80
