"""Events as an upstream system sends them."""

import json
from copy import deepcopy
from typing import Any

from kernel.events import Event, OrderCreated, parse, parse_detail

DETAIL: dict[str, Any] = {
    "order_id": "A-1",
    "customer_id": "C-42",
    "currency": "EUR",
    "total": 37,
    "items": [
        {"sku": "TEA", "quantity": 2, "unit_price": 12.5},
        {"sku": "CUP", "quantity": 1, "unit_price": 12},
    ],
    "timestamp": "2026-01-31T12:00:00Z",
}
"""The mandatory fields of an `Order Created` event."""

ADDRESS = {"name": "Ada", "street": "1 Loop Lane", "city": "Bath", "country": "UK"}

REQUESTS = {
    "Order Created": DETAIL,
    "Order Updated": {
        "order_id": "A-1",
        "timestamp": "2026-01-31T13:00:00Z",
        "email": "ada@example.com",
    },
    "Order Cancelled": {"order_id": "A-1", "timestamp": "2026-01-31T13:00:00Z"},
}


def detail(name: str = "Order Created", **fields: Any) -> dict[str, Any]:
    """Return the detail of a request with these fields changed; `...` removes a field."""
    changed = deepcopy(REQUESTS[name]) | fields
    return {key: value for key, value in changed.items() if value is not ...}


def envelope(name: str = "Order Created", **fields: Any) -> dict[str, Any]:
    """Return the EventBridge envelope of a request."""
    return {"source": "orders.service", "detail-type": name, "detail": detail(name, **fields)}


def created(**fields: Any) -> Event[OrderCreated]:
    """Return an `Order Created` event."""
    return parse_detail(OrderCreated, detail(**fields))


def with_total(written: str) -> dict[str, Any]:
    """Return an `Order Created` envelope whose only line has this price as JSON text."""
    line = {"sku": "TEA", "quantity": 1, "unit_price": "TOTAL"}
    text = json.dumps(envelope(items=[line], total="TOTAL"))
    read: dict[str, Any] = json.loads(text.replace('"TOTAL"', written))
    return read


def read(entry: Any) -> Event[Any]:
    """Return the event in a PutEvents entry, as consumers parse it."""
    return parse(
        {
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "detail": json.loads(entry["Detail"]),
        }
    )
