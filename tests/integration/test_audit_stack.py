"""`orders audit` of a deployed stack, on moto: its table, its sandbox's table, and its queues."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infra.audit.findings import Finding, Report
from infra.audit.stack import audit
from infra.deployed.stack import DeployedStack
from inventory import usecases as inventory
from inventory.dynamodb import DynamoInventory, receipt_key
from inventory.dynamodb_shards import Shards, stock_key
from inventory.model import Receipt
from kernel.idempotency import charge_id, shipment_id
from kernel.order_record import Entry, Message
from orders import change_requests
from orders import usecases as orders
from orders.dynamodb import DynamoOrders, DynamoOutbox
from orders.usecases import Policy
from payments import usecases as payments
from payments.dynamodb import DynamoGateway, DynamoLedger
from shipping import usecases as shipping
from shipping.dynamodb import DynamoCarrier, DynamoShipments
from storage.dynamodb.order_item import ATTRIBUTES, order_key
from storage.dynamodb.table import Table, Update
from tests.fakes.events import envelope
from tests.fakes.records import NOW
from tests.integration import deployed
from tests.integration.dynamo_stores import create

PAID, FAILED, WAITS, HELD = "A-1", "A-2", "A-3", "A-4"


@dataclass(frozen=True, slots=True)
class Shop:
    """A stack with its sandbox, and the use cases that write to it."""

    stack: DeployedStack
    table: Table
    sandbox: Table

    def claim(self, order_id: str, units: int = 1) -> int:
        items = [{"sku": "TEA", "quantity": units, "unit_price": 10}]
        event = envelope(order_id=order_id, items=items, total=10 * units, currency="USD")
        ports = orders.Ports(DynamoOrders(self.table), lambda: NOW, Policy())
        return orders.claim(event, "run", ports).epoch

    def reserve(self, order_id: str, epoch: int) -> None:
        inventory.reserve(order_id, epoch, self.stock)

    def pay(self, order_id: str, epoch: int) -> None:
        payments.pay(order_id, epoch, self.money)

    @property
    def stock(self) -> inventory.Ports:
        return inventory.Ports(DynamoInventory(self.table), lambda: NOW)

    @property
    def money(self) -> payments.Ports:
        gateway = DynamoGateway(self.sandbox, lambda: NOW)
        return payments.Ports(DynamoLedger(self.table), gateway, lambda: NOW)

    @property
    def parcels(self) -> shipping.Ports:
        return shipping.Ports(DynamoShipments(self.table), DynamoCarrier(self.sandbox), lambda: NOW)

    @property
    def orders(self) -> orders.Ports:
        return orders.Ports(DynamoOrders(self.table), lambda: NOW, Policy())

    def relayed(self) -> None:
        """Empty the outboxes, as the relay does."""
        outbox = DynamoOutbox(self.table)
        for parcel in outbox.overdue(NOW + 1_000, 100):
            outbox.remove(parcel, list(parcel.messages))

    def audit(self, later: float = 60) -> Report:
        return audit(self.stack, NOW + later, sleep=lambda _: None, patience=0)

    def findings(self, later: float = 60) -> list[Finding]:
        return self.audit(later).findings.first


@pytest.fixture(scope="module")
def opened() -> Iterator[Shop]:
    """Create a stack with a paid, a failed, a waiting and a reserved order."""
    with deployed.stack() as deployment:
        client = deployment.client("dynamodb")
        sandbox = create(client, "SandboxTable")
        stack = DeployedStack(
            {**deployment.names, "SandboxTable": sandbox.name}, deployment.account
        )
        opened = Shop(stack, stack.table(), sandbox)
        opened.stock.store.receive(Receipt("digest", {"TEA": 9}), opened.stock.now())
        epoch = opened.claim(PAID)
        opened.reserve(PAID, epoch)
        opened.pay(PAID, epoch)
        inventory.commit(PAID, epoch, opened.stock)
        shipping.ship(PAID, epoch, opened.parcels)
        orders.complete(PAID, epoch, opened.orders)
        epoch = opened.claim(FAILED)
        opened.reserve(FAILED, epoch)
        opened.pay(FAILED, epoch)
        undo = orders.compensate(FAILED, epoch, {"reason": "Carrier"}, "run", opened.orders).epoch
        shipping.void(FAILED, undo, opened.parcels)
        payments.refund(FAILED, undo, opened.money)
        inventory.release(FAILED, undo, opened.stock)
        orders.fail(FAILED, undo, opened.orders)
        early = envelope("Order Cancelled", order_id="A-9")
        change_requests.apply_request(
            early, opened.orders
        )  # a request before its order is no order
        epoch = opened.claim(WAITS, units=99)
        short = {"reason": "OutOfStock", "missing": []}
        orders.pause(WAITS, epoch, short, opened.orders)
        opened.reserve(HELD, opened.claim(HELD, units=2))
        opened.relayed()
        yield opened


@pytest.fixture
def shop(opened: Shop) -> Iterator[Shop]:
    """Give the same stack, and restore its tables after each test."""
    client = opened.stack.client("dynamodb")
    tables = (opened.table.name, opened.sandbox.name)
    before = {name: client.scan(TableName=name)["Items"] for name in tables}
    yield opened
    for name in tables:
        for item in client.scan(TableName=name)["Items"]:
            client.delete_item(TableName=name, Key={key: item[key] for key in ("pk", "sk")})
        for item in before[name]:
            client.put_item(TableName=name, Item=item)


@pytest.mark.long
def test_a_stack_that_the_platform_wrote_is_sound(shop: Shop) -> None:
    report = shop.audit()
    assert [str(finding) for finding in report.findings.first] == []
    checked = {"orders": 4, "in_flight": 2, "charges": 2, "shipments": 2, "skus": 1}
    assert report.checked == checked
    assert report.unchecked == ["Events: no API reads the bus's archive"]


def put(shop: Shop, key: tuple[str, str], **attributes: object) -> None:
    update = Update(*key)
    update.put(**attributes)
    shop.table.write(update)


def at_gateway(shop: Shop, order: str, number: int = 0, **attributes: object) -> None:
    update = Update(f"charge#{charge_id(order)}", f"charge#{number:04}")
    update.put(number=number, **attributes)
    shop.sandbox.write(update)


def at_carrier(shop: Shop, order_id: str, status: str) -> None:
    update = Update(f"shipment#{shipment_id(order_id)}", "shipment")
    update.put(status=status)
    shop.sandbox.write(update)


CHARGE: dict[str, Any] = {
    "status": "CHARGED",
    "at": NOW,
    "amount": 1000,
    "currency": "USD",
}

BROKEN: list[tuple[Callable[[Shop], object], str, str]] = [
    (lambda shop: put(shop, order_key(PAID), lst="REFUNDED"), "Money", PAID),
    (lambda shop: put(shop, order_key(PAID), sst="VOIDED"), "Shipment", PAID),
    (lambda shop: put(shop, order_key(PAID), **{ATTRIBUTES["reservation"]: "RELEASED"}),
     "Stock", PAID),
    (lambda shop: put(shop, order_key(PAID), **{ATTRIBUTES["status"]: "LOST"}), "Files", PAID),
    (lambda shop: put(shop, stock_key("TEA"), reserved=3), "Stock", "TEA"),
    (lambda shop: put(shop, receipt_key("digest"), units=10), "Stock", "stock"),
    (lambda shop: at_gateway(shop, PAID, status="REFUNDED"), "Money", PAID),
    (lambda shop: at_gateway(shop, PAID, 1, order_id=PAID, **CHARGE), "Money", PAID),
    (lambda shop: at_gateway(shop, FAILED, status="CHARGED"), "Money", FAILED),
    (lambda shop: at_gateway(shop, "X-9", order_id="X-9", **CHARGE), "Money", "X-9"),
    (lambda shop: shop.sandbox.delete(f"charge#{charge_id(PAID)}", "charge#0000"), "Money", PAID),
    (lambda shop: at_carrier(shop, FAILED, "CREATED"), "Shipment", FAILED),
]  # fmt: skip


@pytest.mark.parametrize(("act", "invariant", "subject"), BROKEN)
def test_each_broken_invariant_is_reported(
    shop: Shop, act: Callable[[Shop], object], invariant: str, subject: str
) -> None:
    act(shop)
    matching = [finding for finding in shop.findings() if subject in finding.subject]
    assert invariant in {finding.invariant for finding in matching}, shop.findings()


def test_an_order_without_pending_work_is_reported_unless_it_has_a_dead_letter(
    shop: Shop,
) -> None:
    later = 7200.0
    ends = {finding.subject for finding in shop.findings(later) if finding.invariant == "End"}
    assert ends == {f"order {WAITS}", f"order {HELD}"}
    letter = {"order_id": HELD, "reason": {"error": "CarrierError", "cause": "{}"}}
    shop.stack.client("sqs").send_message(
        QueueUrl=shop.stack.name("AttentionQueue"), MessageBody=json.dumps(letter)
    )
    ends = {finding.subject for finding in shop.findings(later) if finding.invariant == "End"}
    assert ends == {f"order {WAITS}"}
    shop.stack.client("sqs").purge_queue(QueueUrl=shop.stack.name("AttentionQueue"))


def test_the_shards_of_a_sku_are_audited_as_its_stock(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory.dynamodb_shards.SHARDS", 2)
    monkeypatch.setattr("inventory.dynamodb_shards.MIN_SHARE", 1)
    Shards(shop.table).split("TEA")
    assert shop.table.get(*stock_key("TEA", 2))
    report = shop.audit()
    assert report.findings.first == []
    assert report.checked["skus"] == 1
    put(shop, stock_key("TEA", 2), shipped=1)
    assert {finding.subject for finding in shop.findings()} == {"SKU TEA"}


def test_an_overdue_outbox_is_reported(shop: Shop) -> None:
    DynamoOrders(shop.table).send(Message("run", {"name": "x", "input": {}}), NOW)
    assert shop.findings(60) == []
    [only] = [finding for finding in shop.findings(3600) if finding.invariant == "Events"]
    assert "its run is pending since" in only.problem
    assert "RelayFunction" in only.remedy


class Moving:
    """A client that changes an order after each scan and before each reading."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.client = shop.stack.client("dynamodb")
        self.notes = 0

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.client, name)

        def request(**arguments: Any) -> Any:
            if name == "batch_get_item":
                self.notes += 1
                self.shop.orders.store.note(HELD, Entry("DUPLICATE_IGNORED", NOW + self.notes))
            return operation(**arguments)

        return request


