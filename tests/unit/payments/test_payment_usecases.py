"""An order is charged once and refunded once under lost answers, late and repeated calls."""

from typing import Any

import pytest

from kernel.errors import (
    LeaseLost,
    OrderCancelled,
    OrderNotFound,
    PaymentDeclined,
    PaymentGatewayError,
)
from kernel.events import PaymentRefunded
from kernel.idempotency import charge_id, published_event_id
from kernel.order_record import Entry
from kernel.order_status import UNDOING, ChargeStatus, Status
from payments.lost_pending import PENDING_LOST_AFTER
from payments.model import Charge, GatewayRecord
from payments.usecases import Outcome, Ports, pay, refund
from tests.fakes.payments import FakeGateway, FakeLedger, Killed, killed, no_answer
from tests.fakes.records import EPOCH, NOW, order, waiting

KEY = charge_id("A-1")
CHARGED = Outcome("CHARGED", KEY)
NEXT = EPOCH + 1


def reserved(**fields: Any) -> FakeLedger:
    return FakeLedger(order(**{"status": Status.RESERVED} | fields))


def ports(store: FakeLedger, gateway: FakeGateway) -> Ports:
    return Ports(store, gateway, lambda: NOW)


def charged(store: FakeLedger, gateway: FakeGateway, **fields: Any) -> None:
    """Charge an order, then change these fields of it."""
    pay("A-1", EPOCH, ports(store, gateway))
    store.touch(**fields)
    gateway.calls.clear()


def undone(gateway: FakeGateway, **fields: Any) -> FakeLedger:
    """Return a charged order in compensation."""
    store = reserved()
    charged(store, gateway, status=Status.COMPENSATING, failure="CarrierError", **fields)
    store.timeline.clear()
    store.entered.clear()
    return store


def unknown(gateway: FakeGateway, **fields: Any) -> FakeLedger:
    """Return an order whose charge the gateway did not answer, with these fields changed."""
    store = reserved()
    with pytest.raises(PaymentGatewayError):
        pay("A-1", EPOCH, ports(store, gateway))
    store.touch(**fields)
    gateway.calls.clear()
    return store


def ledger(store: FakeLedger) -> list[str]:
    return [entry.status for entry in store.entered]


# ---- charging


def test_an_order_is_charged_its_total_under_its_own_key() -> None:
    store, gateway = reserved(), FakeGateway()
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert gateway.charges == [Charge(KEY, "A-1", 3700, "EUR", "tok_visa")]
    record = store.only
    assert (record.status, record.charge, record.charge_id) == ("CHARGED", "CHARGED", KEY)
    assert store.timeline == [
        ("A-1", Entry("CHARGE_PENDING", NOW, {"amount": 3700})),
        ("A-1", Entry("CHARGED", NOW, {"amount": 3700, "reference": f"reference of {KEY}"})),
    ]
    entry = store.ledger[KEY]
    assert (entry.order_id, entry.amount, entry.currency) == ("A-1", 3700, "EUR")
    assert (entry.status, entry.reference) == ("CHARGED", f"reference of {KEY}")


def test_a_charges_key_follows_from_its_order() -> None:
    assert charge_id("A-1") == "936340c9-5f74-564f-8318-64bd7a9f157f"
    assert charge_id("A-2") != charge_id("A-1")


def test_the_ledger_says_pending_before_the_gateway_charges() -> None:
    store, gateway = reserved(), FakeGateway()
    seen: list[Any] = []
    gateway.before("charge", lambda: seen.extend([*ledger(store), store.only.charge]))
    pay("A-1", EPOCH, ports(store, gateway))
    assert seen == ["PENDING", "PENDING"]
    assert ledger(store) == ["PENDING", "CHARGED"]


def test_a_charge_in_the_ledger_is_not_looked_up_again() -> None:
    store, gateway = reserved(), FakeGateway()
    charged(store, gateway)
    before = store.only
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert (gateway.calls, ledger(store)) == ([], ["PENDING", "CHARGED"])
    assert store.only == before


def test_an_order_that_waited_after_its_charge_returns_to_status_charged() -> None:
    store, gateway = reserved(), FakeGateway()
    charged(store, gateway, status=Status.WAITING)
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert (store.only.status, gateway.calls) == (Status.CHARGED, [])


