"""Shipments."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kernel.order_status import ShipmentStatus


class Shipment(NamedTuple):
    """What the carrier has on a shipment."""

    shipment_id: str
    status: ShipmentStatus
    tracking_number: str


class Consignment(NamedTuple):
    """What is asked of the carrier; ``shipment_id`` is its idempotency key."""

    shipment_id: str
    order_id: str
    address: Mapping[str, Any] | None
