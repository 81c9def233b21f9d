"""The audit of a deployed stack: its table, and the table of its sandbox.

Items are read one after the other; those that can change are read until two readings agree. The
stock is compared with the orders only if they do. The comparison with the partners uses a database
in a temporary folder and the same queries as on one machine.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.audit.findings import MOVED, Finding, Invariant, Report
from infra.audit.in_flight import GRACE, REMEDY, orders_in, problem_of
from infra.audit.partners import Partners
from infra.audit.rules import StockBook, check_order
from infra.deployed.stack import DeployedStack
from infra.moving.dynamodb import IMPORT
from infra.moving.queues import StackQueues
from infra.moving.reading import Reading
from inventory.dynamodb import RECEIPT
from inventory.dynamodb_shards import SHARD, STOCK, stock_of, whole
from kernel.clock import timestamp
from kernel.errors import StoreError
from kernel.idempotency import shipment_id
from kernel.order_record import OrderRecord
from payments.dynamodb import charge_of
from shipping.dynamodb import shipment_of
from storage.dynamodb.order_item import ORDER, from_message, is_order, to_record
from storage.dynamodb.table import Item, Table

SANDBOX = "SandboxTable"

_SCHEMA = """
create table orders (order_id text primary key, status text, total integer, currency text,
    created_at real, parcel text);
create index orders_by_parcel on orders (parcel);
create table charges (order_id text primary key, charge_id text, status text);
create table shipments (order_id text primary key, shipment_id text, status text);
create table partners.gateway_charges (id integer primary key, key text, order_id text,
    amount integer, currency text, status text);
