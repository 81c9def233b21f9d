"""The analysts' table as the sink of all events, EventBridge's archive and metrics, on AWS."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kernel.errors import StoreError
from lambda_support import aws
from lambda_support.athena import AthenaWarehouse

_PERIOD = (
    " dt between ? and ?"
    " and arrived_at >= from_iso8601_timestamp(?) and arrived_at < from_iso8601_timestamp(?)"
)
_CREATED = (
    "select order_id, to_unixtime(max(arrived_at)) as arrived_at from order_events_raw"
    f" where event_type = 'Order Created' and{_PERIOD} group by order_id"
)
_ANY = f"select event_id from order_events_raw where{_PERIOD} limit 1"

DAY = 86_400.0
METRIC_SECONDS = 300
"""Period of a metric: EventBridge's minutes are kept for 15 days, five minutes for 63
(GetMetricStatistics)."""


class AthenaSink:
    """The sink (see `orders.lost_events.Sink`): the analysts' table in Athena."""

    def __init__(self, warehouse: AthenaWarehouse) -> None:
        self.warehouse = warehouse

    def created(self, since: float, before: float) -> Mapping[str, float]:
        """Return the arrival time of each order's last `Order Created` event in a period."""
        rows = self.warehouse.rows(_CREATED, _bounds(since, before))
        return {row["order_id"]: float(row["arrived_at"]) for row in rows}

    def has_rows(self, since: float, before: float) -> bool:
        """Return whether the rows have any event of a period."""
        return bool(self.warehouse.rows(_ANY, _bounds(since, before)))


def _bounds(since: float, before: float) -> list[str]:
    """Return the days and times of a period.

    The day of a file is that of its oldest record (Firehose, Custom prefixes for S3 objects), so a
    record may be in the file of the day before.
    """
    days = [_time(since - DAY).date(), _time(before).date()]
    return [*map(str, days), _time(since).isoformat(), _time(before).isoformat()]


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class RuleMetrics:
    """EventBridge's count of the events that a rule matched (see `orders.lost_events.Bus`).

    A metric of a bus other than the default one has the dimensions EventBusName and RuleName
    (Monitoring Amazon EventBridge). A metric may be late or missing, so only a count above zero
    says something.
    """

    def __init__(self, rule_arn: str, client: Callable[[str], Any] = aws.client) -> None:
        self.bus, _, self.rule = rule_arn.partition(":rule/")[2].partition("/")
        self.client = client

    def sent(self, since: float, before: float) -> bool:
        """Return whether the rule matched an event of a period."""
        client = self.client("cloudwatch")
        with aws.translate_errors("CloudWatch", "deploy the stack again"):
            answer = client.get_metric_statistics(
                Namespace="AWS/Events",
                MetricName="Invocations",
                Dimensions=[
                    {"Name": "EventBusName", "Value": self.bus},
                    {"Name": "RuleName", "Value": self.rule},
                ],
                StartTime=_time(since),
                EndTime=_time(before),
                Period=METRIC_SECONDS,
                Statistics=["Sum"],
            )
        return any(point["Sum"] > 0 for point in answer["Datapoints"])


class EventArchive:
    """EventBridge's archive (see `orders.lost_events.Archive`), replayed to one rule of the bus."""

    def __init__(
        self, archive: str, bus: str, rule: str, client: Callable[[str], Any] = aws.client
    ) -> None:
        self.archive = archive
        self.bus = bus
        self.rule = rule
        self.client = client

    def replay(self, since: float, until: float) -> None:
        """Deliver the `Order Created` events of a period again.

        Raises
        ------
        StoreError
            EventBridge refused the replay: for example, ten others are running.
        """
        client = self.client("events")
        with aws.translate_errors(f"the archive {self.archive}", "deploy the stack again"):
            answer = client.start_replay(
                # a name is used once; a repeated replay delivers duplicates, which are ignored
                ReplayName=f"never-began-{int(until)}-{uuid4().hex[:8]}",
                EventSourceArn=self.archive,
                EventStartTime=_time(since),
                EventEndTime=_time(until),
                Destination={"Arn": self.bus, "FilterArns": [self.rule]},
            )
        if answer.get("State") == "FAILED":
            raise StoreError(f"the archive {self.archive} is not replayed: {answer['StateReason']}")
