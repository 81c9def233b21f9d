"""What an upstream system sends, generated orders of every kind, and what has to come of them."""

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
"""How an order of a kind ends; one that is rejected never begins."""

Entry = dict[str, str]


def to_entries(generated: Generated) -> Iterator[Entry]:
    """Return the events as PutEvents takes them, those that break the contract too."""
    for _, event in generated.events:
        yield {
            "EventBusName": "orders-bus",
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps(event["detail"]),
        }


def stock_file(generated: Generated, folder: Path) -> Path:
    """Write the stock that the orders need."""
    path = folder / "stock.csv"
    units = generated.receipt.units.items()
    path.write_text("sku,on_hand\n" + "".join(f"{sku},{number}\n" for sku, number in units))
    return path


def sent(generated: Generated, acknowledged: Collection[str] = (), *, invalid: bool = True) -> Sent:
    """Return what has to come of these events; ``invalid`` if those that are reached the bus."""
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
