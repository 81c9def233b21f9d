"""The real cost of a stack: Cost Explorer by its tags, with answers of botocore's stubber."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.deployed.account import Account
from infra.deployed.spending import Spending, spending
from infra.deployed.stack import DeployedStack
from infra.errors import AWSError

TODAY = date(2026, 2, 9)
FILTER = {
    "And": [
        {"Tags": {"Key": "project", "Values": ["orderflow"]}},
        {"Tags": {"Key": "stage", "Values": ["prod"]}},
    ]
}
REQUEST = {
    "TimePeriod": {"Start": "2026-02-01", "End": "2026-02-08"},
    "Granularity": "DAILY",
    "Metrics": ["UnblendedCost"],
    "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}],
    "Filter": FILTER,
}
TAGS = [{"Key": "project", "Value": "orderflow"}, {"Key": "stage", "Value": "prod"}]


class Stubs:
    """A stubber for each service, with the answers in the order of the calls."""

    def __init__(self) -> None:
        self.clients = {
            name: boto3.client(
                name,
                region_name="eu-central-1",
                aws_access_key_id="a",
                aws_secret_access_key="b",
            )
            for name in ("ce", "cloudformation", "cloudwatch")
        }
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}

    def client(self, service: str, **_: Any) -> Any:
        return self.clients[service]

    def stack(self) -> DeployedStack:
        stubs = self

        class Stubbed(Account):
            def client(self, service: str, **config: Any) -> Any:
                return stubs.client(service, **config)

        return DeployedStack({}, Stubbed())

    def tagged(self, tags: list[dict[str, str]]) -> None:
        stack = {"StackName": "shop", "CreationTime": datetime.now(UTC), "Tags": tags}
        answer = {"Stacks": [{**stack, "StackStatus": "CREATE_COMPLETE"}]}
        self.stubs["cloudformation"].add_response("describe_stacks", answer, {"StackName": "shop"})

    def completed(self, *numbers: float) -> None:
        points = [{"Sum": number} for number in numbers]
        expected = {
            "Namespace": "Orderflow",
            "MetricName": "OrdersCompleted",
            "Dimensions": [{"Name": "service", "Value": "orders"}],
            "StartTime": datetime(2026, 2, 1, tzinfo=UTC),
            "EndTime": datetime(2026, 2, 8, tzinfo=UTC),
            "Period": 86_400,
            "Statistics": ["Sum"],
        }
        self.stubs["cloudwatch"].add_response(
            "get_metric_statistics", {"Datapoints": points}, expected
        )


@pytest.fixture
def aws() -> Iterator[Stubs]:
    stubs = Stubs()
    with ExitStack() as active:
        for stub in stubs.stubs.values():
            active.enter_context(stub)
        yield stubs
        for stub in stubs.stubs.values():
            stub.assert_no_pending_responses()


def groups(**usd: str) -> dict[str, Any]:
    return {
        "Groups": [
            {"Keys": [name], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}}
            for name, amount in usd.items()
        ]
    }


def ask(aws: Stubs) -> Spending:
    return spending(aws.stack(), "shop", 7, TODAY)


def test_costs_are_summed_by_service_over_pages_and_days(aws: Stubs) -> None:
    aws.tagged(TAGS)
    first = {"ResultsByTime": [groups(Lambda="1.5", Athena="0.25")], "NextPageToken": "more"}
    second = {"ResultsByTime": [groups(Lambda="2.5"), groups()]}
    aws.stubs["ce"].add_response("get_cost_and_usage", first, REQUEST)
    aws.stubs["ce"].add_response("get_cost_and_usage", second, {**REQUEST, "NextPageToken": "more"})
    aws.completed(100_000, 60_000)
    spent = ask(aws)
    assert spent.services == {"Lambda": 4.0, "Athena": 0.25}
    assert (spent.start, spent.end) == (date(2026, 2, 1), date(2026, 2, 8))
    assert spent.per_million(4.0) == pytest.approx(25.0)


def test_without_an_order_there_is_no_cost_of_a_million(aws: Stubs) -> None:
    aws.tagged(TAGS[:1])
    request = {**REQUEST, "Filter": FILTER["And"][0]}
    answer = {"ResultsByTime": [groups(Lambda="1.5")]}
    aws.stubs["ce"].add_response("get_cost_and_usage", answer, request)
    aws.completed()
    assert ask(aws).per_million(1.5) is None


def test_a_stack_without_tags_is_refused(aws: Stubs) -> None:
    aws.tagged([])
    with pytest.raises(AWSError, match=r"the stack shop has no tags.*deploy it with tags"):
        ask(aws)


def nothing(aws: Stubs) -> None:
    aws.tagged(TAGS)
    aws.stubs["ce"].add_response("get_cost_and_usage", {"ResultsByTime": [groups()]}, REQUEST)


def listed(aws: Stubs, **status: str) -> None:
    tags = [{"TagKey": key, "Type": "UserDefined", "Status": one} for key, one in status.items()]
    expected = {"TagKeys": ["project", "stage"], "MaxResults": 100}
    answer = {"CostAllocationTags": tags}
    aws.stubs["ce"].add_response("list_cost_allocation_tags", answer, expected)


@pytest.mark.parametrize(
    ("status", "inactive"),
    [({"project": "Active", "stage": "Inactive"}, "stage"), ({}, "project, stage")],
)
def test_tags_that_are_not_activated_are_named(
    aws: Stubs, status: dict[str, str], inactive: str
) -> None:
    nothing(aws)
    listed(aws, **status)
    with pytest.raises(AWSError, match=f"the tags {inactive} .* not activated.*Billing"):
        ask(aws)


def test_active_tags_without_cost_are_too_new(aws: Stubs) -> None:
    nothing(aws)
    listed(aws, project="Active", stage="Active")
    with pytest.raises(AWSError, match=r"no cost with the tags project, stage.*more --days"):
        ask(aws)


def test_a_member_account_cannot_list_the_tags(aws: Stubs) -> None:
    nothing(aws)
    refused = "Linked account doesn't have access to cost allocation tags."
    aws.stubs["ce"].add_client_error("list_cost_allocation_tags", "AccessDeniedException", refused)
    with pytest.raises(AWSError, match=r"whether they are activated is not known.*Linked account"):
        ask(aws)


def test_a_missing_permission_is_named(aws: Stubs) -> None:
    aws.tagged(TAGS)
    denied = "User: x is not authorized to perform: ce:GetCostAndUsage"
    aws.stubs["ce"].add_client_error("get_cost_and_usage", "AccessDeniedException", denied)
    with pytest.raises(AWSError, match=r"Cost Explorer: .*ce:GetCostAndUsage.*extend their policy"):
        ask(aws)
