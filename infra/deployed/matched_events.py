"""The events that rules have matched in a range of time, from CloudWatch in one request.

A replay delivers the archived events of a range to the rules again, so these are about the numbers
that it will deliver. Source: Amazon EventBridge User Guide, "Monitoring Amazon EventBridge".
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.health import on_bus
from infra.deployed.stack import DeployedStack

MINUTE, HOUR, DAY = 60, 3_600, 86_400
MAX_POINTS = 500


def matched_events(
    stack: DeployedStack, rules: Sequence[str], begin: float, end: float
) -> dict[str, int]:
    """Return the number of events that each rule matched between two times, by its id.

    Raises
    ------
    AWSError
        AWS refused the call.
    """
    period = next((each for each in (MINUTE, HOUR) if (end - begin) / each <= MAX_POINTS), DAY)
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


def _query(stack: DeployedStack, number: int, rule: str, period: int) -> dict[str, Any]:
    metric = on_bus(stack, "MatchedEvents", rule).to_json()
    return {
        "Id": f"r{number}",
        "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"},
    }