create index partners.gateway_charges_by_key on gateway_charges (key);
create table partners.carrier_shipments (shipment_id text primary key, order_id text, status text);
"""


def audit(
    stack: DeployedStack,
    now: float,
    sleep: Callable[[float], None] = time.sleep,
    patience: int = 1,
) -> Report:
    """Return the findings of a stack.

    ``patience`` is the wait for an empty queue in seconds (see `infra.moving.queues`).
    """
    report = Report()
    report.unchecked.append("Events: no API reads the bus's archive")
    with TemporaryDirectory(prefix="orders-") as folder:
        connection = sqlite3.connect(Path(folder) / "orders.db", isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("pragma synchronous = off")
            connection.execute("attach ? as partners", (str(Path(folder) / "partners.db"),))
            connection.executescript(_SCHEMA)
            _Audit(stack, connection, report, now, patience).run(sleep)
        finally:
            connection.close()
    return report


class _Audit:
    """One audit of a stack."""

    def __init__(
        self,
        stack: DeployedStack,
        connection: sqlite3.Connection,
        report: Report,
        now: float,
        patience: int,
    ) -> None:
        self.stack = stack
        self.connection = connection
        self.report = report
        self.now = now
        self.patience = patience
        self.book = StockBook()
        self.stock: list[Item] = []
        self.received = 0
        self.moved = 0.0
        self.stranded: list[tuple[OrderRecord, str]] = []
        self.counts = dict.fromkeys(("orders", "in_flight", "charges", "shipments", "skus"), 0)

    def run(self, sleep: Callable[[float], None]) -> None:
        """Read the tables, and check them."""
        add = self.report.findings.add
        reading = Reading(self.stack.table(), sleep)
        self.connection.execute("begin")
        for items in (reading.settled, reading.moving):
            for item in items():
                add(self._item(item))
        if reading.rested:
            stock = (stock_of(item)._asdict() for item in whole(self.stock))
            add(self.book.check(stock, self.received))
        else:
            self.report.unchecked.append(
                "Stock: orders changed while they were read, so they were not compared with it; try"
                " again"
            )
        add(self._check_stranded())
        add(self._partners())
        self.connection.execute("commit")
        self.report.checked |= self.counts
        if self.moved:
            self.report.unchecked.append(MOVED)

    def _item(self, item: Item) -> Iterator[Finding]:
        kind = str(item["sk"]).partition("#")[0]
        name = str(item["pk"]).partition("#")[2]
        yield from self._outbox(item, name)
        if kind in (STOCK, SHARD):
            self.counts["skus"] += kind == STOCK
            self.stock.append(item)
        elif kind == RECEIPT:
            self.received += item["units"]
        elif kind == IMPORT:
            self.moved = max(self.moved, float(item["newest"]))
        elif is_order(item):
            try:
                record = to_record(item)
            except StoreError as error:
                remedy = "restore the table as of a point in time"
                yield Finding(Invariant.FILES, f"order {name}", str(error), remedy)
                return
            yield from self._order(record, item)

    def _order(self, record: OrderRecord, item: Item) -> Iterator[Finding]:
        charge: Any = charge_of(item)
        shipment: Any = shipment_of(item)
        yield from check_order(record, charge, shipment)
        self.book.add(record)
        self.counts["orders"] += 1
        values = (record.order_id, str(record.status), record.total, record.currency)
        self.connection.execute(
            "insert or replace into orders values (?, ?, ?, ?, ?, ?)",
            (*values, record.created_at, shipment_id(record.order_id)),
        )
        if charge:
            self._insert("charges", record, charge["charge_id"], charge["status"])
        if shipment:
            self._insert("shipments", record, shipment["shipment_id"], shipment["status"])
        if not record.ended:
            self.counts["in_flight"] += 1
            problem = problem_of(record._asdict(), record.updated_at, self.now, self.now)
            if problem and not item.get("out"):
                self.stranded.append((record, problem))

    def _insert(self, table: str, record: OrderRecord, key: str, status: str) -> None:
        self.counts[table] += 1
        self.connection.execute(
            f"insert or replace into {table} values (?, ?, ?)", (record.order_id, key, str(status))
        )

    def _outbox(self, item: Item, name: str) -> Iterator[Finding]:
        for stored in (item.get("out") or {}).values():
            message, at = from_message(stored)
            if at < self.now - GRACE:
                problem = f"its {message.kind} is pending since {timestamp(at)}"
                remedy = "see RelayDeadLetterQueue, and the log of RelayFunction"
                yield Finding(Invariant.EVENTS, f"outbox of {name}", problem, remedy)

    def _check_stranded(self) -> Iterator[Finding]:
        """Yield findings of orders without pending work and without a dead letter."""
        letters = StackQueues(self.stack, self.patience).letters() if self.stranded else iter(())
        named = {order_id for letter in letters for order_id in orders_in(letter["body"])}
        for record, problem in self.stranded:
            if record.order_id not in named:
                subject, remedy = f"order {record.order_id}", REMEDY.format(record.order_id)
                yield Finding(Invariant.END, subject, f"it is {record.status}, {problem}", remedy)

    def _partners(self) -> Iterator[Finding]:
        """Compare with the sandbox's table, which is read after the orders."""
        if SANDBOX not in self.stack.names:
            self.report.unchecked.append("the partners' own records: the stack has no sandbox")
            return
        client = self.stack.client("dynamodb")
        for item in Table(self.stack.name(SANDBOX), lambda: client).scan():
            self._partner(item)
        self.connection.execute(
            "update partners.carrier_shipments set order_id = coalesce("
            "(select o.order_id from orders o where o.parcel = shipment_id), '')"
        )
        partners = Partners(self.connection, self.moved)
        yield from partners.check()
        table = self.stack.table()
        for order_id, finding in partners.unknown.items():
            known = table.get(f"order#{order_id}", ORDER)
            if known is None or not is_order(known):
                yield finding

    def _partner(self, item: Item) -> None:
        kind, _, key = str(item["pk"]).partition("#")
        if kind == "charge" and "status" in item:
            self.connection.execute(
                "insert into partners.gateway_charges (key, order_id, amount, currency, status)"
                " values (?, ?, ?, ?, ?)",
                (
                    key,
                    item.get("order_id") or "",
                    item.get("amount") or 0,
                    item.get("currency"),
                    str(item["status"]),
                ),
            )
        elif kind == "shipment" and "status" in item:
            self.connection.execute(
                "insert or replace into partners.carrier_shipments values (?, '', ?)",
                (key, str(item["status"])),
            )
