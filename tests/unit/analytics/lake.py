"""Events as the bus delivers them, and the Parquet files that Firehose writes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from analytics.columns import COLUMNS
from analytics.flatten import flatten
from analytics.warehouse import TABLE, file_type

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

Event = dict[str, Any]


def envelope(name: str, detail: Mapping[str, Any], **more: Any) -> Event:
    """Return an event as EventBridge delivers it."""
    return {
        "version": "0",
        "id": "0d9cd3f6-0000-0000-0000-000000000000",
        "detail-type": name,
        "source": "orders.service",
        "account": "000000000000",
        "time": "2026-01-31T12:00:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": dict(detail),
        **more,
    }


def order(order_id: str = "A-1", *lines: tuple[str, int, float], **more: Any) -> dict[str, Any]:
    """Return the detail of an event about a whole order, of two green teas by default."""
    lines = lines or (("TEA-GREEN", 2, 12.5),)
    return {
        "order_id": order_id,
        "customer_id": "C-42",
        "currency": "USD",
        "total": sum(round(quantity * price * 100) for _, quantity, price in lines) / 100,
        "items": [
            {"sku": sku, "quantity": quantity, "unit_price": price}
            for sku, quantity, price in lines
        ],
        "timestamp": "2026-01-31T12:00:00Z",
        **more,
    }


def completed(order_id: str = "A-1", *lines: tuple[str, int, float], **more: Any) -> Event:
    """Return an Order Completed."""
    shipped = {"charge_id": "ch", "shipment_id": "sh", "tracking_number": "SBX1"}
    return envelope("Order Completed", order(order_id, *lines, **shipped, **more))


def deliver(
    bucket: Path, *events: Event, at: datetime = NOON, columns: Iterable[str] = COLUMNS
) -> Path:
    """Write a file of rows into the partition of their day of arrival and return its path."""
    partition = bucket / TABLE / f"dt={at:%Y-%m-%d}"
    partition.mkdir(parents=True, exist_ok=True)
    path = partition / f"{len(list(partition.iterdir())):04d}.parquet"
    names = list(columns)
    rows = [flatten(event, at.timestamp()) for event in events]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        types = ", ".join(f"{name} {file_type(COLUMNS[name])}" for name in names)
        connection.execute(f"create table rows ({types})")
        marks = ", ".join("?" * len(names))
        connection.executemany(
            f"insert into rows values ({marks})",
            [[row.get(name) for name in names] for row in rows],
        )
        connection.execute(f"copy rows to '{path}' (format parquet)")
    return path
