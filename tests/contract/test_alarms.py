"""Nothing goes wrong in silence: situation, metric and alarm, computed from the template.

Sources: "Monitor with CloudWatch metrics" in the Amazon Data Firehose Developer Guide; "Available
CloudWatch metrics for Amazon SQS"; "Step Functions metrics in CloudWatch"; "Types of metrics for
Lambda functions"; "Metrics for HTTP APIs" in the API Gateway Developer Guide.
"""

import re
from typing import Any, NamedTuple

import pytest

from tests.contract.test_template import (
    CONSUMERS,
    DEAD_LETTER_QUEUES,
    FUNCTIONS,
    ROOT,
    events,
    named,
    of_type,
)

ALARMS = of_type("CloudWatch::Alarm")
DOCS = ROOT / "docs" / "aws.md"


class Situation(NamedTuple):
    """The metric of an alarm; ``of`` is the resource or service of its dimension."""

    namespace: str
    metric: str
    of: str = ""


def situation(alarm: str) -> Situation:
    """Return what an alarm watches."""
    properties = ALARMS[alarm]
    if "Metrics" in properties:
        [expression] = [one["Expression"] for one in properties["Metrics"] if "Expression" in one]
        return Situation("expression", str(expression))
    [dimension] = properties["Dimensions"] or [{"Value": ""}]
    value = dimension["Value"]
    of = value if isinstance(value, str) else named(value)
    return Situation(properties["Namespace"], properties["MetricName"], of)


WATCHED = {situation(alarm): alarm for alarm in ALARMS}
VISIBLE, AGE = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"

SITUATIONS = {
    "a run of order_processing fails": Situation(
        "AWS/States", "ExecutionsFailed", "OrderProcessing"
    ),
    "a run takes too long": Situation("AWS/States", "ExecutionsTimedOut", "OrderProcessing"),
    "a waiting order is not started": Situation("AWS/States", "ExecutionsFailed", "OrderRecovery"),
    "a wait for a decision fails": Situation("AWS/States", "ExecutionsFailed", "OrderApproval"),
    "no run of a new order begins for an hour": Situation("Orderflow", "OrdersNotBegun", "orders"),
    "an order waits for functions for an hour": Situation("Orderflow", "OrdersDelayed", "orders"),
    "Lambda throttles": Situation("AWS/Lambda", "Throttles"),
    "the outbox is not sent": Situation("AWS/Lambda", "IteratorAge", "RelayFunction"),
    "rows are not delivered": Situation(
        "AWS/Firehose", "DeliveryToS3.DataFreshness", "OrderEventsStream"
    ),
    "rows are not converted": Situation(
        "AWS/Firehose", "FailedConversion.Records", "OrderEventsStream"
    ),
    "the transformation fails": Situation(
        "AWS/Firehose", "ExecuteProcessing.Success", "OrderEventsStream"
    ),
    "an event is made no row": Situation("Orderflow", "RecordsFailed", "analytics"),
    "lost events are not searched for": Situation("Orderflow", "SinkNotCompared", "orders"),
    "transactions refuse each other": Situation(
        "AWS/DynamoDB", "TransactionConflict", "OrdersTable"
    ),
    "a function logs an unexpected error": Situation("Orderflow", "LoggedErrors"),
    "the API fails": Situation("AWS/ApiGateway", "5xx", "HttpApi"),
    "orders come in and none is completed": Situation(
        "expression",
        "IF(FILL(started, 0) - FILL(resumed, 0) > 0 AND FILL(completed, 0) == 0, 1, 0)",
    ),
    **{f"messages are in {one}": Situation("AWS/SQS", VISIBLE, one) for one in DEAD_LETTER_QUEUES},
    **{f"messages of {one} wait": Situation("AWS/SQS", AGE, one) for one in CONSUMERS},
}

OTHERWISE_KNOWN = {
    "ConfirmationsPutAside": "QuarantineQueue",
    "EventsQuarantined": "QuarantineQueue",
    "MessagesFailed": "the dead-letter queue of each queue",
    "OrdersNeverBegan": "the search has started them again",
    "OrdersReconciled": "the reconciler has started them again",
    "OutboxNotSent": "IteratorAge",
    "RequestsGivenUp": "QuarantineQueue",
    "SinkPeriodsBehind": "SinkNotCompared",
}
"""Metrics of trouble without an alarm of their own: what tells of it."""

FILTERED = {
    transformation["MetricName"]
    for one in of_type("Logs::MetricFilter").values()
    for transformation in one["MetricTransformations"]
}
"""Metrics that CloudWatch counts in the functions' log."""

TOLERATED = {"TransactionConflict": 3_000, "LoggedErrors": 2}
"""Sums that an alarm lets pass: retries absorb some conflicts, and an error may be logged twice."""

OUTCOMES = {
    "ConfirmationsSent",
    "OrdersCancelled",
    "OrdersCompleted",
    "OrdersFailed",
    "OrdersPlaced",
    "OutboxCaughtUp",
}
"""Metrics of what was done: no trouble of the platform."""


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_has_an_alarm(name: str) -> None:
    assert SITUATIONS[name] in WATCHED


def test_an_alarm_has_a_situation() -> None:
    assert set(WATCHED) == set(SITUATIONS.values())
    assert len(WATCHED) == len(ALARMS), "two alarms watch the same"


