"""The metrics of an invocation, printed as one JSON line that CloudWatch Logs reads.

Source: CloudWatch, "Specification: Embedded metric format": an array of at most 100 values for each
metric, at most 100 metrics in a document, and any other members.
"""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

MAX_VALUES = 100
"""Most values of one metric, and most metrics, of a document."""

_ENCODER = json.JSONEncoder(separators=(",", ":"))  # ASCII: a member may have a lone surrogate

Unit = Literal["Count", "Seconds"]


class EmbeddedMetrics:
    """The metrics that were added since the last `flush`.

    Parameters
    ----------
    namespace : str
        The namespace in CloudWatch.
    dimensions : Mapping[str, str]
        Names and values; a metric exists once for each combination of values.
    """

    def __init__(self, namespace: str, dimensions: Mapping[str, str]) -> None:
        self._namespace = namespace
        self._dimensions = dict(dimensions)
        self._units: dict[str, Unit] = {}
        self._values: dict[str, list[float]] = {}
        self._members: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def add(self, name: str, unit: Unit, value: float) -> None:
        """Add a value to a metric; a document that is full is printed."""
        values = self._values.setdefault(name, [])
        values.append(float(value))
        self._units[name] = unit
        if len(values) == MAX_VALUES or len(self._values) == MAX_VALUES:
            self.flush()

    def add_member(self, name: str, value: Any) -> None:
        """Add a member to the document that is no metric."""
        self._members[name] = value

    def flush(self) -> None:
        """Print the metrics; without any, print nothing."""
        if not self._values:
            return
        metrics = [{"Name": name, "Unit": unit} for name, unit in self._units.items()]
        group = {"Namespace": self._namespace, "Dimensions": [list(self._dimensions)]}
        document = {
            "_aws": {
                "Timestamp": int(time.time() * 1000),
                "CloudWatchMetrics": [{**group, "Metrics": metrics}],
            },
            **self._dimensions,
            **self._members,
            **self._values,
        }
        self._units, self._values, self._members = {}, {}, {}
        sys.stdout.write(_ENCODER.encode(document) + "\n")  # noqa: TID251 - Lambda's log
