"""Create an order's shipment once, and void it when the order is compensated."""

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
    """A carrier; every call may raise `CarrierError`."""

    def create(self, consignment: Consignment) -> Shipment:
        """Create a shipment once; a repeated call for the same id updates its address.

        A voided shipment stays voided and is returned as VOIDED.
        """

    def void(self, shipment_id: str) -> Shipment:
        """Void a shipment, or prevent a later one under this id."""


class ShipmentStore(Records, Protocol):
    """Records, and their shipments."""

    def put(self, change: Change, shipment: Shipment) -> OrderRecord:
        """Write a change and its shipment in one transaction, or raise `VersionConflict`."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the use cases."""

    store: ShipmentStore
    carrier: Carrier
    now: Callable[[], float]


class Outcome(NamedTuple):
    """Result of a step."""

    outcome: str
    tracking_number: str | None


def ship(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Create the shipment of a paid order, once.

    Raises
    ------
    OrderCancelled
        The cancellation was requested before the shipment was written; the carrier's is voided.
    OrderIncomplete
        The order is not paid.
    CarrierError
        The carrier did not create the shipment; retry.
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
        record = ports.store.read(order_id)  # the run that voided it has written since
    step = partial(_record, epoch, consignment, shipment, ports)
    return retry_on_conflict_from(record, step, ports.store)


def void(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Void a compensated order's shipment, even one not in the record.

    A late invocation of `ship` may still create it.
    """
    record = require_compensating(ports.store.read(order_id), epoch)
    # an order goes to the carrier only after it was, or may have been, paid
    unpaid = record.charge in (None, ChargeStatus.DECLINED)
    if (unpaid and record.shipment is None) or record.shipment is ShipmentStatus.VOIDED:
        return Outcome("NOTHING_TO_VOID", None)
    shipment = ports.carrier.void(shipment_id(order_id))
    return _void(order_id, epoch, shipment, ports)


def _record(
    epoch: int, consignment: Consignment, shipment: Shipment, ports: Ports, record: OrderRecord
) -> Outcome:
    """Write the shipment on the condition that the order was not cancelled meanwhile."""
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
        raise CarrierError(f"the carrier has voided the shipment of order {consignment.order_id}")
    if record.shipment is ShipmentStatus.CREATED:
        return Outcome("CREATED", record.tracking_number)  # another invocation was faster
    if record.shipping_address != consignment.address:
        # changed after the first call: the record's address is final
        ports.carrier.create(consignment._replace(address=record.shipping_address))
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
    is_created = record.shipment is ShipmentStatus.CREATED
    entries = (Entry("SHIPMENT_VOIDED", ports.now()),) if is_created else ()
    change = record.change(
        *entries, shipment=ShipmentStatus.VOIDED, shipment_id=shipment.shipment_id
    )
    ports.store.put(change, shipment)
    return Outcome("VOIDED", None)
