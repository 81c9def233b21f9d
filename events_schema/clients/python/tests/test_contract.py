"""Copy this file into your repository: it checks that your events keep Orderflow's contract.

Replace `events` by the code that makes your events. It needs no network and no AWS account.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from orderflow_client import InvalidEvent, OrderPublisher, problems_of

ORDER: dict[str, Any] = {
    "order_id": "A-1001",
    "customer_id": "C-42",
    "currency": "USD",
    "items": [{"sku": "TEA-GREEN-100", "quantity": 2, "unit_price": 12.5}],
    "total": 25.0,
    "timestamp": "2026-01-31T09:15:00Z",
}


def events() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one event of each kind that your code sends."""
    yield "Order Created", ORDER
    change = {"order_id": "A-1001", "timestamp": "2026-01-31T09:16:00Z"}
    yield "Order Updated", {**change, "email": "ada@example.com"}
    yield "Order Cancelled", {**change, "reason": "ordered twice"}


class Bus:
    """A bus that takes every event and remembers it."""

    def __init__(self) -> None:
        self.entries: list[Mapping[str, str]] = []

    def put_events(self, *, Entries: Sequence[Mapping[str, str]]) -> Mapping[str, Any]:  # noqa: N803
        self.entries += Entries
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"} for _ in Entries]}


@pytest.mark.parametrize(
    ("detail_type", "detail"), list(events()), ids=["placed", "changed", "cancelled"]
)
def test_an_event_keeps_its_contract(detail_type: str, detail: dict[str, Any]) -> None:
    assert problems_of(detail_type, detail) == []


def test_the_events_reach_the_bus_as_they_are() -> None:
    bus = Bus()
    OrderPublisher(client=bus).publish(events())
    sent = [(entry["DetailType"], json.loads(entry["Detail"])) for entry in bus.entries]
    assert sent == list(events())
    assert {entry["Source"] for entry in bus.entries} == {"orders.service"}


def test_a_broken_event_is_refused_before_anything_is_sent() -> None:
    bus = Bus()
    with pytest.raises(InvalidEvent) as refused:
        OrderPublisher(client=bus).place({**ORDER, "total": 24.0})
    assert refused.value.field == "detail.total"
    assert bus.entries == []
