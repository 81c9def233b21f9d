"""Orders for the pages of a server, put on its bus."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.fakes.serving import Served

LINE = {"sku": "TEA-GREEN-100", "quantity": 1, "unit_price": 12.5}
ORDER = {"customer_id": "C-1", "currency": "USD", "items": [LINE], "total": 12.5}


def put(served: Served, order_id: str, **changes: Any) -> None:
    """Put an order on the bus; ``changes`` replace fields of it."""
    send(served, "Order Created", {**ORDER, "order_id": order_id, **changes})


def send(served: Served, kind: str, detail: Mapping[str, Any]) -> None:
    """Put a request about an order on the bus, as of now."""
    whole = {**detail, "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    entry = {"EventBusName": "orders-bus", "Source": "orders.service", "DetailType": kind}
    answer = served.client("events").put_events(Entries=[{**entry, "Detail": json.dumps(whole)}])
    assert answer["FailedEntryCount"] == 0
