"""Shipments and the requests for them."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from kernel.order_record import ShipmentStatus

_SHIPMENTS = UUID("0b1a3f64-9a0d-52f1-9a44-8f1d5c5d0b77")


class Shipment(NamedTuple):
    """The carrier's record of a shipment."""

    shipment_id: str
    status: ShipmentStatus
    tracking_number: str


class Consignment(NamedTuple):
    """A request to the carrier; ``shipment_id`` is its idempotency key."""

    shipment_id: str
    order_id: str
    address: Mapping[str, Any] | None


def shipment_id(order_id: str) -> str:
    """Return the id of an order's only shipment; it follows from the order id."""
    return str(uuid5(_SHIPMENTS, f"{order_id}|shipment"))
