"""Shipments in DynamoDB, as attributes of their orders' items; the sandbox carrier.

The record has the shipment's id, status and tracking number. ``sid``, ``sst`` and ``strk`` are
stored only if the shipment's own differ. ``supd`` is the time of the last write.
"""

from kernel.errors import CarrierError
from kernel.order_record import Change, OrderRecord
from kernel.order_status import ShipmentStatus
from shipping.carrier import failures, tracked
from shipping.model import Consignment, Shipment
from storage.dynamodb.order_item import ATTRIBUTES, compact_id, expand_id
from storage.dynamodb.records import DynamoRecords, put_if_different, require_value
from storage.dynamodb.table import Item, Table, Update


class DynamoShipments(DynamoRecords):
    """The shipments (see `shipping.usecases.ShipmentStore`)."""

    def put(self, change: Change, shipment: Shipment) -> OrderRecord:
        """Write a change and its shipment in one write."""
        return self.write(change, lambda update: _put(update, change.after, shipment))


def shipment_of(item: Item) -> dict[str, object] | None:
    """Return the shipment in an order's item: id, status, tracking number, time of the write."""
    if "supd" not in item:
        return None
    return {
        "shipment_id": expand_id(item.get("sid") or item[ATTRIBUTES["shipment_id"]]),
        "status": item.get("sst") or item[ATTRIBUTES["shipment"]],
        "tracking_number": item.get("strk") or item[ATTRIBUTES["tracking_number"]],
        "updated_at": float(item["supd"]),
    }


def put_shipment(update: Update, record: OrderRecord, shipment: Shipment, at: float) -> None:
    """Add a shipment to the update of its order."""
    update.put(supd=at)
    known = record.shipment_id and compact_id(record.shipment_id)
    put_if_different(update, "sid", compact_id(shipment.shipment_id), known)
    put_if_different(update, "sst", shipment.status, record.shipment)
    put_if_different(update, "strk", shipment.tracking_number, record.tracking_number)


def _put(update: Update, after: OrderRecord, shipment: Shipment) -> None:
    require_value(update, compact_id(shipment.shipment_id), "sid", ATTRIBUTES["shipment_id"])
    put_shipment(update, after, shipment, after.updated_at)


class DynamoCarrier:
    """The sandbox carrier (see `shipping.carrier`), with its own record in a table of its own."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def create(self, consignment: Consignment) -> Shipment:
        """Accept a shipment once; return a known one unchanged."""
        shipment_id = consignment.shipment_id
        times = failures(consignment)
        if times and self._count(shipment_id, "failures") <= times:
            raise CarrierError(f"the carrier did not take order {consignment.order_id}")
        update = Update(_key(shipment_id), "shipment")
        status = update.name("status")
        update.set(status, f"if_not_exists({status}, {update.value(ShipmentStatus.CREATED)})")
        return tracked(shipment_id, ShipmentStatus(self.table.change(update)["status"]))

    def void(self, shipment_id: str) -> Shipment:
        """Void a shipment; an unknown one is marked so that a later `create` is refused."""
        update = Update(_key(shipment_id), "shipment")
        update.put(status=ShipmentStatus.VOIDED)
        return tracked(shipment_id, ShipmentStatus(self.table.change(update)["status"]))

    def _count(self, shipment_id: str, counter: str) -> int:
        update = Update(_key(shipment_id), counter)
        update.add("number", 1)
        return int(self.table.change(update)["number"])


def _key(shipment_id: str) -> str:
    return f"shipment#{shipment_id}"
