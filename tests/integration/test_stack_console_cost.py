"""The price of an hour of the hosted console counts the requests that a poll makes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient

from infra.console.stack.limits import POLL
from infra.console.stack.source import HEALTH_KEPT, OPEN_KEPT
from infra.cost import hosted_console
from infra.cost.bill import total
from infra.cost.deployment import PROD, read_deployment
from infra.cost.hosted_console import hour_of_console
from infra.cost.monthly import FAILURE_REASONS, fixed
from infra.deployed.stack import DeployedStack
from infra.local.template.project import TEMPLATE
from tests.fakes.stack_console import visiting

_call = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001 - no hook before


@contextmanager
def billed() -> Iterator[Counter[str]]:
    """Count the requests of a block as AWS bills them: GetMetricData by its metrics."""
    found: Counter[str] = Counter()

    def counting(client: Any, operation: str, request: Any) -> Any:
        found[operation] += len(request.get("MetricDataQueries", [None]))
        return _call(client, operation, request)

    with patch.object(BaseClient, "_make_api_call", counting):
        yield found


def test_a_poll_of_the_overview_makes_the_requests_that_are_priced(stack: DeployedStack) -> None:
    metrics = stack.client("cloudwatch")
    dimensions = [{"Name": "service", "Value": "orders"}, {"Name": "reason", "Value": "OutOfStock"}]
    failed = {"MetricName": "OrdersFailedByReason", "Dimensions": dimensions, "Value": 1.0}
    metrics.put_metric_data(Namespace="Orderflow", MetricData=[failed])
    whole = replace(stack, names={**stack.names, "OrderEventsStream": "order-events"})
    with visiting(whole) as visitor:
        with billed() as reading:
            visitor.poll("/console/")
        visitor.source.cache.clear()
        visitor.source.health()
        with billed() as other:
            visitor.source.open_orders()
            visitor.poll("/console/")
    one_reason = hosted_console.FIGURES + hosted_console.OF_A_REASON
    assert reading["GetMetricData"] == one_reason
    assert reading["DescribeAlarms"] + reading["ListMetrics"] == hosted_console.OTHER_CALLS
    assert reading["GetQueueAttributes"] == hosted_console.QUEUES
    assert reading["Query"] == hosted_console.QUERIES
    assert other["Query"] + other["GetQueueAttributes"] == 0, "kept for some seconds"


def test_an_hour_has_the_polls_and_the_readings_of_the_console() -> None:
    assert hosted_console.POLLS * POLL == 3600
    assert hosted_console.READS * HEALTH_KEPT == 3600
    assert OPEN_KEPT < POLL, "each poll reads the open orders"


def test_the_hours_price_is_mostly_that_of_cloudwatchs_metrics() -> None:
    lines = {line.name: line for line in hour_of_console(TEMPLATE)}
    asked = 60 * (18 + 2 * FAILURE_REASONS + 2)
    assert lines["cloudwatch_metrics"].usd == pytest.approx(asked * 0.01 / 1000)
    assert total(tuple(lines.values())) < 2 * lines["cloudwatch_metrics"].usd
    memory = read_deployment(TEMPLATE, {**PROD, "Console": "hosted"}).memory["ConsoleFunction"]
    assert lines["lambda_duration"].quantity == pytest.approx(108 * memory / 1024)


def test_a_console_without_an_open_tab_costs_nothing() -> None:
    assert fixed(TEMPLATE, {**PROD, "Console": "hosted"}) == fixed(TEMPLATE)
