"""The health of a deployed stack: its alarms, its open orders, and CloudWatch's metrics.

An alarm in the state ALARM is a need; its description has the remedy. Open orders are read in
the index of due items, so ended ones are not. The figures are those of
`infra.views.local_health`, with AWS's metrics:

=========================  =======================================================================
placed                     ``AWS/Events`` ``MatchedEvents`` of the rule ``OrderCreatedRule``
completed, failed, …       ``Orderflow`` ``OrdersCompleted``, ``OrdersFailed``, ``OrdersCancelled``
placed to completed        ``Orderflow`` ``TimeToComplete``
event to delivered         ``AWS/Events`` ``IngestionToInvocationSuccessLatency`` of the bus
failures                   ``Orderflow`` ``OrdersFailedByReason``
sink lag                   ``AWS/Firehose`` ``DeliveryToS3.DataFreshness``
=========================  =======================================================================

Sources: Amazon EventBridge User Guide, "Monitoring Amazon EventBridge" (metrics of a custom bus
have ``EventBusName``); Amazon CloudWatch API Reference, GetMetricData, DescribeAlarms, ListMetrics.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.local.orderflow import is_dead_letter_queue
from infra.views.health import (
    GRACE,
    HOUR,
    MINUTES,
    REFUND_GRACE,
    FailureReason,
    Health,
    Latency,
    Need,
    Rate,
    Sink,
    Stage,
    Waiting,
    plural,
    waits_for,
)
from kernel import clock
from kernel.clock import timestamp
from kernel.order_record import OrderRecord
from kernel.order_status import PAUSED, ChargeStatus, Status

READ = 10_000
"""Open orders that are read."""

_SUMMED = ("Sum", "SampleCount")
"""Statistics that are added up, by minutes."""

_SERVICE = (("service", "orders"),)
_REDEPLOY = "deploy the stack again"


class Metric(NamedTuple):
    """A metric of CloudWatch."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the metric as GetMetricData takes it."""
        dimensions = [{"Name": name, "Value": value} for name, value in self.dimensions]
        return {"Namespace": self.namespace, "MetricName": self.name, "Dimensions": dimensions}


def on_bus(stack: DeployedStack, name: str, rule: str | None = None) -> Metric:
    """Return a metric of the bus or, with a rule's id in the template, of that rule."""
    dimensions = [("EventBusName", stack.names.get("OrdersBus", "orders-bus"))]
    if rule is not None:
        dimensions.append(("RuleName", stack.names.get(rule, rule).rpartition("|")[2]))
    return Metric("AWS/Events", name, tuple(dimensions))


def read_health(
    stack: DeployedStack, name: str, open_orders: Sequence[OrderRecord] | None = None
) -> Health:
    """Return the health of a stack; ``open_orders`` are those that were read already.

    Raises
    ------
    AWSError
        AWS refused a call.
    """
    now = clock.now()
    with translate_errors(f"the health of the stack {name}", _REDEPLOY):
        if open_orders is None:
            open_orders = read_open_orders(stack)
        queues = queue_lengths(stack)
        figures = _Figures(stack, now)
        return Health(
            place=f"{name} at {stack.account.where}",
            at=timestamp(now),
            needs=[*_alarms(stack), *_dead_letters(queues), *_orders(open_orders, now)],
            waiting=list(_waiting(open_orders)),
            stages=list(_stages(open_orders, queues)),
            rates=figures.rates(),
            latencies=figures.latencies(),
            failures=figures.failures(),
            totals={"open": len(open_orders)},
            reviews=None,
            sink=figures.sink(),
            disk=None,
            workers=None,
        )


def read_open_orders(stack: DeployedStack, most: int = READ) -> list[OrderRecord]:
    """Return the orders that have not ended, by the index of due items."""
    from orders.dynamodb import DynamoOrders

    return DynamoOrders(stack.table()).all_open(most)


def queue_lengths(stack: DeployedStack) -> dict[str, int]:
    """Return the number of messages in each queue that has any, by its id in the template."""
    client, found = stack.client("sqs"), {}
    for name, url in stack.queues.items():
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        number = sum(int(value) for value in answer["Attributes"].values())
        if number:
            found[name] = number
    return found


def _alarms(stack: DeployedStack) -> Iterator[Need]:
    names = {real: name for name, real in stack.names.items() if name.endswith("Alarm")}
    pages = stack.client("cloudwatch").get_paginator("describe_alarms")
    for page in pages.paginate(StateValue="ALARM", AlarmTypes=["MetricAlarm"]):
        for alarm in page["MetricAlarms"]:
            if alarm["AlarmName"] in names:
                name = names[alarm["AlarmName"]].removesuffix("Alarm")
                changed = alarm.get("StateUpdatedTimestamp")
                since = timestamp(changed.timestamp()) if changed else None
                text, _, remedy = alarm.get("AlarmDescription", "").partition(". ")
                yield Need("alarm", 1, f"{name}: {text}", remedy or "see the alarm", since, name)


def _dead_letters(queues: dict[str, int]) -> Iterator[Need]:
    for name, number in queues.items():
        if is_dead_letter_queue(name):
            text = f"{plural(number, 'dead letter')} in {name}"
            remedy = "`orders dead-letters list --stack …` has their reasons"
            yield Need("dead letters", number, text, remedy, None, name)


