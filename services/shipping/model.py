"""Shipments and the requests for them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kernel.order_status import ShipmentStatus


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
