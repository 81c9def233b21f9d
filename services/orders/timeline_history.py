"""The events of an order on AWS, from its timeline (see `orders.event_history`).

The timeline has the actions of the order's consumers, so an event's own id is known only where an
entry has it. A refused event that opened no order is told by its EventId alone
(`orders.refused_events`).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kernel.clock import timestamp
from kernel.order_record import Entry
from orders import refused_events
from orders.dynamodb import requests_in
from orders.early_requests import EarlyRequest
from orders.event_history import (
    DUPLICATE,
    PROCESSED,
    PUBLISHED,
    REJECTED,
    WAITING,
    ToldEvent,
)
from storage.dynamodb.order_item import EARLY, from_entry, order_key, to_record
from storage.dynamodb.table import Table


class _Kind(NamedTuple):
    """The event that an entry of the timeline tells of."""

    type: str
    outcome: str
    reason: str | None = None


_ENTRIES: Mapping[str, _Kind] = {
    "RECEIVED": _Kind("Order Created", PROCESSED),
    "DUPLICATE_IGNORED": _Kind("Order Created", DUPLICATE),
    "CONFLICT_IGNORED": _Kind("Order Created", REJECTED, "OrderConflict"),
    "CHANGED": _Kind("Order Updated", PROCESSED),
    "CHANGE_IGNORED": _Kind("Order Updated", REJECTED, "ChangeRefused"),
    "CANCEL_REQUESTED": _Kind("Order Cancelled", PROCESSED),
    "CANCEL_REFUSED": _Kind("Order Cancelled", REJECTED, "CancellationRefused"),
    "REFUNDED": _Kind("Payment Refunded", PUBLISHED),
    "COMPLETED": _Kind("Order Completed", PUBLISHED),
    "FAILED": _Kind("Order Failed", PUBLISHED),
    "CANCELLED": _Kind("Order Cancellation Confirmed", PUBLISHED),
}
"""The events that the entries of a timeline tell of, by the entry's word."""


class TimelineHistory:
    """The events in the timelines of a table (see `orders.event_history.EventHistory`)."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def of_order(self, order_id: str, limit: int) -> list[ToldEvent]:
        """Return the first events of an order, the oldest first."""
        item = self.table.get(*order_key(order_id))
        if item is None:
            return []
        if EARLY in item:
            return [_waiting(request) for request in requests_in(item)][:limit]
        own = to_record(item).event_id
        entries = [from_entry(row)[1] for row in item.get("tl", ())]
        return [_told(order_id, own, entry) for entry in entries if _is_told(entry)][:limit]

    def find(self, event_id: str) -> ToldEvent | None:
        """Return the refused event of an EventId: AWS has no API that reads others of the bus."""
        return refused_events.find(event_id, self.table)


def _waiting(request: EarlyRequest) -> ToldEvent:
    """Return the event of a request that waits for its order."""
    sent = request.detail.get("metadata") or {}
    return ToldEvent(
        type=request.name,
        at=timestamp(request.heard),
        outcome=WAITING,
        event_id=request.bus_event_id,
        metadata_event_id=sent.get("event_id"),
        order_id=request.order_id,
    )


def _is_told(entry: Entry) -> bool:
    short = entry.what == "WAITING" and entry.detail.get("reason") == "OutOfStock"
    return short or entry.what in _ENTRIES


def _told(order_id: str, own: str, entry: Entry) -> ToldEvent:
    kind = _ENTRIES.get(entry.what, _Kind("Order Backordered", PUBLISHED))
    detail: Mapping[str, Any] = entry.detail
    problem = detail.get("reason") if kind.outcome == REJECTED else None
    event_id = own if entry.what == "RECEIVED" else detail.get("event_id")
    return ToldEvent(
        type=kind.type,
        at=timestamp(entry.at),
        outcome=kind.outcome,
        metadata_event_id=None if event_id is None else str(event_id),
        order_id=order_id,
        reason=kind.reason,
        problems=[{"field": "detail.order_id", "problem": str(problem)}] if problem else (),
    )
