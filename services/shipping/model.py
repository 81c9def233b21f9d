"""Shipments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from shared.record import ShipmentStatus

_SHIPMENTS = UUID("0b1a3f64-9a0d-52f1-9a44-8f1d5c5d0b77")


@dataclass(frozen=True, slots=True)
class Shipment:
    """What the carrier has on a shipment."""

    shipment_id: str
    status: ShipmentStatus
    tracking_number: str


@dataclass(frozen=True, slots=True)
class Consignment:
    """What is asked of the carrier; ``shipment_id`` is its idempotency key."""

    shipment_id: str
    order_id: str
    address: Mapping[str, Any] | None


def shipment_id(order_id: str) -> str:
    """Return the id of an order's only shipment: the same whenever it is asked for."""
    return str(uuid5(_SHIPMENTS, f"{order_id}|shipment"))
