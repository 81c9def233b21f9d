"""The bill's DynamoDB units equal those of the adapters: the reference order, on moto.

Sizes follow DynamoDB's rules (Item sizes and formats), units those of on-demand capacity.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from infra.cost.approvals import ADDED, PAGE
from infra.cost.bill import REFERENCE_LINES
from infra.cost.deployment import OVER_1KB, RELAYED, SEARCHED_READS, STEPS
from infra.cost.monthly import ORDER_BYTES
from infra.cost.prices import PRICES
from infra.cost.refusals import SENT, TOLD
from infra.cost.work import API, CONFIRMATION, RELAY
from inventory import usecases as inventory
from inventory.dynamodb import DynamoInventory
from inventory.model import Receipt
from kernel.approval import Thresholds, link_code
from kernel.errors import ApprovalRequired, InvalidEvent
from kernel.events import OrderCreated, parse_detail
from kernel.order_status import Approval, ChargeStatus, ShipmentStatus
from notifications import approvals as asking
from notifications import usecases as notifications
from notifications.approval_mail import Reviewer
from notifications.dynamodb import DynamoMails
from orders import approvals, outbox
from orders import usecases as orders
from orders.dynamodb import DynamoOrders, DynamoOutbox
from payments import usecases as payments
from payments.dynamodb import DynamoLedger
from payments.model import GatewayRecord
from shipping import usecases as shipping
from shipping.dynamodb import DynamoShipments
from shipping.model import Shipment
from storage.dynamodb.order_item import order_key
from storage.dynamodb.table import Table
from tests.integration.dynamo_stores import create, moto

ORDER = "G1-000123"
OWNER = "_".join(["3f0a7c52-5a8e-4d39-9d3b-0a4f1c7e2b11"] * 2)
"""The name of a run that a rule started: EventBridge uses two UUIDs."""

ADDRESS = {
    "name": "A. Customer",
    "street": "120 Harbour Street",
    "city": "Lisbon",
    "country": "Portugal",
}


def size(attribute: Mapping[str, Any]) -> int:
    """Return the bytes of a value."""
    kind: str
    value: Any
    [(kind, value)] = attribute.items()
    match kind:
        case "S":
            return len(str(value).encode())
        case "B":
            return len(bytes(value))
        case "N":
            digits = str(value).lstrip("-").replace(".", "").strip("0")
            return math.ceil(len(digits) / 2) + 1 + str(value).startswith("-")
        case "L":
            return 3 + sum(1 + size(item) for item in value)
        case "M":
            return 3 + item_size(value) + len(value)
    return 1


def item_size(item: Mapping[str, Any]) -> int:
    return sum(len(name.encode()) + size(value) for name, value in item.items())


class Meter:
    """A client that counts billed units by step."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.step = ""
        self.reads: defaultdict[str, float] = defaultdict(float)
        self.writes: defaultdict[str, float] = defaultdict(float)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get_item(self, **request: Any) -> Any:
        answer = self.client.get_item(**request)
        factor = 1 if request.get("ConsistentRead") else 0.5
        self.reads[self.step] += (
            max(1, math.ceil(item_size(answer.get("Item", {})) / 4096)) * factor
        )
        return answer

    def batch_get_item(self, **request: Any) -> Any:
        answer = self.client.batch_get_item(**request)
        [(table, keys)] = request["RequestItems"].items()
        factor = 1 if keys.get("ConsistentRead") else 0.5
        for item in answer["Responses"][table]:
            self.reads[self.step] += math.ceil(item_size(item) / 4096) * factor
        return answer

    def delete_item(self, **request: Any) -> Any:
        return self._write(self.client.delete_item, request, [request], 1)

    def update_item(self, **request: Any) -> Any:
        return self._write(self.client.update_item, request, [request], 1)

    def transact_write_items(self, **request: Any) -> Any:
        updates = [item["Update"] for item in request["TransactItems"]]
        return self._write(self.client.transact_write_items, request, updates, 2)

    def present(self, update: Mapping[str, Any]) -> dict[str, Any]:
        key = {name: update[name] for name in ("TableName", "Key")}
        item: dict[str, Any] = self.client.get_item(**key, ConsistentRead=True).get("Item", {})
        return item

    def _write(
        self,
        operation: Callable[..., Any],
        request: Mapping[str, Any],
        updates: list[Mapping[str, Any]],
        times: int,
    ) -> Any:
        before = [self.present(update) for update in updates]
        answer = operation(**request)
        for update, old in zip(updates, before, strict=True):
            new = self.present(update)
            larger = max(item_size(old), item_size(new))
            index = 0
            for partition, sort in (("gpk", "gsk"), ("dp", "due")):
                moved = any(old.get(name) != new.get(name) for name in (partition, sort))
                index += moved * sum(partition in item for item in (old, new))
            self.writes[self.step] += math.ceil(larger / 1024) * times + index
        return answer