def _orders(records: Sequence[OrderRecord], now: float) -> Iterator[Need]:
    unpaid = [
        record
        for record in records
        if record.status is Status.COMPENSATING
        and record.charge is ChargeStatus.CHARGED
        and record.updated_at < now - REFUND_GRACE
    ]
    late = [
        record
        for record in records
        if record.status not in PAUSED and max(record.lease_until, record.updated_at) < now - GRACE
    ]
    overdue = [
        record for record in records if record.status in PAUSED and record.resume_at < now - GRACE
    ]
    undecided = [record for record in records if record.status is Status.AWAITING_APPROVAL]
    for kind, found, verb in (
        ("unpaid refunds", unpaid, "have an unpaid refund"),
        ("approvals", undecided, "wait for an approval"),
        ("past their lease", late, "have no run since their lease ended"),
        ("past their wait", overdue, "are due and not resumed"),
    ):
        if found:
            oldest = min(found, key=lambda record: record.updated_at)
            yield Need(
                kind,
                len(found),
                f"{plural(len(found), 'order', verb)}; the oldest is {oldest.order_id}",
                f"`orders show {oldest.order_id} --stack …` says why",
                timestamp(oldest.updated_at),
                oldest.order_id,
            )


def _waiting(records: Iterable[OrderRecord]) -> Iterator[Waiting]:
    groups: defaultdict[str, list[OrderRecord]] = defaultdict(list)
    for record in records:
        if record.status in PAUSED:
            groups[waits_for(record.waiting_for, record.status)].append(record)
    for what, group in groups.items():
        oldest = min(group, key=lambda record: record.updated_at)
        times = timestamp(oldest.updated_at), timestamp(oldest.resume_at)
        yield Waiting(what, len(group), oldest.order_id, *times)


def _stages(records: Iterable[OrderRecord], queues: dict[str, int]) -> Iterator[Stage]:
    counts: defaultdict[str, int] = defaultdict(int)
    for record in records:
        counts[record.status] += 1
    yield from (Stage(f"orders {status}", number) for status, number in sorted(counts.items()))
    for name, number in queues.items():
        if not is_dead_letter_queue(name):
            yield Stage(f"messages in {name}", number)


class _Figures:
    """The metrics of one stack up to a time."""

    def __init__(self, stack: DeployedStack, now: float) -> None:
        self._stack = stack
        self._client = stack.client("cloudwatch")
        self._end = datetime.fromtimestamp(now, UTC)

    def _value(self, metric: Metric, stat: str, start: int, end: int = 0) -> float | None:
        """Return a statistic between two times, in seconds before now."""
        answer = self._client.get_metric_data(
            MetricDataQueries=[
                {
                    "Id": "one",
                    "MetricStat": {
                        "Metric": metric.to_json(),
                        "Period": 60 if stat in _SUMMED else start - end,
                        "Stat": stat,
                    },
                }
            ],
            StartTime=self._end - timedelta(seconds=start),
            EndTime=self._end - timedelta(seconds=end),
        )
        values = answer["MetricDataResults"][0]["Values"]
        if not values:
            return None
        return float(sum(values) if stat in _SUMMED else max(values))

    def rates(self) -> list[Rate]:
        """Return the orders by outcome, per minute and in the last hour."""
        metrics = {
            "placed": on_bus(self._stack, "MatchedEvents", "OrderCreatedRule"),
            "completed": Metric("Orderflow", "OrdersCompleted", _SERVICE),
            "failed": Metric("Orderflow", "OrdersFailed", _SERVICE),
            "cancelled": Metric("Orderflow", "OrdersCancelled", _SERVICE),
        }
        return [
            Rate(
                name,
                round((self._value(metric, "Sum", MINUTES * 60) or 0) / MINUTES, 1),
                int(self._value(metric, "Sum", HOUR) or 0),
            )
            for name, metric in metrics.items()
        ]

    def latencies(self) -> list[Latency]:
        """Return the percentiles of the last hour."""
        completed = Metric("Orderflow", "TimeToComplete", _SERVICE)
        delivered = on_bus(self._stack, "IngestionToInvocationSuccessLatency")
        return [
            self._latency("placed to completed", completed, 1.0),
            self._latency("event to delivered", delivered, 1_000.0),  # milliseconds
        ]

    def _latency(self, name: str, metric: Metric, unit: float) -> Latency:
        count = int(self._value(metric, "SampleCount", HOUR) or 0)
        p50, p99 = (self._value(metric, stat, HOUR) for stat in ("p50", "p99"))
        return Latency(
            name,
            count,
            None if p50 is None else round(p50 / unit, 4),
            None if p99 is None else round(p99 / unit, 4),
        )

    def failures(self) -> list[FailureReason]:
        """Return the reasons of the last two hours, the most frequent first."""
        pages = self._client.get_paginator("list_metrics").paginate(
            Namespace="Orderflow",
            MetricName="OrdersFailedByReason",
            Dimensions=[{"Name": "service", "Value": "orders"}],
        )
        reasons = {
            dimension["Value"]
            for page in pages
            for metric in page["Metrics"]
            for dimension in metric["Dimensions"]
            if dimension["Name"] == "reason"
        }
        found = []
        for reason in sorted(reasons):
            metric = Metric("Orderflow", "OrdersFailedByReason", (*_SERVICE, ("reason", reason)))
            now = int(self._value(metric, "Sum", HOUR) or 0)
            before = int(self._value(metric, "Sum", 2 * HOUR, HOUR) or 0)
            if now or before:
                found.append(FailureReason(reason, now, before))
        return sorted(found, key=lambda each: (-each.last_hour, -each.hour_before))

    def sink(self) -> Sink | None:
        """Return the lag of Firehose's files."""
        stream = self._stack.names.get("OrderEventsStream")
        if stream is None:
            return None
        dimensions = (("DeliveryStreamName", stream),)
        metric = Metric("AWS/Firehose", "DeliveryToS3.DataFreshness", dimensions)
        lag = self._value(metric, "Maximum", MINUTES * 60)
        return None if lag is None else Sink(None, lag)
