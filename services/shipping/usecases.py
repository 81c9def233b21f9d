"""Create an order's shipment once, and void it when the order is undone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from kernel.errors import CarrierError, LeaseLost, OrderCancelled, OrderIncomplete
from kernel.idempotency import shipment_id
from kernel.lease import require_active, require_compensating
from kernel.order_record import (
    Change,
    Entry,
    OrderRecord,
    Records,
    retry_on_conflict,
    retry_on_conflict_from,
)
from kernel.order_status import UNDOING, ChargeStatus, ShipmentStatus
from shipping.model import Consignment, Shipment


class Carrier(Protocol):
    """Who carries the parcels; every call may raise `CarrierError`."""

    def create(self, consignment: Consignment) -> Shipment:
        """Take a shipment once; one known to the carrier goes to the address given last.

        One that was voided stays so, and is answered as voided.
        """

    def void(self, shipment_id: str) -> Shipment:
        """Make sure that nothing is or will be shipped under this id."""


class ShipmentStore(Records, Protocol):
    """Records together with their shipments."""

    def put(self, change: Change, shipment: Shipment) -> OrderRecord:
        """Write a change and its shipment in one transaction, or raise `VersionConflict`."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the use cases need."""

    store: ShipmentStore
    carrier: Carrier
    now: Callable[[], float]


class Outcome(NamedTuple):
    """How a step ended."""

    outcome: str
    tracking_number: str | None


def ship(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Hand a paid order to the carrier, once.

    Raises
    ------
    OrderCancelled
        Asked for before the shipment stood; the carrier's is voided again.
    OrderIncomplete
        The order is not paid.
    CarrierError
        The carrier did not take it; ask again.
    LeaseLost
        A newer run holds the order.
    """
    record = require_active(ports.store.read(order_id), epoch)
    if record.shipment is ShipmentStatus.CREATED:
        return Outcome("CREATED", record.tracking_number)
    if record.charge is not ChargeStatus.CHARGED:
        raise OrderIncomplete(f"order {order_id} is not paid: its charge is {record.charge}")
    consignment = Consignment(shipment_id(order_id), order_id, record.shipping_address)
    shipment = ports.carrier.create(consignment)
    if shipment.status is ShipmentStatus.VOIDED:
        record = ports.store.read(order_id)  # whoever had it voided has written since
    step = partial(_record, epoch, consignment, shipment, ports)
    return retry_on_conflict_from(record, step, ports.store)


def call_back(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Void a compensated order's shipment, known here or not: a late twin may yet create it."""
    record = require_compensating(ports.store.read(order_id), epoch)
    # only an order that was, or may have been, paid was ever on its way to the carrier
    unpaid = record.charge in (None, ChargeStatus.DECLINED)
    if (unpaid and record.shipment is None) or record.shipment is ShipmentStatus.VOIDED:
        return Outcome("NOTHING_TO_VOID", None)
    shipment = ports.carrier.void(shipment_id(order_id))
    return _void(order_id, epoch, shipment, ports)


def _record(
    epoch: int, asked: Consignment, shipment: Shipment, ports: Ports, record: OrderRecord
) -> Outcome:
    """Write the shipment in the same write that sees that nobody cancelled."""
    try:
        require_active(record, epoch)
    except OrderCancelled:
        ports.carrier.void(shipment.shipment_id)
        raise
    except LeaseLost:
        if record.status in UNDOING:
            ports.carrier.void(shipment.shipment_id)
        raise
    if shipment.status is ShipmentStatus.VOIDED:
        raise CarrierError(f"the carrier has the shipment of order {asked.order_id} as voided")
    if record.shipment is ShipmentStatus.CREATED:
        return Outcome("CREATED", record.tracking_number)  # a twin of this very run was quicker
    if record.shipping_address != asked.address:
        # changed since the carrier was asked: the parcel goes where the record says
        ports.carrier.create(asked._replace(address=record.shipping_address))
    change = record.change(
        Entry("SHIPMENT_CREATED", ports.now(), {"tracking_number": shipment.tracking_number}),
        shipment=ShipmentStatus.CREATED,
        shipment_id=shipment.shipment_id,
        tracking_number=shipment.tracking_number,
    )
    ports.store.put(change, shipment)
    return Outcome("CREATED", shipment.tracking_number)


@retry_on_conflict
def _void(order_id: str, epoch: int, shipment: Shipment, ports: Ports) -> Outcome:
    record = require_compensating(ports.store.read(order_id), epoch)
    known = record.shipment is ShipmentStatus.CREATED
    entries = (Entry("SHIPMENT_VOIDED", ports.now()),) if known else ()
    change = record.change(
        *entries, shipment=ShipmentStatus.VOIDED, shipment_id=shipment.shipment_id
    )
    ports.store.put(change, shipment)
    return Outcome("VOIDED", None)
