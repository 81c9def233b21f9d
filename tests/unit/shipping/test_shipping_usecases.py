"""A paid order is shipped once, and a compensated order never."""

from typing import Any

import pytest

from kernel.errors import (
    CarrierError,
    LeaseLost,
    OrderCancelled,
    OrderflowError,
    OrderIncomplete,
    OrderNotFound,
)
from kernel.idempotency import shipment_id
from kernel.order_record import Entry
from kernel.order_status import UNDOING, ChargeStatus, ShipmentStatus, Status
from shipping.model import Consignment, Shipment
from shipping.usecases import Outcome, Ports, ship, void
from tests.fakes.events import ADDRESS
from tests.fakes.records import EPOCH, NOW, order
from tests.fakes.shipping import FakeCarrier, FakeShipments, not_taken

PARCEL = shipment_id("A-1")
TRACKING = f"TRACK-{PARCEL[:4]}"
CREATED = Outcome("CREATED", TRACKING)
NEXT = EPOCH + 1
PAID = {"status": Status.CHARGED, "charge": ChargeStatus.CHARGED, "shipping_address": ADDRESS}


def paid(**fields: Any) -> FakeShipments:
    return FakeShipments(order(**PAID | fields))


def ports(store: FakeShipments, carrier: FakeCarrier) -> Ports:
    return Ports(store, carrier, lambda: NOW)


def shipped(carrier: FakeCarrier, **fields: Any) -> FakeShipments:
    """Return a shipped order with these fields changed."""
    store = paid()
    ship("A-1", EPOCH, ports(store, carrier))
    store.touch(**fields)
    store.timeline.clear()
    carrier.calls.clear()
    return store


def on_its_way(carrier: FakeCarrier) -> bool:
    return carrier.parcels.get(PARCEL) is ShipmentStatus.CREATED


# ---- shipping


def test_a_paid_order_is_shipped() -> None:
    store, carrier = paid(), FakeCarrier()
    assert ship("A-1", EPOCH, ports(store, carrier)) == CREATED
    assert carrier.consignments == [Consignment(PARCEL, "A-1", ADDRESS)]
    record = store.only
    assert (record.shipment, record.shipment_id) == ("CREATED", PARCEL)
    assert (record.tracking_number, record.status) == (TRACKING, Status.CHARGED)
    assert store.shipments == {PARCEL: Shipment(PARCEL, ShipmentStatus.CREATED, TRACKING)}
    entry = Entry("SHIPMENT_CREATED", NOW, {"tracking_number": TRACKING})
    assert store.timeline == [("A-1", entry)]


def test_a_shipments_id_follows_from_its_order() -> None:
    assert shipment_id("A-1") == "204824ba-ab9c-52e2-8cdb-5c31ad3ece2e"
    assert shipment_id("A-2") != shipment_id("A-1")


def test_a_shipped_order_is_not_shipped_again() -> None:
    carrier = FakeCarrier()
    store = shipped(carrier)
    before = store.only
    assert ship("A-1", EPOCH, ports(store, carrier)) == CREATED
    assert (carrier.calls, store.only) == ([], before)


@pytest.mark.parametrize(
    "charge", [None, *sorted(frozenset(ChargeStatus) - {ChargeStatus.CHARGED})]
)
def test_an_unpaid_order_is_not_shipped(charge: ChargeStatus | None) -> None:
    store, carrier = paid(charge=charge), FakeCarrier()
    with pytest.raises(OrderIncomplete, match=f"A-1 is not paid: its charge is {charge}"):
        ship("A-1", EPOCH, ports(store, carrier))
    assert carrier.calls == []


def test_a_shipment_that_the_carrier_refuses_leaves_the_order_unchanged() -> None:
    store, carrier = paid(), FakeCarrier()
    before = store.only
    carrier.before_create(not_taken)
    with pytest.raises(CarrierError):
        ship("A-1", EPOCH, ports(store, carrier))
    assert (store.only, store.shipments) == (before, {})
    assert ship("A-1", EPOCH, ports(store, carrier)) == CREATED


def test_a_shipment_with_a_lost_answer_is_the_same_shipment() -> None:
    store, carrier = paid(), FakeCarrier()
    carrier.after_create(not_taken)
    with pytest.raises(CarrierError):
        ship("A-1", EPOCH, ports(store, carrier))
    assert ship("A-1", EPOCH, ports(store, carrier)) == CREATED
    assert carrier.parcels == {PARCEL: ShipmentStatus.CREATED}


def test_concurrent_invocations_ship_once() -> None:
    store, carrier = paid(), FakeCarrier()
    carrier.before_create(lambda: ship("A-1", EPOCH, ports(store, carrier)))
    assert ship("A-1", EPOCH, ports(store, carrier)) == CREATED
    assert carrier.parcels == {PARCEL: ShipmentStatus.CREATED}
    assert len(store.shipments) == 1