def test_an_order_that_waited_for_the_gateway_is_charged() -> None:
    store, gateway = FakeLedger(waiting()), FakeGateway()
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert store.only.status is Status.CHARGED


@pytest.mark.parametrize(
    ("currency", "total", "amount"),
    [("EUR", 3700, 3700), ("USD", 1, 1), ("JPY", 123_400, 1_234), ("KRW", 100, 1)],
)
def test_the_gateway_charges_in_the_smallest_unit_of_the_currency(
    currency: str, total: int, amount: int
) -> None:
    store, gateway = reserved(currency=currency, total=total), FakeGateway()
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert gateway.money == amount
    assert store.entered[-1].amount == total


def test_an_older_order_with_a_fraction_of_a_yen_is_declined() -> None:
    store, gateway = reserved(currency="JPY", total=1_234), FakeGateway()
    with pytest.raises(PaymentDeclined, match=r"12\.34 has decimals, and JPY has none"):
        pay("A-1", EPOCH, ports(store, gateway))
    assert gateway.calls == []


# ---- PENDING is lost in a power cut, and what the order was before is not


def lost(gateway: FakeGateway, **fields: Any) -> FakeLedger:
    """Return an order that the gateway charged but whose ledger has no charge."""
    pay("A-1", EPOCH, ports(reserved(), gateway))
    gateway.calls.clear()
    return reserved(**{"reservation": "RESERVED"} | fields)


def test_a_lost_charge_is_returned_for_its_key() -> None:
    gateway = FakeGateway()
    assert pay("A-1", EPOCH, ports(lost(gateway), gateway)) == CHARGED
    assert (gateway.calls, gateway.money) == (["charge"], 3700)


def test_an_order_without_a_recent_write_is_looked_up_first() -> None:
    gateway = FakeGateway()
    store = lost(gateway, updated_at=NOW - PENDING_LOST_AFTER - 1)
    gateway.forget_keys()
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert (gateway.calls, gateway.money) == (["find"], 3700)
    assert ledger(store) == ["PENDING", "CHARGED"]


def test_an_uncharged_order_without_a_recent_write_is_charged() -> None:
    store, gateway = reserved(updated_at=NOW - PENDING_LOST_AFTER - 1), FakeGateway()
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert (gateway.calls, gateway.money) == (["find", "charge"], 3700)


def test_a_lost_charge_is_refunded_in_compensation() -> None:
    gateway = FakeGateway()
    store = lost(gateway, status=Status.COMPENSATING)
    assert refund("A-1", EPOCH, ports(store, gateway)) == Outcome("REFUNDED", KEY)
    assert (gateway.calls, gateway.money) == (["void", "refund"], 0)
    assert (ledger(store), store.only.charge, store.only.charge_id) == (
        ["REFUNDED"],
        "REFUNDED",
        KEY,
    )


def test_the_charge_of_an_order_with_reserved_stock_is_voided() -> None:
    store = FakeLedger(order(status=Status.COMPENSATING, reservation="RELEASED"))
    gateway = FakeGateway()
    assert refund("A-1", EPOCH, ports(store, gateway)) == Outcome("NOTHING_TO_PAY_BACK", None)
    assert (gateway.calls, ledger(store), store.writes) == (["void"], [], 0)


# ---- F8, F9, F10, F12: the outcome is unknown


def test_a_charge_with_a_lost_answer_is_looked_up() -> None:
    gateway = FakeGateway()
    gateway.after("charge", no_answer)
    store = unknown(gateway)
    assert ledger(store) == ["PENDING"]
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert (gateway.calls, gateway.money) == (["find"], 3700)


@pytest.mark.parametrize(("moment", "calls"), [("before", ["find", "charge"]), ("after", ["find"])])
def test_a_run_after_a_run_killed_during_the_charge_charges_once(
    moment: str, calls: list[str]
) -> None:
    store, gateway = reserved(), FakeGateway()
    getattr(gateway, moment)("charge", killed)
    with pytest.raises(Killed):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (ledger(store), store.only.status) == (["PENDING"], Status.RESERVED)
    store.touch(epoch=NEXT, lease_owner="run-2")
    gateway.calls.clear()
    assert pay("A-1", NEXT, ports(store, gateway)) == CHARGED
    assert (gateway.calls, gateway.money) == (calls, 3700)


