"""`orders show` and `orders list` tell of a deployed stack what they tell of one machine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.deployed import orders as deployed
from infra.deployed.account import Account
from infra.deployed.stack import DeployedStack
from infra.errors import Refusal
from infra.local.template.loader import REGION
from infra.local.template.project import TEMPLATE
from infra.moving.dynamodb import DynamoPlace
from infra.moving.sqlite import SQLitePlace
from infra.views.local_story import read_story
from infra.views.order_filter import OrderFilter
from tests.fakes.quick_moto import quick_aws
from tests.host import host, order
from tests.rehearsal.template import read

ONLY_HERE = {"events", "runs", "mail", "dead_letters", "retries"}
"""Keys that only one machine has, from its journal, folders and queues."""

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:orderflow-order-processing"

DEAR = [{"sku": "TEA", "quantity": 1, "unit_price": 1000}]


def _moved(root: Path) -> tuple[dict[str, Any], list[Any]]:
    """Take two orders through one machine; return its story of the first, and its lines."""
    with host(root) as machine:
        machine.receive(TEA=10)
        machine.put(order("T-1", items=DEAR, total=1000), order("T-2", payment_token="tok_decline"))
        machine.settle()
        rows = list(SQLitePlace(machine.database, "here").rows())
        return read_story(machine.directory, "T-1").to_json(), [
            row for row in rows if row["kind"] != "event"
        ]


@pytest.fixture
def here(apart: Callable[..., Any], tmp_path: Path) -> Any:
    return apart(_moved, tmp_path)


@pytest.fixture
def stack(here: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployedStack]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    properties = read(TEMPLATE)["Resources"]["OrdersTable"]["Properties"]
    wanted = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    with quick_aws():
        account = Account(region=REGION)
        account.client("dynamodb").create_table(
            TableName="orders", **{name: properties[name] for name in wanted}
        )
        names = {"OrdersTable": "orders", "OrderProcessing": MACHINE}
        found = DeployedStack(names, account)
        place = DynamoPlace(found.table())
        for row in here[1]:
            place.add(row)
        yield found


def test_a_deployed_orders_story_equals_the_local_one(here: Any, stack: DeployedStack) -> None:
    ours, theirs = here[0], deployed.read_story(stack, "T-1").to_json()
    assert theirs.keys() == ours.keys()
    ours["payments"][0]["gateway"] = None
    for key in ours.keys() - ONLY_HERE:
        assert theirs[key] == ours[key], key


def test_events_and_runs_of_a_deployed_order_follow_from_its_timeline(
    here: Any, stack: DeployedStack
) -> None:
    ours, theirs = here[0], deployed.read_story(stack, "T-1").to_json()
    assert {one["type"] for one in theirs["events"]} == {one["type"] for one in ours["events"]}
    assert [run["name"] for run in theirs["runs"]] == [run["name"] for run in ours["runs"]]


def test_deployed_orders_are_listed_by_status_and_customer(stack: DeployedStack) -> None:
    assert {order.order_id for order in deployed.list_orders(stack, OrderFilter()).orders} == {
        "T-1",
        "T-2",
    }
    failing = OrderFilter(statuses=frozenset({"FAILED"}), customer="C-1")
    [failed] = deployed.list_orders(stack, failing).orders
    assert (failed.order_id, failed.failure) == ("T-2", "PaymentDeclined")
    assert deployed.list_orders(stack, OrderFilter(customer="C-9")).orders == []


def test_a_missing_order_is_reported(stack: DeployedStack) -> None:
    with pytest.raises(Refusal, match="no order has the id 'T-9'"):
        deployed.read_story(stack, "T-9").to_json()
