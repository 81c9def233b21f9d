"""The stand-in for IAM refuses what the hosted console's role does not allow."""

from typing import Any

import pytest

from infra.deployed.stack import DeployedStack
from kernel import clock
from kernel.events import CONTRACTS, SOURCE
from orders.dynamodb import DynamoOrders
from tests.contract.test_permissions import CONSOLE, granted
from tests.fakes import console_role
from tests.fakes.console_role import Denied, needs
from tests.fakes.records import order
from tests.fakes.stack_console import visiting

NAMES = {
    "orders": "OrdersTable",
    "bus": "OrdersBus",
    "bucket": "AnalyticsBucket",
    "q": "RetryQueue",
}


def is_allowed(service: str, operation: str, **request: Any) -> bool:
    return set(needs(service, operation, request, NAMES)) <= granted(CONSOLE)


@pytest.mark.parametrize(("key", "allowed"), [("console#session#1", True), ("order#A-1", False)])
def test_an_item_that_is_not_the_consoles_is_not_deleted(key: str, *, allowed: bool) -> None:
    item = {"TableName": "orders", "Key": {"pk": {"S": key}, "sk": {"S": "any"}}}
    assert is_allowed("dynamodb", "DeleteItem", **item) is allowed
    assert is_allowed("dynamodb", "TransactWriteItems", TransactItems=[{"Delete": item}]) is allowed


def test_the_table_is_not_scanned_and_no_other_table_is_read() -> None:
    assert is_allowed("dynamodb", "Query", TableName="orders", IndexName="due")
    assert not is_allowed("dynamodb", "Query", TableName="orders", IndexName="another")
    assert not is_allowed("dynamodb", "Scan", TableName="orders")
    assert not is_allowed("dynamodb", "GetItem", TableName="another")


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_fact_of_the_platform_is_not_sent(name: str) -> None:
    entry = {"EventBusName": "bus", "Source": SOURCE, "DetailType": name}
    requests = {"Order Created", "Order Updated", "Order Cancelled"}
    assert is_allowed("events", "PutEvents", Entries=[entry]) is (name in requests)
    other = {**entry, "Source": "another.service"}
    assert not is_allowed("events", "PutEvents", Entries=[entry, other])


def test_only_looks_are_read_and_written_in_the_bucket() -> None:
    for operation in ("GetObject", "HeadObject", "PutObject"):
        assert is_allowed("s3", operation, Bucket="bucket", Key="console/look.json.gz")
    assert not is_allowed("s3", "PutObject", Bucket="bucket", Key="reports/dt=2026-01-01/a.html")
    assert not is_allowed("s3", "DeleteObject", Bucket="bucket", Key="console/look.json.gz")


def test_a_consumers_queue_is_not_received_from() -> None:
    assert is_allowed("sqs", "SendMessage", QueueUrl="q")
    assert not is_allowed("sqs", "ReceiveMessage", QueueUrl="q")
    assert not is_allowed("sqs", "PurgeQueue", QueueUrl="q")


def test_a_call_without_the_permission_is_refused_and_fails_the_test(
    stack: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    record = order(order_id="O-1", created_at=now, updated_at=now, version=0)
    DynamoOrders(stack.table()).save(record.change())  # by the test, which has any permission
    narrow = granted(CONSOLE) - {("dynamodb:Query", "OrdersTable")}
    monkeypatch.setattr(console_role, "granted", lambda _: narrow)
    lacked = r"ConsoleRole lacks \[\('dynamodb:Query', 'OrdersTable'\)\]"
    with pytest.raises(Denied, match=lacked), visiting(stack) as visitor:
        page = visitor.get("/console/orders/O-1")
    assert page.status == 502
    assert "dynamodb:Query on OrdersTable" in page.text
