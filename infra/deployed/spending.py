"""The money spent on a stack, from Cost Explorer by the stack's tags, and the orders of those days.

Sources: AWS Cost Explorer API, GetCostAndUsage (a request costs 0.01 USD) and
ListCostAllocationTags; AWS Billing, "Organizing and tracking costs using AWS cost allocation tags":
a tag has no costs before it is activated, by the management account of an organization.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.errors import AWSError

DELAY = 1
"""Days that Cost Explorer needs: it is updated at least once a day."""

_DAY = 86_400
_COST = "UnblendedCost"
_ACTIVATE = (
    "activate them in the console (Billing, Cost allocation tags), in an organization with its"
    " management account; costs then count from that day, and appear within a day"
)


@dataclass(frozen=True, slots=True)
class Spending:
    """USD by service from ``start`` to before ``end``, and the orders completed in that time."""

    start: date
    end: date
    services: Mapping[str, float]
    orders: float
    tags: Mapping[str, str]

    def per_million(self, usd: float) -> float | None:
        """Return an amount for a million orders, or None without an order."""
        return usd / self.orders * 1_000_000 if self.orders else None


def spending(stack: DeployedStack, name: str, days: int, today: date) -> Spending:
    """Return what a stack cost on the last whole days.

    Raises
    ------
    AWSError
        The stack has no tags, they are not activated, or AWS refused a call.
    """
    tags = _tags(stack, name)
    end = today - timedelta(days=DELAY)
    start = end - timedelta(days=days)
    services: defaultdict[str, float] = defaultdict(float)
    client = stack.client("ce")
    with translate_errors("Cost Explorer", "enable it in the console (Billing, Cost Explorer)"):
        for group in _groups(client, tags, start, end):
            services[group["Keys"][0]] += float(group["Metrics"][_COST]["Amount"])
    if not services:
        _explain_nothing(client, tags, name)
    return Spending(start, end, dict(services), _completed(stack, start, end), tags)


def _tags(stack: DeployedStack, name: str) -> dict[str, str]:
    with translate_errors(f"the stack {name}", "name another with --stack, --region or --profile"):
        [described] = stack.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
    if not tags:
        raise AWSError(
            f"the stack {name} has no tags, so its costs cannot be told from others; deploy it with"
            " tags, such as those in samconfig.toml"
        )
    return tags


def _groups(
    client: Any, tags: Mapping[str, str], start: date, end: date
) -> Iterator[Mapping[str, Any]]:
    """Yield the cost of each service and day."""
    filters = [{"Tags": {"Key": key, "Values": [value]}} for key, value in sorted(tags.items())]
    request: dict[str, Any] = {
        "TimePeriod": {"Start": start.isoformat(), "End": end.isoformat()},
        "Granularity": "DAILY",
        "Metrics": [_COST],
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}],
        "Filter": {"And": filters} if len(filters) > 1 else filters[0],
    }
    while True:
        page = client.get_cost_and_usage(**request)
        for day in page["ResultsByTime"]:
            yield from day["Groups"]
        if not page.get("NextPageToken"):
            return
        request["NextPageToken"] = page["NextPageToken"]


def _explain_nothing(client: Any, tags: Mapping[str, str], name: str) -> None:
    """Raise an error that says why Cost Explorer has no cost with a stack's tags."""
    named = ", ".join(sorted(tags))
    subject = f"Cost Explorer has no cost with the tags {named}, and whether they are activated"
    with translate_errors(f"{subject} is not known: the list of cost allocation tags", _ACTIVATE):
        answer = client.list_cost_allocation_tags(TagKeys=sorted(tags), MaxResults=100)
    active = {tag["TagKey"] for tag in answer["CostAllocationTags"] if tag["Status"] == "Active"}
    inactive = sorted(set(tags) - active)
    if inactive:
        raise AWSError(
            f"the tags {', '.join(inactive)} of the stack {name} are not activated for costs;"
            f" {_ACTIVATE}"
        )
    raise AWSError(
        f"Cost Explorer has no cost with the tags {named} on these days; the stack {name} is newer,"
        " or it cost nothing: try again in a day, or with more --days"
    )


def _completed(stack: DeployedStack, start: date, end: date) -> float:
    """Return the number of orders completed from a day to before another, in UTC."""
    with translate_errors("CloudWatch's metric OrdersCompleted", "deploy the stack again"):
        answer = stack.client("cloudwatch").get_metric_statistics(
            Namespace="Orderflow",
            MetricName="OrdersCompleted",
            Dimensions=[{"Name": "service", "Value": "orders"}],
            StartTime=datetime.combine(start, time(), UTC),
            EndTime=datetime.combine(end, time(), UTC),
            Period=_DAY,
            Statistics=["Sum"],
        )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))
