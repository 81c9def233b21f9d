"""How an order is shown over HTTP: amounts as JSON numbers, no payment token."""

from typing import Any

from kernel.clock import timestamp
from kernel.money import from_minor
from kernel.order_record import OrderRecord

_PLAIN = (
    "order_id",
    "customer_id",
    "status",
    "currency",
    "shipping_address",
    "email",
    "cancel_requested",
    "tracking_number",
)


def order_view(record: OrderRecord) -> dict[str, Any]:
    """Return the JSON object of an order."""
    shown: dict[str, Any] = {name: getattr(record, name) for name in _PLAIN}
    shown |= {
        "total": from_minor(record.total),
        "items": [
            {
                "sku": line.sku,
                "quantity": line.quantity,
                "unit_price": from_minor(line.unit_price),
            }
            for line in record.items
        ],
        "placed_at": record.placed_at,
        "updated_at": timestamp(record.updated_at),
    }
    if record.failure:
        shown["failure"] = {"reason": record.failure, "message": record.failure_message}
    return shown
