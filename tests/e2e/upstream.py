"""The events of an upstream system, generated orders of every kind, and their expected ends."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from infra.cli.generator import Generated
from tests.e2e.audit import Sent

ENDS = {
    "completed": "COMPLETED",
    "high value": "COMPLETED",
    "gateway trouble": "COMPLETED",
    "duplicate": "COMPLETED",
    "declined": "FAILED",
    "out of stock": "FAILED",
    "carrier refuses": "FAILED",
    "cancelled": "CANCELLED",
}
"""The last status of each kind of order; a rejected order has none."""

Entry = dict[str, str]


def to_entries(generated: Generated) -> Iterator[Entry]:
    """Yield the entries of PutEvents, also of events that violate the contract."""
    for _, event in generated.events:
        yield {
            "EventBusName": "orders-bus",
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
        }


def stock_file(generated: Generated, folder: Path) -> Path:
    """Write a stock file with the units of the orders."""
    path = folder / "stock.csv"
    units = generated.receipt.units.items()
    path.write_text("sku,on_hand\n" + "".join(f"{sku},{number}\n" for sku, number in units))
    return path


def sent(generated: Generated, acknowledged: Collection[str] = (), *, invalid: bool = True) -> Sent:
    """Return the expectations; ``invalid`` if the invalid events reached the bus too."""
    details: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for kind, event in generated.events:
        order_id = event["detail"]["order_id"]
        kinds[order_id] = kind
        if kind != "rejected" and event["detail-type"] == "Order Created":
            details[order_id] = event["detail"]
    return Sent(
        details,
        {order_id: ENDS[kinds[order_id]] for order_id in details},
        {order_id for order_id in kinds.keys() - details.keys() if invalid},
        generated.receipt.units,
        acknowledged,
    )
