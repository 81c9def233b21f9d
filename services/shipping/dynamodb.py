"""Shipments in DynamoDB: attributes of their orders' items; and the sandbox carrier.

The record itself says the shipment's id, status and tracking number; only what a shipment says
otherwise stands beside it (``sid``, ``sst``, ``strk``), and ``supd``, when it was last written.
"""

from kernel.errors import CarrierError
from kernel.order_record import Change, OrderRecord
from kernel.order_status import ShipmentStatus
from shipping.carrier import failures, tracked
from shipping.model import Consignment, Shipment
from storage.dynamodb.order_item import ATTRIBUTES, packed, unpacked
from storage.dynamodb.records import DynamoRecords, if_of, put_beside
from storage.dynamodb.table import Item, Table, Update


class DynamoShipments(DynamoRecords):
    """The shipments (see `shipping.usecases.ShipmentStore`)."""

    def put(self, change: Change, shipment: Shipment) -> OrderRecord:
        """Write a change and its shipment in one write."""
        return self.write(change, lambda update: _put(update, change.after, shipment))


def shipment_of(item: Item) -> dict[str, object] | None:
    """Return the shipment in an order's item: id, status, tracking number, when it was written."""
    if "supd" not in item:
        return None
    return {
        "shipment_id": unpacked(item.get("sid") or item[ATTRIBUTES["shipment_id"]]),
        "status": item.get("sst") or item[ATTRIBUTES["shipment"]],
        "tracking_number": item.get("strk") or item[ATTRIBUTES["tracking_number"]],
        "updated_at": float(item["supd"]),
    }


def put_shipment(update: Update, record: OrderRecord, shipment: Shipment, at: float) -> None:
    """Put a shipment beside the record that it belongs to."""
    update.put(supd=at)
    known = record.shipment_id and packed(record.shipment_id)
    put_beside(update, "sid", packed(shipment.shipment_id), known)
    put_beside(update, "sst", shipment.status, record.shipment)
    put_beside(update, "strk", shipment.tracking_number, record.tracking_number)


def _put(update: Update, after: OrderRecord, shipment: Shipment) -> None:
    if_of(update, packed(shipment.shipment_id), "sid", ATTRIBUTES["shipment_id"])
    put_shipment(update, after, shipment, after.updated_at)


class DynamoCarrier:
    """The sandbox carrier (see `shipping.carrier`) with its own record in a table of its own."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def create(self, consignment: Consignment) -> Shipment:
        """Take a shipment once; one known already is answered as it is."""
        shipment_id = consignment.shipment_id
        times = failures(consignment)
        if times and self._count(shipment_id, "failures") <= times:
            raise CarrierError(f"the carrier did not take order {consignment.order_id}")
        update = Update(_key(shipment_id), "shipment")
        status = update.name("status")
        update.set(status, f"if_not_exists({status}, {update.value(ShipmentStatus.CREATED)})")
        return tracked(shipment_id, ShipmentStatus(self.table.change(update)["status"]))

    def void(self, shipment_id: str) -> Shipment:
        """Void a shipment, or leave a mark that refuses a later one."""
        update = Update(_key(shipment_id), "shipment")
        update.put(status=ShipmentStatus.VOIDED)
        return tracked(shipment_id, ShipmentStatus(self.table.change(update)["status"]))

    def _count(self, shipment_id: str, what: str) -> int:
        update = Update(_key(shipment_id), what)
        update.add("number", 1)
        return int(self.table.change(update)["number"])


def _key(shipment_id: str) -> str:
    return f"shipment#{shipment_id}"
