"""Flatten an event into a row of the table ``order_events_raw``, without personal data.

Names, addresses, e-mail addresses, payment tokens and customers' own reasons are left out. Absent
values are left out as well. The columns are in `analytics.columns`. Times are in UTC, in a format
of Firehose's OpenX JSON SerDe (Amazon Data Firehose, "Convert input data format").

On AWS the bus policy refuses a fact of any sender but the platform. On one machine the bus marks
such an event with ``"origin": "external"`` in its envelope (`infra.local.engine.put_events`),
outside the detail that its sender wrote.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from analytics.columns import EXTERNAL, PLATFORM, REQUEST
from kernel.events import (
    REQUESTS,
    Detail,
    HighValueOrderFlagged,
    Metadata,
    OrderBackordered,
    OrderCancellationRefused,
    OrderCreated,
    OrderDetail,
    OrderFailed,
    OrderRejected,
    PaymentRefunded,
    parse,
)
from kernel.money import text
from kernel.timestamps import moment

_MAX_REPLAY_NAME = 64
"""Characters of a replay's name (EventBridge, StartReplay)."""


def flatten(envelope: Mapping[str, Any], arrived_at: float) -> dict[str, Any]:
    """Return the row of an event in its EventBridge envelope; ``arrived_at`` in epoch seconds.

    Raises
    ------
    InvalidEvent
        The event breaks its contract, or the contract is unknown.
    """
    event = parse(envelope)
    detail = event.detail
    metadata = detail.metadata or Metadata()
    row = {
        "event_id": event.event_id,
        "event_type": event.name,
        "event_time": _time(moment(detail.timestamp)),
        "order_id": detail.order_id,
        **_money(detail),
        **_order(detail),
        "reason": _reason(detail),
        "correlation_id": event.correlation_id,
        "causation_id": metadata.causation_id,
        "schema_version": metadata.schema_version or detail.version,
        "origin": _origin(event.name, envelope),
        "replay_name": envelope.get("replay-name") or _replay_of_a_file(envelope["detail"]),
        "arrived_at": _time(datetime.fromtimestamp(arrived_at, UTC)),
    }
    return {name: value for name, value in row.items() if value is not None}


def _money(detail: Detail) -> dict[str, Any]:
    if isinstance(detail, PaymentRefunded):
        money = {"amount": text(detail.amount)}
    elif isinstance(detail, OrderDetail | HighValueOrderFlagged):
        money = {"total": text(detail.total)}
    else:
        return {}
    return {"customer_id": detail.customer_id, "currency": detail.currency, **money}


def _order(detail: Detail) -> dict[str, Any]:
    if not isinstance(detail, OrderDetail):
        return {}
    order: dict[str, Any] = {
        "units": sum(item.quantity for item in detail.items),
        "line_count": len(detail.items),
        "lines": [
            {"sku": item.sku, "quantity": item.quantity, "unit_price": text(item.unit_price)}
            for item in detail.items
        ],
    }
    if isinstance(detail, OrderBackordered):
        order["missing"] = [
            {
                "sku": shortage.sku,
                "requested": _bigint(shortage.requested),
                "available": _bigint(shortage.available),
            }
            for shortage in detail.missing
        ]
    if isinstance(detail, OrderCreated) and detail.shipping_address:
        order["ship_country"] = detail.shipping_address.country
    return order


def _reason(detail: Detail) -> str | None:
    """Return the platform's own reason; a customer's is free text that may name people."""
    if isinstance(detail, OrderFailed | OrderCancellationRefused | OrderRejected | PaymentRefunded):
        return detail.reason
    return None


def _bigint(number: int) -> int:
    """Return a number within the bounds of bigint: only another sender's fact has larger ones."""
    return max(-(2**63), min(number, 2**63 - 1))


def _origin(name: str, envelope: Mapping[str, Any]) -> str:
    if name in REQUESTS:
        return REQUEST
    return EXTERNAL if envelope.get("origin") == EXTERNAL else PLATFORM


def _replay_of_a_file(detail: Mapping[str, Any]) -> str | None:
    """Return the name that the sender of a file gave its replay, in the event's metadata."""
    metadata = detail.get("metadata")
    name = metadata.get("replay_name") if isinstance(metadata, dict) else None
    return name[:_MAX_REPLAY_NAME] if isinstance(name, str) and name else None


def _time(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
