"""Flatten an event into a row of the table ``order_events_raw``, without personal data.

Names, addresses, e-mail addresses, payment tokens and customers' own reasons are left out. Absent
values are left out as well.

A column has one of the types that Firehose's OpenX JSON SerDe has a reader for: string, int,
timestamp, and arrays of these (Hive-JSON-Serde, `JsonObjectInspectorFactory`). It has none for
decimal and would use Hive's, without the column's precision. Amounts are therefore text in the
rows, and the view ``order_events`` casts them. Times have a format of that SerDe (Amazon Data
Firehose, "Convert input data format").
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kernel.events import (
    Detail,
    HighValueOrderFlagged,
    Metadata,
    OrderBackordered,
    OrderCancellationRefused,
    OrderCreated,
    OrderDetail,
    OrderFailed,
    PaymentRefunded,
    parse,
)
from kernel.money import text
from kernel.timestamps import moment

COLUMNS: Mapping[str, str] = {
    "event_id": "string",
    "event_type": "string",
    "event_time": "timestamp",
    "order_id": "string",
    "customer_id": "string",
    "currency": "string",
    "total": "string",
    "amount": "string",
    "units": "int",
    "line_count": "int",
    "lines": "array<string>",
    "missing": "array<string>",
    "ship_country": "string",
    "reason": "string",
    "correlation_id": "string",
    "causation_id": "string",
    "schema_version": "string",
    "replay_name": "string",
    "arrived_at": "timestamp",
}
"""Every column with its Glue type; the table in ``template.yaml`` has the same.

An entry of ``lines`` is ``sku|quantity|unit_price``, one of ``missing`` is
``sku|requested|available``. ``amount`` is the refunded amount, ``arrived_at`` the time at which
Firehose accepted this delivery. Times are in UTC.
"""

VIEW_COLUMNS: Mapping[str, str] = {
    **COLUMNS,
    "total": "decimal(18,2)",
    "amount": "decimal(18,2)",
    "dt": "string",
}
"""Every column of the view ``order_events`` with its Glue type."""

PARTITION = "dt"
"""The partition key: the day of arrival in UTC as text, such as ``2026-01-31``."""


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
        "replay_name": envelope.get("replay-name"),
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
        "lines": [f"{item.sku}|{item.quantity}|{text(item.unit_price)}" for item in detail.items],
    }
    if isinstance(detail, OrderBackordered):
        order["missing"] = [
            f"{shortage.sku}|{shortage.requested}|{shortage.available}"
            for shortage in detail.missing
        ]
    if isinstance(detail, OrderCreated) and detail.shipping_address:
        order["ship_country"] = detail.shipping_address.country
    return order


def _reason(detail: Detail) -> str | None:
    """Return the platform's own reason; a customer's is free text that may name people."""
    if isinstance(detail, OrderFailed | OrderCancellationRefused | PaymentRefunded):
        return detail.reason
    return None


def _time(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