def test_concurrent_invocations_enter_the_shipment_once() -> None:
    store, carrier = paid(), FakeCarrier()
    carrier.before_create(lambda: ship("A-1", EPOCH, ports(store, carrier)))
    ship("A-1", EPOCH, ports(store, carrier))
    assert store.happened == ["SHIPMENT_CREATED"]


def test_a_concurrent_write_of_a_sibling_is_retried() -> None:
    store, carrier = paid(), FakeCarrier()
    carrier.after_create(store.touch)
    store.before_next_write(store.touch)
    assert ship("A-1", EPOCH, ports(store, carrier)) == CREATED
    assert (carrier.calls, store.only.shipment) == (["create"], "CREATED")


def test_a_shipment_goes_to_the_address_of_the_record() -> None:
    """An address changed during the carrier's call was confirmed to the customer."""
    store, carrier = paid(), FakeCarrier()
    elsewhere = {**ADDRESS, "city": "Wells"}
    carrier.before_create(lambda: store.touch(shipping_address=elsewhere))
    ship("A-1", EPOCH, ports(store, carrier))
    assert carrier.consignments[-1].address == store.only.shipping_address


# ---- cancelled or undone meanwhile


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"cancel_requested": True}, OrderCancelled),
        ({"status": Status.COMPENSATING}, OrderCancelled),
        ({"epoch": NEXT}, LeaseLost),
        ({"status": Status.FAILED}, LeaseLost),
    ],
)
def test_an_inactive_order_is_not_shipped(
    fields: dict[str, Any], error: type[OrderflowError]
) -> None:
    store, carrier = paid(**fields), FakeCarrier()
    with pytest.raises(error):
        ship("A-1", EPOCH, ports(store, carrier))
    assert carrier.calls == []


def test_the_shipment_of_an_order_cancelled_meanwhile_is_voided() -> None:
    store, carrier = paid(), FakeCarrier()
    carrier.after_create(lambda: store.touch(cancel_requested=True))
    with pytest.raises(OrderCancelled):
        ship("A-1", EPOCH, ports(store, carrier))
    assert not on_its_way(carrier)
    assert (store.only.shipment, store.shipments) == (None, {})


def test_the_shipment_of_an_order_cancelled_before_its_write_is_voided() -> None:
    """The write of the shipment fails if the order was cancelled meanwhile."""
    store, carrier = paid(), FakeCarrier()
    store.before_next_write(lambda: store.touch(cancel_requested=True))
    with pytest.raises(OrderCancelled):
        ship("A-1", EPOCH, ports(store, carrier))
    assert not on_its_way(carrier)
    assert (store.only.shipment, store.shipments) == (None, {})


@pytest.mark.parametrize("status", sorted(UNDOING))
@pytest.mark.parametrize("when", ["while the carrier takes it", "while it is written"])
def test_a_late_invocation_voids_the_shipment_of_a_compensated_order(
    status: Status, when: str
) -> None:
    """F20: the function runs on after its timeout, and compensation has started or ended."""
    store, carrier = paid(), FakeCarrier()
    hook = carrier.after_create if "carrier" in when else store.before_next_write
    hook(lambda: store.touch(status=status, epoch=NEXT))
    with pytest.raises(LeaseLost):
        ship("A-1", EPOCH, ports(store, carrier))
    assert not on_its_way(carrier)
    assert (store.only.shipment, store.shipments) == (None, {})


@pytest.mark.parametrize(
    ("status", "epoch"),
    [
        (Status.CHARGED, NEXT),
        (Status.RESERVED, NEXT),
        (Status.COMPLETED, NEXT),
        (Status.COMPLETED, EPOCH),
    ],
)
@pytest.mark.parametrize("when", ["while the carrier takes it", "while it is written"])
def test_a_lost_lease_of_an_active_order_does_not_void_the_shipment(
    status: Status, epoch: int, when: str
) -> None:
    """F29: the newer run has the same shipment, or will have."""
    store, carrier = paid(), FakeCarrier()
    hook = carrier.after_create if "carrier" in when else store.before_next_write
    hook(lambda: store.touch(status=status, epoch=epoch))
    with pytest.raises(LeaseLost):
        ship("A-1", EPOCH, ports(store, carrier))
    assert on_its_way(carrier)
    assert (store.only.shipment, store.shipments) == (None, {})


def test_a_late_shipment_is_refused_by_the_voided_mark() -> None:
    store, carrier = paid(), FakeCarrier()

    def compensated() -> None:
        store.touch(status=Status.COMPENSATING, epoch=NEXT)
        void("A-1", NEXT, ports(store, carrier))

    carrier.before_create(compensated)
    with pytest.raises(LeaseLost):
        ship("A-1", EPOCH, ports(store, carrier))
    assert not on_its_way(carrier)
    assert store.only.shipment == "VOIDED"


def test_a_shipment_voided_at_the_carrier_fails_the_order() -> None:
    """No newer run did it, or this run would be fenced off: no other run follows."""
    store, carrier = paid(), FakeCarrier()
    carrier.void(PARCEL)
    with pytest.raises(CarrierError, match="has voided the shipment of order A-1"):
        ship("A-1", EPOCH, ports(store, carrier))
    assert (store.only.shipment, store.shipments) == (None, {})


