"""The ended orders of a deployed stack by time, from CloudWatch in one request.

Source: Amazon CloudWatch API Reference, GetMetricData: a period is a multiple of 60 seconds.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.health import Metric
from infra.deployed.stack import DeployedStack
from infra.views.overview import COLUMNS, Column

_METRICS = {
    "completed": "OrdersCompleted",
    "failed": "OrdersFailed",
    "cancelled": "OrdersCancelled",
}


def ended_orders(stack: DeployedStack, now: float, minutes: int) -> list[Column]:
    """Return the ended orders of the last minutes, in `COLUMNS` parts or one for each minute.

    Raises
    ------
    AWSError
        AWS refused the call.
    """
    parts = min(COLUMNS, minutes)
    width = minutes * 60 // parts
    end = (int(now) // 60 + 1) * 60
    first = end - width * parts
    counts = [Counter[str]() for _ in range(parts)]
    with translate_errors("CloudWatch's metrics of ended orders", "deploy the stack again"):
        answer = stack.client("cloudwatch").get_metric_data(
            MetricDataQueries=[_query(name, metric, width) for name, metric in _METRICS.items()],
            StartTime=datetime.fromtimestamp(first, UTC),
            EndTime=datetime.fromtimestamp(first, UTC) + timedelta(seconds=width * parts),
        )
    for result in answer["MetricDataResults"]:
        for at, value in zip(result["Timestamps"], result["Values"], strict=True):
            part = int(at.timestamp() - first) // width
            if 0 <= part < parts:
                counts[part][result["Id"]] += int(value)
    return [
        Column(first + at * width, each["completed"], each["failed"], each["cancelled"])
        for at, each in enumerate(counts)
    ]


def _query(name: str, metric: str, period: int) -> dict[str, Any]:
    found = Metric("Orderflow", metric, (("service", "orders"),)).to_json()
    return {"Id": name, "MetricStat": {"Metric": found, "Period": period, "Stat": "Sum"}}