def test_a_pending_charge_is_looked_up_before_a_second_charge() -> None:
    gateway = FakeGateway()
    gateway.after("charge", no_answer)
    store = unknown(gateway)
    gateway.forget_keys()
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert (len(gateway.charges), gateway.money) == (1, 3700)


def test_an_unavailable_gateway_leaves_the_charge_pending() -> None:
    gateway = FakeGateway()
    gateway.before("charge", no_answer)
    store = unknown(gateway)
    assert (store.only.status, store.only.charge) == (Status.RESERVED, "PENDING")
    assert ledger(store) == ["PENDING"]
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert gateway.money == 3700
    assert {charge.key for charge in gateway.charges} == {KEY}


def test_a_concurrent_write_of_a_sibling_is_retried() -> None:
    store, gateway = reserved(), FakeGateway()
    store.before_next_write(store.touch)
    gateway.after("charge", lambda: store.before_next_write(store.touch))
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert (gateway.calls, ledger(store)) == (["charge"], ["PENDING", "CHARGED"])


def test_concurrent_invocations_charge_once() -> None:
    store, gateway = reserved(), FakeGateway()
    gateway.before("charge", lambda: pay("A-1", EPOCH, ports(store, gateway)))
    assert pay("A-1", EPOCH, ports(store, gateway)) == CHARGED
    assert (gateway.money, store.only.charge) == (3700, "CHARGED")


def test_concurrent_invocations_enter_the_charge_once() -> None:
    store, gateway = reserved(), FakeGateway()
    gateway.before("charge", lambda: pay("A-1", EPOCH, ports(store, gateway)))
    pay("A-1", EPOCH, ports(store, gateway))
    assert ledger(store) == ["PENDING", "CHARGED"]
    assert store.happened == ["CHARGE_PENDING", "CHARGED"]


# ---- F11: declined


def test_a_declined_card_is_final_and_in_the_ledger() -> None:
    store, gateway = reserved(), FakeGateway(declines=True)
    for _ in range(2):
        with pytest.raises(PaymentDeclined, match="order A-1 is DECLINED"):
            pay("A-1", EPOCH, ports(store, gateway))
    assert gateway.calls == ["charge"]
    assert ledger(store) == ["PENDING", "DECLINED"]
    assert (store.only.status, store.only.charge) == (Status.RESERVED, "DECLINED")
    assert store.happened == ["CHARGE_PENDING", "CHARGE_DECLINED"]


def test_concurrent_invocations_enter_the_decline_once() -> None:
    store, gateway = reserved(), FakeGateway(declines=True)

    def twin() -> None:
        with pytest.raises(PaymentDeclined):
            pay("A-1", EPOCH, ports(store, gateway))

    gateway.before("charge", twin)
    with pytest.raises(PaymentDeclined):
        pay("A-1", EPOCH, ports(store, gateway))
    assert ledger(store) == ["PENDING", "DECLINED"]


def test_a_decline_with_a_lost_answer_is_looked_up() -> None:
    gateway = FakeGateway(declines=True)
    gateway.after("charge", no_answer)
    store = unknown(gateway)
    with pytest.raises(PaymentDeclined):
        pay("A-1", EPOCH, ports(store, gateway))
    assert gateway.calls == ["find"]


# ---- F31: cancelled


@pytest.mark.parametrize(
    "fields", [{"cancel_requested": True}, {"status": Status.COMPENSATING, "failure": "OutOfStock"}]
)
def test_a_cancelled_order_is_not_charged(fields: dict[str, Any]) -> None:
    store, gateway = reserved(**fields), FakeGateway()
    with pytest.raises(OrderCancelled):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (gateway.calls, store.entered) == ([], [])


