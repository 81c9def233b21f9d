"""Metrics of the journal: the counters of functions and engine, and gauges of the waiting work.

A counter is exported as its total since the first export (cumulative temporality), so a repeated
request changes nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from infra.telemetry.checkpoint import Checkpoint
from infra.telemetry.otlp import attributes, nanoseconds
from kernel import json_text
from storage.sqlite.database import Database

CUMULATIVE = 2
"""``AGGREGATION_TEMPORALITY_CUMULATIVE`` (opentelemetry-proto)."""

GAUGES = {
    "orderflow.orders.in_flight": "select '{}', count(*) from orders where in_flight = 1",
    "orderflow.executions.running": (
        "select json_object('state_machine', machine), count(*) from executions"
        " where status = 'RUNNING' group by machine"
    ),
    "orderflow.queue.messages": (
        "select json_object('queue', queue), count(*) from messages group by queue"
    ),
    "orderflow.deliveries.waiting": (
        "select json_object('target', target), count(*) from deliveries group by target"
    ),
}
"""Names with the query of their values by dimensions; each query reads an index."""

_ROWS = "select * from metrics where minute >= ? order by minute"


def advance(database: Database, checkpoint: Checkpoint) -> tuple[Checkpoint, Checkpoint]:
    """Return the totals up to the present, and those of the minutes that are over.

    The last minute in the journal still changes: its values are in the first result only.
    """
    rows = database.rows(_ROWS, checkpoint.minute)
    last = rows[-1]["minute"] if rows else checkpoint.minute
    over = replace(checkpoint, minute=last, totals=dict(checkpoint.totals))
    for row in rows:
        if row["minute"] < last:
            _add(over.totals, row)
    present = replace(over, totals=dict(over.totals))
    for row in rows:
        if row["minute"] == last:
            _add(present.totals, row)
    return present, over


def _add(totals: dict[str, list[float]], row: Any) -> None:
    key = json_text.write([row["name"], row["dimensions"], row["unit"]]).decode()
    count, total, low, high = totals.get(key, [0, 0.0, row["minimum"], row["maximum"]])
    totals[key] = [
        count + row["count"],
        total + row["sum"],
        min(low, row["minimum"]),
        max(high, row["maximum"]),
    ]


def counters(checkpoint: Checkpoint, now: float) -> Iterator[dict[str, Any]]:
    """Yield the totals as OTLP's metrics: a sum of a Count, a histogram of another unit."""
    parsed = [(json_text.parse(key), values) for key, values in checkpoint.totals.items()]
    parsed.sort(key=lambda entry: (entry[0][0], entry[0][2]))
    for (name, unit), entries in groupby(parsed, lambda entry: (entry[0][0], entry[0][2])):
        points = [
            {
                "attributes": _dimensions(key[1]),
                "startTimeUnixNano": nanoseconds(checkpoint.since),
                "timeUnixNano": nanoseconds(max(now, checkpoint.minute)),
                **_numbers(unit, *values),
            }
            for key, values in entries
        ]
        shape: dict[str, Any] = {"dataPoints": points, "aggregationTemporality": CUMULATIVE}
        if unit == "Count":
            yield {"name": name, "unit": "1", "sum": {**shape, "isMonotonic": True}}
        else:
            yield {"name": name, "unit": unit, "histogram": shape}


def _numbers(unit: str, count: float, total: float, low: float, high: float) -> dict[str, Any]:
    if unit == "Count":
        return {"asDouble": float(total)}
    number = str(int(count))
    buckets = {"count": number, "bucketCounts": [number], "explicitBounds": []}
    return {**buckets, "sum": float(total), "min": float(low), "max": float(high)}


def gauges(
    database: Database, now: float, reported: dict[str, set[str]]
) -> Iterator[dict[str, Any]]:
    """Yield the numbers of the waiting work.

    ``reported`` collects the dimensions of each name: one that no row has any more is 0.
    """
    for name, query in GAUGES.items():
        counts = dict.fromkeys(reported.get(name, ()), 0)
        counts |= {row[0]: row[1] for row in database.rows(query)}
        reported[name] = set(counts)
        points = [
            {
                "attributes": _dimensions(dimensions),
                "timeUnixNano": nanoseconds(now),
                "asInt": str(count),
            }
            for dimensions, count in counts.items()
        ]
        if points:
            yield {"name": name, "unit": "1", "gauge": {"dataPoints": points}}


def _dimensions(text: str) -> list[dict[str, Any]]:
    return attributes({key: str(value) for key, value in json_text.parse(text).items()})