class Partners:
    """The other services: the gateway, the carrier, the mail server, the bus."""

    def find(self, key: str) -> None:
        return None

    def charge(self, charge: Any) -> GatewayRecord:
        return GatewayRecord(charge.key, ChargeStatus.CHARGED, "ch_3MmlLrLkdIwHu7ix0snN0B15")

    def create(self, consignment: Any) -> Shipment:
        number = "1Z999AA10123456784"
        return Shipment(consignment.shipment_id, ShipmentStatus.CREATED, number)

    def send(self, name: str, mail: Any) -> None:
        pass

    def put(self, messages: Any) -> list[str | None]:
        return [None] * len(messages)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with moto() as client:
        yield client


def event(lines: int) -> dict[str, Any]:
    """Return the event of an order from upstream."""
    items = [
        {"sku": f"TEA-GREEN-{number}00", "quantity": 2, "unit_price": 12.5}
        for number in range(lines)
    ]
    detail = {
        "order_id": ORDER,
        "customer_id": "C-123",
        "currency": "USD",
        "items": items,
        "total": 25.0 * lines,
        "timestamp": "2026-01-31T12:00:00Z",
        "email": "customer123@example.com",
        "shipping_address": ADDRESS,
        "payment_token": "tok_visa_4242",
    }
    return {"source": "orders.service", "detail-type": "Order Created", "detail": detail}


class Platform:
    """The services on one metered table; each step runs under its function's name."""

    def __init__(self, client: Any, lines: int, **more: Any) -> None:
        self.meter = Meter(client)
        self.name = create(client).name
        self.event = event(lines)
        self.event["detail"] |= more
        self.order_id = self.event["detail"]["order_id"]
        table, others, clock = (
            Table(self.name, lambda: self.meter),
            Partners(),
            count(1_769_860_800),
        )

        def now() -> float:
            return next(clock) + 0.137

        self.store = DynamoOrders(table)
        self.orders = orders.Ports(self.store, now, orders.Policy())
        self.stock = inventory.Ports(DynamoInventory(table), now)
        self.ledger = payments.Ports(DynamoLedger(table), others, now)  # type: ignore[arg-type]
        self.parcels = shipping.Ports(DynamoShipments(table), others, now)  # type: ignore[arg-type]
        self.mails = notifications.Ports(DynamoMails(table), others, "orders@example.com", now)
        self.sender = outbox.Ports(DynamoOutbox(table), others, now)
        units = {item["sku"]: 100 for item in self.event["detail"]["items"]}
        self.stock.store.receive(Receipt("digest", units), self.stock.now())

    @contextmanager
    def as_step(self, name: str) -> Iterator[None]:
        self.meter.step = name
        yield
        self.meter.step = ""

    def process(self) -> None:
        """Process an order on the happy path."""
        order_id = self.order_id
        with self.as_step("ValidateOrderFunction"):
            epoch = orders.claim(self.event, OWNER, self.orders).epoch
        with self.as_step("CheckInventoryFunction"):
            inventory.reserve(order_id, epoch, self.stock)
        with self.as_step("ProcessPaymentFunction"):
            payments.pay(order_id, epoch, self.ledger)
        with self.as_step("UpdateInventoryFunction"):
            inventory.commit(order_id, epoch, self.stock)
        with self.as_step("CreateShipmentFunction"):
            shipping.ship(order_id, epoch, self.parcels)
        with self.as_step("CompleteOrderFunction"):
            orders.complete(order_id, epoch, self.orders)
        self.send("Order Completed")
        with self.as_step("SendConfirmationFunction"):
            notifications.confirm(order_id, self.mails)

    def place(self) -> None:
        """Place the order over HTTP."""
        with self.as_step("OrdersApiFunction"):
            placed = parse_detail(OrderCreated, self.event["detail"])
            orders.place(placed, self.orders)
        self.send("Order Created")

    def item(self) -> dict[str, Any]:
        """Return the order's item."""
        pk, sk = order_key(self.order_id)
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        return self.meter.present({"TableName": self.name, "Key": key})

    def send(self, name: str) -> None:
        """Relay the outbox of the order's item."""
        image = self.item()
        record = {"eventID": "1", "dynamodb": {"NewImage": image, "SequenceNumber": "1"}}
        with self.as_step(name):
            assert not outbox.relay([record], self.sender, lambda: 60.0)

    def charged(self, step: str) -> tuple[float, float]:
        """Return the units that a step read and wrote."""
        return self.meter.reads[step], self.meter.writes[step]


@pytest.mark.parametrize("lines", [math.floor(REFERENCE_LINES), math.ceil(REFERENCE_LINES)])
def test_each_step_uses_the_dynamodb_units_of_the_bill(client: Any, lines: int) -> None:
    platform = Platform(client, lines)
    platform.process()
    steps = {**STEPS, **RELAYED}
    for name in steps.keys() - {"OrdersApiFunction", "Order Created"}:
        writes = steps[name].write_units(lines, PRICES.transaction_multiplier)
        assert platform.charged(name) == (steps[name].reads, writes), name