def test_an_order_cancelled_while_the_ledger_is_written_is_not_charged() -> None:
    store, gateway = reserved(), FakeGateway()
    store.before_next_write(lambda: store.touch(cancel_requested=True))
    with pytest.raises(OrderCancelled):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (gateway.calls, store.entered) == ([], [])


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_order_cancelled_during_its_charge_is_charged_and_compensated(moment: str) -> None:
    store, gateway = reserved(), FakeGateway()
    getattr(gateway, moment)("charge", lambda: store.touch(cancel_requested=True))
    with pytest.raises(OrderCancelled, match="A-1 was cancelled while it was charged"):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (store.only.charge, ledger(store)) == ("CHARGED", ["PENDING", "CHARGED"])


def test_an_order_cancelled_after_its_charge_raises_order_cancelled() -> None:
    store, gateway = reserved(), FakeGateway()
    charged(store, gateway, cancel_requested=True)
    with pytest.raises(OrderCancelled):
        pay("A-1", EPOCH, ports(store, gateway))
    assert gateway.calls == []


# ---- F20, F29: overtaken


def test_a_run_without_the_lease_does_not_call_the_gateway() -> None:
    store, gateway = reserved(epoch=NEXT), FakeGateway()
    with pytest.raises(LeaseLost):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (gateway.calls, store.entered) == ([], [])


def test_a_run_that_loses_the_lease_during_the_ledger_write_does_not_charge() -> None:
    store, gateway = reserved(), FakeGateway()
    store.before_next_write(lambda: store.touch(epoch=NEXT))
    with pytest.raises(LeaseLost):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (gateway.calls, store.entered) == ([], [])


@pytest.mark.parametrize("status", sorted(UNDOING))
def test_a_late_charge_of_a_compensated_order_is_refunded(status: Status) -> None:
    store, gateway = reserved(), FakeGateway()
    gateway.after("charge", lambda: store.touch(status=status, epoch=NEXT))
    with pytest.raises(LeaseLost):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (gateway.money, gateway.calls) == (0, ["charge", "refund"])
    assert ledger(store) == ["PENDING"]


def test_a_late_charge_is_refused_by_the_voided_mark() -> None:
    store, gateway = reserved(), FakeGateway()

    def compensated() -> None:
        store.touch(status=Status.COMPENSATING, epoch=NEXT)
        refund("A-1", NEXT, ports(store, gateway))

    gateway.before("charge", compensated)
    with pytest.raises(LeaseLost):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (gateway.money, gateway.calls) == (0, ["charge", "void"])
    assert (ledger(store), store.only.charge) == (["PENDING", "VOIDED"], "VOIDED")


def test_a_late_decline_needs_no_refund() -> None:
    store, gateway = reserved(), FakeGateway(declines=True)
    gateway.after("charge", lambda: store.touch(status=Status.COMPENSATING, epoch=NEXT))
    with pytest.raises(LeaseLost):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (gateway.calls, ledger(store)) == (["charge"], ["PENDING"])


@pytest.mark.parametrize(
    ("status", "epoch"),
    [
        (Status.RESERVED, NEXT),
        (Status.CHARGED, NEXT),
        (Status.WAITING, NEXT),
        (Status.COMPLETED, NEXT),
        (Status.COMPLETED, EPOCH),
    ],
)
def test_a_late_charge_of_an_active_order_is_its_charge(status: Status, epoch: int) -> None:
    store, gateway = reserved(), FakeGateway()
    gateway.after("charge", lambda: store.touch(status=status, epoch=epoch))
    with pytest.raises(LeaseLost):
        pay("A-1", EPOCH, ports(store, gateway))
    assert (gateway.money, gateway.calls) == (3700, ["charge"])
    assert (store.only.status, ledger(store)) == (status, ["PENDING"])


@pytest.mark.parametrize("status", ["VOIDED", "REFUNDED"])
def test_a_charge_undone_at_the_gateway_fails_the_order(status: str) -> None:
    """No newer run did it, or this run would be fenced off: no other run follows."""
    store, gateway = reserved(), FakeGateway()
    if status == "VOIDED":
        gateway.before("charge", lambda: gateway.void(KEY))
    else:
        gateway.after("charge", lambda: gateway.refund(KEY))
    for _ in range(2):
        with pytest.raises(PaymentDeclined, match=f"order A-1 is {status}"):
            pay("A-1", EPOCH, ports(store, gateway))
        gateway.forget_keys()
    assert (store.only.charge, store.only.status) == (status, Status.RESERVED)
    assert (ledger(store), gateway.money) == (["PENDING", status], 0)
    assert len(gateway.charges) == 1


