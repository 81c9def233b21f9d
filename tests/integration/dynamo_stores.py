"""The stores under test on DynamoDB: moto in this process, with the template's own table.

moto checks a condition and writes in two steps, which threads can get between; DynamoDB does not
let them. So one request at a time goes to it, as DynamoDB serializes what is written to an item.

``ORDERFLOW_TEST_DYNAMODB=http://127.0.0.1:PORT`` holds the stores to another engine with the same
tests, such as MiniStack.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.local.template.loader import Template
from infra.local.template.project import TEMPLATE
from inventory.dynamodb import DynamoInventory
from inventory.dynamodb_shards import SHARD, STOCK, stock_of, whole
from inventory.model import Stock
from kernel.order_record import Entry, Message
from orders.dynamodb import DynamoOrders
from payments.dynamodb import DynamoLedger
from shipping.dynamodb import DynamoShipments
from storage.dynamodb.order_item import ATTRIBUTES, from_entry, from_message, order_key
from storage.dynamodb.table import Item, Table
from tests.fakes.quick_moto import quick_aws

_NUMBERS = count(1)
_AS_THE_API_HAS_IT = (
    "BillingMode",
    "AttributeDefinitions",
    "KeySchema",
    "GlobalSecondaryIndexes",
)


@contextmanager
def moto() -> Iterator["OneAtATime"]:
    """Return the client of a new AWS; one for each module, since it is slow to start."""
    engine = os.environ.get("ORDERFLOW_TEST_DYNAMODB")
    if engine:
        session = boto3.Session("testing", "testing", region_name="us-east-1")
        yield OneAtATime(session.client("dynamodb", endpoint_url=engine))
        return
    with quick_aws():
        yield OneAtATime(boto3.client("dynamodb", region_name="us-east-1"))


class OneAtATime:
    """A client with one request at a time; ``calls`` has all requests."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self._turn = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        operation: Callable[..., Any] = getattr(self.client, name)

        def request(**arguments: Any) -> Any:
            with self._turn:
                self.calls.append((name, arguments))
                return operation(**arguments)

        return request


class Contending:
    """A client that refuses writes to the items of a running transaction.

    DynamoDB does so (Transactions, How it works: Transaction conflict handling): a transaction is
    cancelled with a reason for each item, and a single write gets `TransactionConflictException`.
    ``seconds`` is the duration of a transaction; ``refused`` has the refused keys of each request.
    """

    def __init__(self, client: Any, seconds: float) -> None:
        self.client = client
        self.refused: list[list[str]] = []
        self._seconds = seconds
        self._held: set[str] = set()
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def update_item(self, **arguments: Any) -> Any:
        self._require_free(arguments, "UpdateItem")
        return self.client.update_item(**arguments)

    def delete_item(self, **arguments: Any) -> Any:
        self._require_free(arguments, "DeleteItem")
        return self.client.delete_item(**arguments)

    def transact_write_items(self, **arguments: Any) -> Any:
        keys = [_name(write) for item in arguments["TransactItems"] for write in item.values()]
        with self._lock:
            busy = [key in self._held for key in keys]
            if any(busy):
                self.refused.append([key for key in keys if key in self._held])
            else:
                self._held.update(keys)
        if any(busy):
            codes = ["TransactionConflict" if each else "None" for each in busy]
            reasons = [{"Code": code} for code in codes]
            error = {"Code": "TransactionCanceledException", "Message": "of the test"}
            answer: Any = {"Error": error, "CancellationReasons": reasons}
            raise ClientError(answer, "TransactWriteItems")
        try:
            time.sleep(self._seconds)
            return self.client.transact_write_items(**arguments)
        finally:
            with self._lock:
                self._held.difference_update(keys)

    def _require_free(self, arguments: Mapping[str, Any], operation: str) -> None:
        key = _name(arguments)
        with self._lock:
            if key not in self._held:
                return
            self.refused.append([key])
        error: Any = {"Code": "TransactionConflictException", "Message": "of the test"}
        raise ClientError({"Error": error}, operation)


def _name(write: Mapping[str, Any]) -> str:
    key = write["Key"]
    return f"{write['TableName']} {key['pk']['S']} {key['sk']['S']}"


def create(client: Any, resource: str = "OrdersTable", *, stream: bool = False) -> Table:
    """Create a new table from the template, optionally with its stream, and return it."""
    name = f"{resource}-{next(_NUMBERS)}"
    asked = dict(_asked(resource))
    if not stream:
        del asked["StreamSpecification"]  # moto copies it all in every transaction
    client.create_table(TableName=name, **asked)
    return Table(name, lambda: client)


@cache
def _asked(resource: str) -> Mapping[str, Any]:
    properties = Template(TEMPLATE, {}, lambda *_: {}).resources[resource]["Properties"]
    stream = {"StreamEnabled": True, **properties.get("StreamSpecification", {})}
    asked = {key: properties[key] for key in _AS_THE_API_HAS_IT if key in properties}
    return {**asked, "StreamSpecification": stream}


class DynamoStores:
    """The stores on one DynamoDB table (see `tests.integration.stores.Stores`)."""

    broken: tuple[type[Exception], ...] = (ValueError, TypeError)

    def __init__(self, client: Any) -> None:
        self.client = client
        self.table = create(client)

    def orders(self) -> DynamoOrders:
        return DynamoOrders(self._open())

    def inventory(self) -> DynamoInventory:
        return DynamoInventory(self._open())

    def ledger(self) -> DynamoLedger:
        return DynamoLedger(self._open())

    def shipments(self) -> DynamoShipments:
        return DynamoShipments(self._open())

    def timeline(self, order_id: str) -> list[tuple[int | None, Entry]]:
        items = self.table.collection(order_key(order_id)[0])
        return [from_entry(stored) for item in items for stored in item.get("tl", ())]

    def outbox(self) -> list[tuple[Message, float]]:
        waiting = [
            (*from_message(stored), key)
            for item in self.table.scan()
            for key, stored in item.get("out", {}).items()
        ]
        waiting.sort(key=lambda one: (one[1], one[2]))
        return [(message, at) for message, at, _ in waiting]

    def charges(self) -> dict[str, tuple[str, int, str | None]]:
        return {
            _id(item): (
                item.get("lst") or item[ATTRIBUTES["charge"]],
                item["tot"],
                item.get("lref"),
            )
            for item in self.table.scan()
            if "lupd" in item
        }

    def parcels(self) -> dict[str, tuple[str, str]]:
        return {
            _id(item): (
                item.get("sst") or item[ATTRIBUTES["shipment"]],
                item.get("strk") or item[ATTRIBUTES["tracking_number"]],
            )
            for item in self.table.scan()
            if "supd" in item
        }

    def stock(self) -> dict[str, Stock]:
        items = [item for item in self.table.scan() if item["sk"] in (STOCK, SHARD)]
        return {stock.sku: stock for stock in map(stock_of, whole(items))}

    def everything(self) -> Mapping[str, Any]:
        return {f"{item['pk']} {item['sk']}": item for item in self.table.scan()}

    def close(self) -> None:
        self.client.delete_table(TableName=self.table.name)

    def _open(self) -> Table:
        return Table(self.table.name, lambda: self.client)


def _id(item: Item) -> str:
    return str(item["pk"]).partition("#")[2]