def test_what_the_services_count_is_watched_or_no_trouble() -> None:
    counted = {
        name
        for path in (ROOT / "services").rglob("*.py")
        for name in re.findall(r"\bcount\(\s*\"(\w+)\"", path.read_text())
    }
    counted |= {
        name
        for path in (ROOT / "services").rglob("*.py")
        for name in re.findall(r"\b_count\(\"(\w+)\"", path.read_text())
    }
    watched = {one.metric for one in WATCHED if one.namespace == "Orderflow"} - FILTERED
    assert counted - watched - set(OTHERWISE_KNOWN) <= OUTCOMES
    assert watched <= counted, "no service counts the metric of an alarm"


def test_a_metric_of_the_services_has_the_service_that_counts_it() -> None:
    services = {
        one["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] for one in FUNCTIONS.values()
    }
    for one in WATCHED:
        if one.namespace == "Orderflow" and one.metric not in FILTERED:
            source = "".join(
                path.read_text() for path in (ROOT / "services" / one.of).rglob("*.py")
            )
            assert one.of in services
            assert f'count("{one.metric}"' in source


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_is_raised_by_the_first_bad_value_of_its_periods(alarm: str) -> None:
    properties = ALARMS[alarm]
    share = properties.get("MetricName") == "ExecuteProcessing.Success"
    assert properties["TreatMissingData"] == "notBreaching"
    if share:
        assert (properties["ComparisonOperator"], properties["Threshold"]) == (
            "LessThanThreshold",
            1,
        )
        assert properties["Statistic"] == "Minimum"
        return
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"
    if properties.get("Statistic") == "Sum":
        assert properties["Threshold"] == TOLERATED.get(properties["MetricName"], 0)
    periods = properties["EvaluationPeriods"]
    assert periods * properties.get("Period", 600) <= 3600


def test_an_hour_is_what_the_alarm_says() -> None:
    ages = {
        one.of: ALARMS[alarm]["Threshold"] for one, alarm in WATCHED.items() if one.metric == AGE
    }
    assert ages.pop("RetryQueue") == 3600
    assert set(ages.values()) == {900}


@pytest.mark.parametrize(
    ("sums", "is_raised"),
    [
        ({}, False),  # a new stack
        ({"completed": 0.0}, False),  # no order
        ({"started": 3.0, "completed": 0.0}, True),
        ({"started": 3.0, "completed": 1.0}, False),
        # orders wait for stock, and each is started again
        ({"started": 2.0, "resumed": 2.0, "completed": 0.0}, False),
        ({"started": 3.0, "resumed": 2.0, "completed": 0.0}, True),
    ],
)
def test_only_new_orders_raise_the_alarm_that_none_is_completed(
    sums: dict[str, float], *, is_raised: bool
) -> None:
    expression = situation("NothingCompletedAlarm").metric
    condition = re.sub(r"FILL\((\w+), 0\)", lambda match: str(sums.get(match[1], 0.0)), expression)
    match = re.fullmatch(r"IF\((.+) - (.+) > 0 AND (.+) == 0, 1, 0\)", condition)
    assert match is not None
    started, resumed, completed = map(float, match.groups())
    assert (started - resumed > 0 and completed == 0) is is_raised


def test_the_number_of_completed_orders_is_known_before_the_first() -> None:
    """A metric without any data is not filled, so a stack that completes none would be silent."""
    [completed] = [
        one["MetricStat"]["Metric"]
        for one in ALARMS["NothingCompletedAlarm"]["Metrics"]
        if one["Id"] == "completed"
    ]
    source = (ROOT / "services/orders/handlers/reconcile.py").read_text()
    assert f'count("{completed["MetricName"]}", 0)' in source


# The error prefix


def rules() -> dict[str, Any]:
    [bucket] = of_type("S3::Bucket").values()
    return {one["Id"]: one for one in bucket["LifecycleConfiguration"]["Rules"]}


def test_what_firehose_puts_aside_expires() -> None:
    """Objects there are whole events, with names and addresses."""
    [stream] = of_type("KinesisFirehose::DeliveryStream").values()
    prefix = stream["ExtendedS3DestinationConfiguration"]["ErrorOutputPrefix"]
    [rule] = [
        one for one in rules().values() if one.get("Prefix") and prefix.startswith(one["Prefix"])
    ]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 30)
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def test_rows_and_reports_do_not_expire() -> None:
    for one in rules().values():
        if "ExpirationInDays" in one:
            assert one["Prefix"] in {"athena/", "console/", "errors/"}


# The page


def row(alarm: str) -> str:
    """Return an alarm's row in the operator's table."""
    watched, properties = situation(alarm), ALARMS[alarm]
    metric = f"`{watched.metric}`" if watched.namespace != "expression" else "metric math"
    if watched.of:
        metric += f" of {watched.of}"
    return f"| {alarm.removesuffix('Alarm')} | {metric} | {properties['AlarmDescription']} |"


def test_the_page_has_the_table_of_alarms() -> None:
    text = DOCS.read_text(encoding="utf-8")
    written = re.findall(r"^\| \w+ \| (?:`|metric math).*\|$", text, re.MULTILINE)
    assert written == [row(alarm) for alarm in ALARMS]


def test_schedules_and_streams_have_dead_letters_that_are_watched() -> None:
    for _, event in (events("ScheduleV2") | events("DynamoDB")).values():
        letters = event.get("DeadLetterConfig", {}).get("Arn")
        letters = letters or event["DestinationConfig"]["OnFailure"]["Destination"]
        assert Situation("AWS/SQS", VISIBLE, named(letters)) in WATCHED
