"""The JSON object of an order in HTTP answers: amounts are numbers, without the payment token."""

from typing import Any

from kernel.clock import timestamp
from kernel.money import from_minor
from kernel.order_record import OrderRecord

_UNCHANGED = (
    "order_id",
    "customer_id",
    "status",
    "currency",
    "shipping_address",
    "email",
    "cancel_requested",
    "tracking_number",
)


def order_json(record: OrderRecord) -> dict[str, Any]:
    """Return the JSON object of an order."""
    answer: dict[str, Any] = {name: getattr(record, name) for name in _UNCHANGED}
    answer |= {
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
        answer["failure"] = {"reason": record.failure, "message": record.failure_message}
    return answer