# ---- paying back


def test_a_refund_and_its_event_are_one_write() -> None:
    gateway = FakeGateway()
    store = undone(gateway)
    before = store.only
    assert refund("A-1", EPOCH, ports(store, gateway)) == Outcome("REFUNDED", KEY)
    assert (gateway.calls, gateway.money) == (["refund"], 0)
    assert (store.only.charge, store.only.status) == ("REFUNDED", Status.COMPENSATING)
    assert ledger(store) == ["REFUNDED"]
    assert store.timeline == [("A-1", Entry("CHARGE_REFUNDED", NOW, {"amount": 3700}))]
    [event] = store.events
    assert isinstance(event.detail, PaymentRefunded)
    assert event.detail.model_dump(exclude={"metadata"}) == {
        "order_id": "A-1",
        "timestamp": "2026-02-02T02:40:00.000Z",
        "customer_id": "C-42",
        "currency": "EUR",
        "amount": 37.0,
        "charge_id": KEY,
        "reason": "CarrierError",
    }
    assert event.detail.metadata is not None
    assert event.detail.metadata.schema_version == "1.0"
    assert event.detail.metadata.causation_id == "event-1"
    assert event.correlation_id == "request-1"
    assert event.event_id == published_event_id("A-1", "Payment Refunded", before.version + 1)


def test_an_order_cancelled_without_a_failure_is_refunded_as_cancelled() -> None:
    gateway = FakeGateway()
    store = undone(gateway)
    store.touch(failure=None)
    refund("A-1", EPOCH, ports(store, gateway))
    assert store.events[0].detail.reason == "OrderCancelled"


def test_a_charge_that_was_not_made_is_voided() -> None:
    gateway = FakeGateway()
    gateway.before("charge", no_answer)
    store = unknown(gateway, status=Status.COMPENSATING)
    assert refund("A-1", EPOCH, ports(store, gateway)) == Outcome("VOIDED", KEY)
    assert gateway.calls == ["void"]
    assert gateway.charge(Charge(KEY, "A-1", 3700, "EUR", None)).status == "VOIDED"
    assert gateway.money == 0
    assert (ledger(store), store.outbox) == (["PENDING", "VOIDED"], [])
    assert store.timeline[-1] == ("A-1", Entry("CHARGE_VOIDED", NOW, {}))


def test_a_pending_charge_that_was_made_is_refunded() -> None:
    gateway = FakeGateway()
    gateway.after("charge", no_answer)
    store = unknown(gateway, status=Status.COMPENSATING)
    assert refund("A-1", EPOCH, ports(store, gateway)).outcome == "REFUNDED"
    assert (gateway.calls, gateway.money) == (["void", "refund"], 0)
    assert [event.name for event in store.events] == ["Payment Refunded"]


def test_a_pending_charge_that_was_declined_is_declined() -> None:
    gateway = FakeGateway(declines=True)
    gateway.after("charge", no_answer)
    store = unknown(gateway, status=Status.COMPENSATING)
    assert refund("A-1", EPOCH, ports(store, gateway)).outcome == "DECLINED"
    assert (gateway.calls, ledger(store)) == (["void"], ["PENDING", "DECLINED"])
    assert store.outbox == []


@pytest.mark.parametrize("charge", [None, "DECLINED", "REFUNDED", "VOIDED"])
def test_the_gateway_is_not_called_without_an_open_charge(charge: str | None) -> None:
    known = ChargeStatus(charge) if charge else None
    store, gateway = reserved(status=Status.COMPENSATING, charge=known), FakeGateway()
    assert refund("A-1", EPOCH, ports(store, gateway)).outcome == "NOTHING_TO_PAY_BACK"
    assert (gateway.calls, store.entered, store.outbox) == ([], [], [])