# ---- calling back


def test_a_shipment_is_voided_in_compensation() -> None:
    carrier = FakeCarrier()
    store = shipped(carrier, status=Status.COMPENSATING)
    assert void("A-1", EPOCH, ports(store, carrier)) == Outcome("VOIDED", None)
    assert not on_its_way(carrier)
    assert (store.only.shipment, store.only.status) == ("VOIDED", Status.COMPENSATING)
    assert store.shipments[PARCEL].status == "VOIDED"
    assert store.timeline == [("A-1", Entry("SHIPMENT_VOIDED", NOW))]


def test_an_unrecorded_shipment_is_voided_too() -> None:
    """A late invocation may still create it and is refused by the mark."""
    store, carrier = paid(status=Status.COMPENSATING), FakeCarrier()
    assert void("A-1", EPOCH, ports(store, carrier)).outcome == "VOIDED"
    assert carrier.create(Consignment(PARCEL, "A-1", None)).status == "VOIDED"
    assert (store.only.shipment, store.only.shipment_id) == ("VOIDED", PARCEL)
    assert store.timeline == []


@pytest.mark.parametrize("charge", [None, ChargeStatus.PENDING, ChargeStatus.REFUNDED])
def test_a_recorded_shipment_is_voided_for_every_state_of_the_charge(
    charge: ChargeStatus | None,
) -> None:
    carrier = FakeCarrier()
    store = shipped(carrier, status=Status.COMPENSATING, charge=charge)
    assert void("A-1", EPOCH, ports(store, carrier)).outcome == "VOIDED"
    assert not on_its_way(carrier)


def test_an_order_with_a_pending_charge_may_have_a_shipment_after_a_power_cut() -> None:
    """The carrier created it, then a power cut lost the shipment and CHARGED, but not PENDING."""
    carrier = FakeCarrier()
    carrier.create(Consignment(PARCEL, "A-1", None))
    store = paid(status=Status.COMPENSATING, charge=ChargeStatus.PENDING)
    assert void("A-1", EPOCH, ports(store, carrier)).outcome == "VOIDED"
    assert not on_its_way(carrier)


@pytest.mark.parametrize("charge", [None, ChargeStatus.DECLINED])
def test_an_order_that_was_never_paid_has_no_shipment_to_void(charge: ChargeStatus | None) -> None:
    store, carrier = paid(status=Status.COMPENSATING, charge=charge), FakeCarrier()
    assert void("A-1", EPOCH, ports(store, carrier)) == Outcome("NOTHING_TO_VOID", None)
    assert (carrier.calls, store.writes) == ([], 0)


def test_a_repeated_compensation_voids_once() -> None:
    carrier = FakeCarrier()
    store = shipped(carrier, status=Status.COMPENSATING)
    outcomes = [void("A-1", EPOCH, ports(store, carrier)).outcome for _ in range(2)]
    assert outcomes == ["VOIDED", "NOTHING_TO_VOID"]
    assert (carrier.calls, store.happened) == (["void"], ["SHIPMENT_VOIDED"])


def test_an_unconfirmed_void_is_retried() -> None:
    class Away(FakeCarrier):
        def void(self, shipment_id: str) -> Shipment:
            raise CarrierError("no answer")

    carrier = Away()
    store = shipped(carrier, status=Status.COMPENSATING)
    with pytest.raises(CarrierError):
        void("A-1", EPOCH, ports(store, carrier))
    assert store.only.shipment == "CREATED"


@pytest.mark.parametrize("status", sorted(frozenset(Status) - {Status.COMPENSATING}))
def test_only_the_shipment_of_an_order_in_compensation_is_voided(status: Status) -> None:
    carrier = FakeCarrier()
    store = shipped(carrier, status=status, cancel_requested=True)
    with pytest.raises(LeaseLost):
        void("A-1", EPOCH, ports(store, carrier))
    assert on_its_way(carrier)


def test_a_run_without_the_lease_voids_nothing() -> None:
    carrier = FakeCarrier()
    store = shipped(carrier, status=Status.COMPENSATING, epoch=NEXT)
    with pytest.raises(LeaseLost):
        void("A-1", EPOCH, ports(store, carrier))
    assert on_its_way(carrier)


def test_a_run_superseded_during_its_void_writes_nothing() -> None:
    carrier = FakeCarrier()
    store = shipped(carrier, status=Status.COMPENSATING)
    store.before_next_write(lambda: store.touch(epoch=NEXT))
    with pytest.raises(LeaseLost):
        void("A-1", EPOCH, ports(store, carrier))
    assert (store.only.shipment, store.shipments[PARCEL].status) == ("CREATED", "CREATED")


@pytest.mark.parametrize("step", [ship, void])
def test_an_unknown_order_is_not_shipped(step: Any) -> None:
    carrier = FakeCarrier()
    with pytest.raises(OrderNotFound):
        step("A-1", EPOCH, ports(FakeShipments(), carrier))
    assert carrier.calls == []
