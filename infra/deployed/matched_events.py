"""The events that rules have matched in a range of time, from CloudWatch in one request.

A replay delivers the archived events of a range to the rules again, so these are about the numbers
that it will deliver.

Sources: Amazon EventBridge User Guide, "Monitoring Amazon EventBridge"; Amazon CloudWatch API
Reference, MetricStat.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.health import on_bus
from infra.deployed.stack import DeployedStack

MINUTE, HOUR, DAY = 60, 3_600, 86_400
MAX_POINTS = 500

_LEAST = ((15 * DAY, MINUTE), (63 * DAY, 5 * MINUTE))
"""The least period of data that is not older than so many seconds; of older data it is an hour."""


def matched_events(
    stack: DeployedStack, rules: Sequence[str], begin: float, end: float, now: float
) -> dict[str, int]:
    """Return the number of events that each rule matched between two times, by its id.

    Raises
    ------
    AWSError
        AWS refused the call.
    """
    period = period_of(begin, end, now)
    with translate_errors("CloudWatch's metric MatchedEvents", "deploy the stack again"):
        answer = stack.client("cloudwatch").get_metric_data(
            MetricDataQueries=[
                _query(stack, number, rule, period) for number, rule in enumerate(rules)
            ],
            StartTime=datetime.fromtimestamp(begin, UTC),
            EndTime=datetime.fromtimestamp(end, UTC),
        )
    sums = {each["Id"]: int(sum(each["Values"])) for each in answer["MetricDataResults"]}
    return {rule: sums.get(f"r{number}", 0) for number, rule in enumerate(rules)}


def period_of(begin: float, end: float, now: float) -> int:
    """Return the period in seconds of a range that CloudWatch still has, in few data points."""
    least = next((least for age, least in _LEAST if now - begin < age), HOUR)
    periods = (MINUTE, 5 * MINUTE, HOUR)
    fits = (each for each in periods if each >= least and (end - begin) / each <= MAX_POINTS)
    return next(fits, DAY)


def _query(stack: DeployedStack, number: int, rule: str, period: int) -> dict[str, Any]:
    metric = on_bus(stack, "MatchedEvents", rule).to_json()
    return {
        "Id": f"r{number}",
        "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"},
    }