def test_stock_is_not_compared_while_orders_change(shop: Shop) -> None:
    put(shop, stock_key("TEA"), reserved=3)
    moving = Moving(shop)
    account = deployed.FakeAccount(region=deployed.REGION)
    vars(account)["client"] = lambda service, **config: (
        moving if service == "dynamodb" else shop.stack.client(service, **config)
    )
    report = audit(
        DeployedStack(shop.stack.names, account), NOW + 60, sleep=lambda _: None, patience=0
    )
    assert moving.notes > 1
    assert report.findings.first == []
    assert any("orders changed while they were read" in line for line in report.unchecked)


def test_a_stack_without_a_sandbox_reports_the_unchecked_part(shop: Shop) -> None:
    names = {
        name: physical for name, physical in shop.stack.names.items() if name != "SandboxTable"
    }
    report = audit(
        DeployedStack(names, shop.stack.account), NOW + 60, sleep=lambda _: None, patience=0
    )
    assert "the partners' own records: the stack has no sandbox" in report.unchecked


def test_the_command_exits_with_1_for_a_stack_that_is_broken(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.deployed.stack.find", lambda account, name: shop.stack)
    monkeypatch.setattr("kernel.clock.time.time", lambda: NOW + 60)
    answer = deployed.answer("audit")
    assert answer["ok"]
    at_gateway(shop, PAID, amount=999)
    result = deployed.run("audit", *deployed.PLACE, "--json")
    answer = json.loads(result.stdout.splitlines()[-1])
    assert (answer["ok"], answer["number"]) == (False, 1)
    assert answer["findings"][0]["subject"] == f"order {PAID}"
    assert "1 findings" in str(result.exception)
