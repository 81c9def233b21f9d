"""Metrics: EMF documents of functions and the engine's own counts, summed by minute."""

from collections.abc import Mapping
from typing import Any

from infra.local.directory.journal import Journal
from infra.local.workers.invocations import Result
from kernel import json_text

_ADD = (
    "insert into metrics values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do update set"
    " count = count + excluded.count, sum = sum + excluded.sum,"
    " minimum = min(minimum, excluded.minimum), maximum = max(maximum, excluded.maximum)"
)


INVALID = "EMFParsingErrors"
"""The metric that counts malformed documents (CloudWatch Logs, Monitoring with metrics)."""

LARGEST = 2.0**360
"""The largest absolute value of a metric (CloudWatch API Reference, MetricDatum)."""


class Metrics:
    """The metrics since the last commit."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._values: dict[tuple[int, str, str, str], list[float]] = {}

    def add(self, result: Result, now: float) -> None:
        """Add an invocation's metrics."""
        minute = int(now // 60) * 60
        for line in result.metrics:
            try:
                metrics = _metrics(json_text.read(line))
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                metrics = [(INVALID, "{}", "Count", 1.0)]
            for name, dimensions, unit, value in metrics:
                self._values.setdefault((minute, name, dimensions, unit), []).append(value)

    def count(self, name: str, dimensions: Mapping[str, str], now: float) -> None:
        """Add 1 to a metric of the engine."""
        minute = int(now // 60) * 60
        key = (minute, name, json_text.write(dimensions).decode(), "Count")
        self._values.setdefault(key, []).append(1.0)

    def flush(self) -> None:
        """Add this turn's metrics to the journal's batch."""
        for (minute, name, dimensions, unit), values in self._values.items():
            row = (
                minute,
                name,
                dimensions,
                unit,
                len(values),
                sum(values),
                min(values),
                max(values),
            )
            self.journal.batch.add(_ADD, *row)
        self._values.clear()


def _metrics(document: Any) -> list[tuple[str, str, str, float]]:
    """Return name, dimensions, unit and value of each metric in an EMF document."""
    metrics = []
    for group in document["_aws"]["CloudWatchMetrics"]:
        for names in group["Dimensions"] or [[]]:
            chosen = {name: document[name] for name in sorted(names)}
            dimensions = json_text.write(chosen).decode()
            for metric in group["Metrics"]:
                values = document[metric["Name"]]
                metrics += [
                    (metric["Name"], dimensions, str(metric.get("Unit", "None")), _number(value))
                    for value in (values if isinstance(values, list) else [values])
                ]
    return metrics


def _number(value: object) -> float:
    """Return a metric's value; raise `ValueError` if it is not a number or too large."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LARGEST:
        raise ValueError(f"{value!r} is no value of a metric")
    return float(value)
