"""Costs that do not come with an order: each month of a stack, and of a million orders kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.cost.bill import Line, Lines
from infra.cost.deployment import (
    DAY,
    POLLERS,
    PROD,
    REPORT_ROW_BYTES,
    SEARCHES,
    Deployment,
    read_deployment,
)
from infra.cost.prices import GB, MILLION, PRICES, Prices
from infra.cost.usage import Usage
from infra.local.template.loader import Template

DAYS = 30
"""Days of a month."""

CUSTOM_METRICS = 19
"""Names of metrics that the functions emit or their logs are counted by (a test counts them); each
has one set of dimensions, but for that of `FAILURE_REASONS`."""

FAILURE_REASONS = 6
"""Usual reasons of failed orders: each is a set of dimensions of ``OrdersFailedByReason``."""

POLL_SECONDS = 20
"""Length of a long poll of an idle queue (SQS, "Amazon SQS short and long polling")."""

RECONCILE_SECONDS, REPORT_SECONDS = 3, 30
"""Durations of the scheduled functions."""

ORDER_BYTES = 1_350
"""Bytes of an ended order, and 100 bytes of DynamoDB's own (Item sizes and formats)."""


def fixed(path: Path, parameters: Mapping[str, str] = PROD, prices: Prices = PRICES) -> Lines:
    """Return the costs of a stack in a month without orders; a line's ``usd`` is per month."""
    p, deployment = prices, read_deployment(path, parameters)
    template = Template(path, parameters, lambda _, __: {})
    polls = _queues(template) * POLLERS * DAYS * DAY / POLL_SECONDS
    second, warm = p.lambda_per_gb_second_x86, p.provisioned_per_gb_second_x86
    if deployment.arm64:
        second, warm = p.lambda_per_gb_second_arm64, p.provisioned_per_gb_second_arm64
    rows = (
        ("alarms", _alarm_metrics(template), "metrics", p.alarm_metric_a_month, 1),
        ("dashboards", _number(template, "CloudWatch::Dashboard"), "", p.dashboard_a_month, 1),
        ("custom_metrics", _custom_metrics(), "metrics", p.custom_metric_a_month, 1),
        ("kms_keys", _number(template, "KMS::Key"), "keys", p.key_a_month, 1),
        ("idle_polls", polls, "requests", p.sqs_per_million, MILLION),
        ("scheduled_functions", _scheduled(deployment), "GB-seconds", second, 1),
        ("provisioned_concurrency", _provisioned(template, deployment), "GB-seconds", warm, 1),
    )
    return _of_a_month(rows)


def _custom_metrics() -> int:
    """Return the number of sets of dimensions, by which CloudWatch bills."""
    return CUSTOM_METRICS - 1 + FAILURE_REASONS


def kept(usage: Usage, prices: Prices = PRICES) -> Lines:
    """Return the costs of a million ended orders in a month; a line's ``usd`` is per month."""
    p = prices
    table = ORDER_BYTES * MILLION / GB
    archive = usage.event_bytes * MILLION / GB
    files = sum(usage.events.values()) * REPORT_ROW_BYTES * MILLION / GB
    rows = (
        ("dynamodb_storage", table, "GB", p.table_gb_month, 1),
        ("dynamodb_recovery", table, "GB", p.recovery_gb_month, 1),
        ("eventbridge_archive", archive, "GB", p.archive_gb_month, 1),
        ("s3_storage", files, "GB", p.bucket_gb_month, 1),
    )
    return _of_a_month(rows)


def _of_a_month(rows: tuple[tuple[str, float, str, float, float], ...]) -> Lines:
    return tuple(Line(*row, times=1) for row in rows)


def _number(template: Template, kind: str) -> int:
    return len(dict(template.of_type(f"AWS::{kind}")))


def _alarm_metrics(template: Template) -> int:
    """Return the number of metrics that the alarms read; an expression reads several."""
    alarms = dict(template.of_type("AWS::CloudWatch::Alarm")).values()
    return sum(_metrics(alarm.get("Metrics", [])) or 1 for alarm in alarms)


def _metrics(queries: list[Mapping[str, Any]]) -> int:
    return sum("MetricStat" in query for query in queries)


def _queues(template: Template) -> int:
    """Return the number of queues that Lambda polls."""
    functions = dict(template.of_type("AWS::Serverless::Function")).values()
    events = [event for function in functions for event in function.get("Events", {}).values()]
    return sum(event["Type"] == "SQS" for event in events)


def _scheduled(deployment: Deployment) -> float:
    """Return the GB-seconds of the reconciler and of the daily report."""
    return DAYS * (
        deployment.gb_seconds("ReconcileFunction", SEARCHES * RECONCILE_SECONDS * 1e3)
        + deployment.gb_seconds("DailyReportFunction", REPORT_SECONDS * 1e3)
    )


def _provisioned(template: Template, deployment: Deployment) -> float:
    environments = int(template.resolve({"Ref": "ApiConcurrency"}, "cost"))
    return environments * deployment.gb_seconds("OrdersApiFunction", DAYS * DAY * 1e3)