def test_an_order_over_http_uses_the_dynamodb_units_of_the_bill(client: Any) -> None:
    platform = Platform(client, 3)
    platform.place()
    placed, validated, sent = (
        STEPS["OrdersApiFunction"],
        STEPS["ValidateOrderFunction"],
        RELAYED["Order Created"],
    )
    units = placed.write_units(3, PRICES.transaction_multiplier)
    assert platform.charged("OrdersApiFunction") == (placed.reads, units)
    assert platform.charged("Order Created") == (sent.reads, sum(sent.writes))
    platform.process()
    units = validated.write_units(3, PRICES.transaction_multiplier)
    assert platform.charged("ValidateOrderFunction") == (validated.reads, units)


def test_a_refused_event_uses_the_dynamodb_units_of_the_bill(client: Any) -> None:
    platform = Platform(client, 3)
    wrong = platform.event | {"id": UUID}
    wrong["detail"] = wrong["detail"] | {"total": 1}
    records: list[dict[str, Any]] = []
    with platform.as_step("told"), pytest.raises(InvalidEvent):
        orders.claim(wrong, OWNER, platform.orders)
    records += platform.meter.client.scan(TableName=platform.name)["Items"]
    [told] = [record for record in records if record["sk"] == {"S": "outbox"}]
    record = {"eventID": "1", "dynamodb": {"NewImage": told, "SequenceNumber": "1"}}
    with platform.as_step("sent"):
        assert not outbox.relay([record], platform.sender, lambda: 60.0)
    assert platform.charged("told") == (TOLD.reads, sum(TOLD.writes) + TOLD.index)
    assert platform.charged("sent") == (SENT.reads, sum(SENT.writes) + SENT.index)


def test_a_decision_uses_the_dynamodb_units_of_the_bill(client: Any) -> None:
    platform = Platform(client, 3)
    ledger = replace(platform.ledger, approved=Thresholds(7_500, {}))
    order_id = platform.order_id
    epoch = orders.claim(platform.event, OWNER, platform.orders).epoch
    inventory.reserve(order_id, epoch, platform.stock)
    with platform.as_step("ProcessPaymentFunction"), pytest.raises(ApprovalRequired):
        payments.pay(order_id, epoch, ledger)
    with platform.as_step("RequestApprovalFunction"):
        approvals.request(order_id, epoch, platform.orders)
    body = json.dumps({"order_id": order_id, "token": TASK_TOKEN})
    reviewer = Reviewer("reviewer@example.com", "https://orders.example.com")
    with platform.as_step(CONFIRMATION):
        assert asking.take_message(body, reviewer, platform.mails) == "ASKED"
    code = link_code(order_id, TASK_TOKEN)
    with platform.as_step(PAGE):
        approvals.require_link(platform.store.read(order_id), code)
    with platform.as_step(API):
        approvals.decide_by_link(order_id, code, Approval.APPROVED, "known", platform.orders)
    platform.send(RELAY)
    resume = {"resume": {"order_id": order_id}}
    with platform.as_step("ValidateOrderFunction"):
        epoch = orders.claim(resume, f"{order_id}-decided", platform.orders).epoch
    with platform.as_step("CheckInventoryFunction"):
        inventory.reserve(order_id, epoch, platform.stock)
    payments.pay(order_id, epoch, ledger)
    for name, step in ADDED.items():
        assert platform.charged(name) == (step.reads, sum(step.writes) + step.index), name


TASK_TOKEN = "AQCEAAAAKgAAAAMAAAAAAAAAA" + "t" * 675
"""A task token as long as those of AWS usually are; at most 2,048 characters are documented."""

UUID = "0b9f6a5e-2f0c-4f53-8f0e-6f3c1a2b4d5e"
LARGER = {
    "order_id": UUID,
    "customer_id": UUID,
    "email": "alexandra.montgomery@example.com",
    "shipping_address": {
        "name": "Alexandra Montgomery-Jones",
        "street": "1600 Amphitheatre Parkway, Apartment 4B",
        "city": "San Francisco",
        "region": "California",
        "postal_code": "94043-1351",
        "country": "US",
    },
}


@pytest.mark.parametrize("lines", [math.floor(REFERENCE_LINES), math.ceil(REFERENCE_LINES)])
def test_an_order_over_1_kb_uses_the_additional_units_of_the_bill(client: Any, lines: int) -> None:
    platform = Platform(client, lines, **LARGER)
    platform.process()
    for name in (STEPS.keys() | RELAYED) - {"OrdersApiFunction", "Order Created"}:
        step = STEPS.get(name) or RELAYED[name]
        writes = step.write_units(lines, PRICES.transaction_multiplier) + OVER_1KB.get(name, 0)
        assert platform.charged(name) == (step.reads, writes), name
    assert 1024 < item_size(platform.item()) <= ORDER_BYTES - 100


def test_the_search_for_lost_events_reads_the_units_of_the_bill(client: Any) -> None:
    platform = Platform(client, 3)
    platform.process()
    with platform.as_step("search"):
        assert platform.store.unknown([platform.order_id]) == []
    assert platform.charged("search") == (SEARCHED_READS, 0)
