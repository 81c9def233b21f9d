"""Examples of `Order Rejected`: events that the platform refuses, and the facts that tell it."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from infra.contracts.examples import JSON, TOMAS, Example, Order
from kernel.errors import (
    ChangeRefused,
    InvalidEvent,
    OrderConflict,
    OrderflowError,
    OrderNotFound,
)
from kernel.events import parse
from kernel.idempotency import uuid_of
from orders.early_requests import NOT_ARRIVED
from orders.rejections import rejection

DELAY = 0.4
"""Seconds from a refused event to its fact."""


def rejections(first: Order, shipped: Order) -> list[Example]:
    """Return the examples; ``first`` is an order that exists, ``shipped`` one that is shipped."""
    invalid = Order("A-1015", "C-71", "2026-01-31T17:00:00Z", {"MUG-BLUE-01": 2}, "GBP", {}, 5513)
    wrong = _changed(invalid.created, items=_without_price(invalid.body), email="lee@example")
    unknown = _changed(invalid.created, order_id="A 1015") | {"detail-type": "Order Placed"}
    other = _changed(first.created, customer_id="C-43")
    update = shipped.request("Order Updated", 5, {"shipping_address": TOMAS})
    conflict = OrderConflict(
        f"order {first.order_id} exists with other content, which is not changed:"
        " send a new order under a new id"
    )
    late = ChangeRefused(f"order {shipped.order_id} is shipped already")
    orphan = _changed(update, order_id="A-1016")
    missing = OrderNotFound(f"order A-1016 {NOT_ARRIVED}")
    return [
        _example("invalid-fields", "Two fields break the contract.", wrong),
        _example("unknown-type", "No contract has this detail type.", unknown),
        _example("other-content", "The order exists and continues.", other, conflict),
        _example("too-late", "The order is shipped.", update, late),
        _example("no-order", "No order came within a day of the request.", orphan, missing),
    ]


def _example(name: str, shows: str, event: JSON, error: OrderflowError | None = None) -> Example:
    """Return the fact that tells of a refused event, as the platform publishes it."""
    if error is None:
        try:
            parse(event)
        except InvalidEvent as invalid:
            error = invalid
    assert error is not None, f"the event of the example {name} is valid"
    envelope = {**event, "id": uuid_of(f"example|{name}")}
    at = datetime.fromisoformat(event["time"]).timestamp() + DELAY
    message = rejection(envelope, error, at)
    assert message is not None
    detail = json.loads(str(message.body["Detail"]))
    fact = {"source": message.body["Source"], "detail-type": message.body["DetailType"]}
    return Example(name, shows, {**fact, "time": event["time"], "detail": detail})


def _changed(event: JSON, **fields: Any) -> JSON:
    return {**event, "detail": {**event["detail"], **fields}}


def _without_price(body: Mapping[str, Any]) -> list[JSON]:
    return [
        {name: value for name, value in item.items() if name != "unit_price"}
        for item in body["items"]
    ]