# ---- F18, F19: refunds that fail, are lost, or are repeated


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_refund_without_an_answer_is_retried(moment: str) -> None:
    gateway = FakeGateway()
    store = undone(gateway)
    getattr(gateway, moment)("refund", no_answer)
    with pytest.raises(PaymentGatewayError):
        refund("A-1", EPOCH, ports(store, gateway))
    assert (store.only.charge, store.entered, store.outbox) == ("CHARGED", [], [])
    assert refund("A-1", EPOCH, ports(store, gateway)).outcome == "REFUNDED"
    assert (gateway.money, len(store.outbox)) == (0, 1)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_void_without_an_answer_is_retried(moment: str) -> None:
    gateway = FakeGateway()
    gateway.before("charge", no_answer)
    store = unknown(gateway, status=Status.COMPENSATING)
    getattr(gateway, moment)("void", no_answer)
    with pytest.raises(PaymentGatewayError):
        refund("A-1", EPOCH, ports(store, gateway))
    assert store.only.charge == "PENDING"
    assert refund("A-1", EPOCH, ports(store, gateway)).outcome == "VOIDED"


def test_an_unconfirmed_refund_raises_payment_gateway_error() -> None:
    class Stubborn(FakeGateway):
        def refund(self, key: str) -> GatewayRecord:
            return GatewayRecord(key, ChargeStatus.CHARGED, "still here")

    gateway = Stubborn()
    store = undone(gateway)
    with pytest.raises(PaymentGatewayError, match=r"still has .* as CHARGED"):
        refund("A-1", EPOCH, ports(store, gateway))
    assert (store.only.charge, store.entered, store.outbox) == ("CHARGED", [], [])


def test_a_repeated_compensation_refunds_once() -> None:
    gateway = FakeGateway()
    store = undone(gateway)
    outcomes = [refund("A-1", EPOCH, ports(store, gateway)).outcome for _ in range(2)]
    assert outcomes == ["REFUNDED", "NOTHING_TO_PAY_BACK"]
    assert (gateway.calls, ledger(store), len(store.outbox)) == (["refund"], ["REFUNDED"], 1)


def test_concurrent_invocations_publish_one_refund() -> None:
    gateway = FakeGateway()
    store = undone(gateway)
    gateway.after("refund", lambda: refund("A-1", EPOCH, ports(store, gateway)))
    refund("A-1", EPOCH, ports(store, gateway))
    assert gateway.money == 0
    assert len({event.event_id for event in store.events}) == 1


@pytest.mark.parametrize("status", sorted(frozenset(Status) - {Status.COMPENSATING}))
def test_only_an_order_in_compensation_is_refunded(status: Status) -> None:
    gateway = FakeGateway()
    store = reserved()
    charged(store, gateway, status=status, cancel_requested=True)
    with pytest.raises(LeaseLost):
        refund("A-1", EPOCH, ports(store, gateway))
    assert (gateway.calls, gateway.money) == ([], 3700)


def test_a_run_without_the_lease_refunds_nothing() -> None:
    gateway = FakeGateway()
    store = undone(gateway, epoch=NEXT)
    with pytest.raises(LeaseLost):
        refund("A-1", EPOCH, ports(store, gateway))
    assert (gateway.calls, gateway.money) == ([], 3700)


def test_a_run_superseded_during_its_refund_leaves_the_entry_to_the_next() -> None:
    gateway = FakeGateway()
    store = undone(gateway)
    gateway.after("refund", lambda: store.touch(epoch=NEXT))
    with pytest.raises(LeaseLost):
        refund("A-1", EPOCH, ports(store, gateway))
    assert (store.entered, store.outbox) == ([], [])
    assert refund("A-1", NEXT, ports(store, gateway)).outcome == "REFUNDED"
    assert (gateway.money, len(store.outbox)) == (0, 1)


def test_a_concurrent_cancellation_does_not_repeat_the_refund() -> None:
    gateway = FakeGateway()
    store = undone(gateway)
    store.before_next_write(lambda: store.touch(cancel_requested=True))
    assert refund("A-1", EPOCH, ports(store, gateway)).outcome == "REFUNDED"
    assert (gateway.calls, len(store.outbox)) == (["refund"], 1)
    assert store.only.cancel_requested


@pytest.mark.parametrize("step", [pay, refund])
def test_an_unknown_order_moves_no_money(step: Any) -> None:
    gateway = FakeGateway()
    with pytest.raises(OrderNotFound):
        step("A-1", EPOCH, ports(FakeLedger(), gateway))
    assert gateway.calls == []
