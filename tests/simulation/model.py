"""The invariants at any moment under any fault: derived from the promises, not from the code.

`Model.check` runs after every commit (`tests.simulation.verdict` once everything has settled). It
compares the ledger, the gateway's and the carrier's own records, the stock and the orders' records
with the requests that clients sent and the acknowledgements that they got.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from storage.sqlite.database import Database
from tests.simulation import redrives
from tests.simulation.approvals import Approvals
from tests.simulation.plan import Action

ENDS = {"COMPLETED", "FAILED", "CANCELLED"}
UNDONE = {"FAILED", "CANCELLED"}
STEPS = ("RECEIVED", "RESERVED", "CHARGED", "COMPLETED")
CHARGES: Mapping[str | None, set[str]] = {
    None: {"PENDING"},
    "PENDING": {"CHARGED", "DECLINED", "REFUNDED", "VOIDED"},
    "CHARGED": {"REFUNDED"},
}
"""Allowed transitions in the ledger; all other statuses are final."""

_ORDERS = (
    "select o.order_id, o.status, o.epoch, o.reservation, o.cancel_requested, c.status as charge,"
    " c.amount, s.status as shipment from orders o left join charges c using (order_id)"
    " left join shipments s using (order_id)"
)
_EARLY = "select order_id from early_requests join orders using (order_id)"
_STOCK = "select sku, received, on_hand, reserved, shipped, restocked from stock"
_GATEWAY = "select order_id, amount, status from gateway_charges where order_id <> ''"
_CARRIER = "select order_id from carrier_shipments where status = 'CREATED'"


class Violation(BaseException):
    """A broken promise; ``rule`` is its name. A BaseException, so that no handler catches it."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


def promise(rule: str, condition: object, message: str) -> None:
    """Raise `Violation` unless the condition of a promise holds."""
    if not condition:
        raise Violation(rule, message)


class Order(NamedTuple):
    """The state of an order: in its record, in the ledger and in the shipments."""

    id: str
    status: str
    epoch: int
    reservation: str | None
    cancelled: int
    charge: str | None
    amount: int | None
    shipment: str | None


@dataclass(slots=True)
class Wanted:
    """A client's order."""

    total: int
    units: Mapping[str, int]
    token: str | None
    email: str | None


@dataclass(slots=True)
class Seen:
    """The last observed state of an order."""

    step: int = 0
    status: str = "RECEIVED"
    epoch: int = 0
    charge: str | None = None
    reservation: str | None = None


@dataclass(slots=True)
class Model:
    """The requests of clients, their acknowledgements, and the states observed so far."""

    wanted: dict[str, Wanted] = field(default_factory=dict)
    """Orders by id, from every valid event that was sent, acknowledged or not."""
    accepted: set[str] = field(default_factory=set)
    """Orders with an acknowledged valid event."""
    acknowledged: dict[str, Action] = field(default_factory=dict)
    """Actions by the bus's event id."""
    cancelled: set[str] = field(default_factory=set)
    """Orders with an acknowledged cancellation request, which promises an answer."""
    received: Counter[str] = field(default_factory=Counter)
    receipts: set[str] = field(default_factory=set)
    approvals: Approvals = field(default_factory=Approvals)
    seen: dict[str, Seen] = field(default_factory=lambda: defaultdict(Seen))
    moved: Callable[[str, str], None] = print
    """Called when the status of an order, of its charge or of its stock changes."""

    def sent(self, action: Action) -> None:
        """Record that a client sends an order, which may get lost."""
        body = action.body if action.do == "put" else action.body["body"]
        if not action.valid or not _creates(action):
            return
        detail = body["detail"] if action.do == "put" else body
        units: Counter[str] = Counter()
        for item in detail["items"]:
            units[item["sku"]] += item["quantity"]
        wanted = Wanted(
            round(detail["total"] * 100), units, detail.get("payment_token"), detail.get("email")
        )
        self.wanted.setdefault(action.order_id, wanted)

    def acknowledge(self, action: Action, answer: str) -> None:
        """Record that a client's request was acknowledged: with an event id, or by HTTP."""
        if action.do == "put":
            self.acknowledged[answer] = action
        if not action.valid:
            return
        if _creates(action):
            self.accepted.add(action.order_id)
        elif "cancel" in str(action.body.get("detail-type", action.body.get("path"))).lower():
            self.cancelled.add(action.order_id)

    def decided(self, action: Action) -> None:
        """Record that a decision about an order was accepted."""
        problem = self.approvals.acknowledge(action.order_id, action.body["verb"])
        promise("approval", not problem, problem)

    def arrives(self, digest: str, units: Mapping[str, int]) -> None:
        """Record that a stock file was received, perhaps again."""
        if digest not in self.receipts:
            self.receipts.add(digest)
            self.received.update(units)

    def check(self, store: Database, sandbox: Database) -> None:
        """Check all invariants against the present state."""
        charged = self._money(sandbox)
        shipped = {row[0] for row in sandbox.connection.execute(_CARRIER)}
        taken: dict[str, Counter[str]] = defaultdict(Counter)
        for row in store.connection.execute(_ORDERS):
            order = Order(*row)
            self._life(order)
            wanted = self.wanted.get(order.id)
            if wanted is None:
                raise Violation("end", f"no client ordered {order.id}")
            if order.reservation is not None:
                taken[order.reservation].update(wanted.units)
            if order.charge is not None and order.amount != wanted.total:
                raise Violation("money", f"{order.id}: {order.amount} in the ledger")
            _consistent(order, charged.get(order.id) == "CHARGED", order.id in shipped)
        self._stock(store, taken)
        problem = self.approvals.problem(store, sandbox)
        promise("approval", not problem, problem)
        problem = redrives.problem(store)
        promise("redrive", not problem, problem)
        for row in store.connection.execute(_EARLY):
            raise Violation("end", f"a request is kept although its order {row[0]} exists")

    def _money(self, sandbox: Database) -> dict[str, str]:
        """Check the gateway's own record; return its charge status by order."""
        charged: dict[str, str] = {}
        for order_id, amount, status in sandbox.connection.execute(_GATEWAY):
            if status in {"CHARGED", "REFUNDED"}:
                if order_id in charged:
                    raise Violation("money", f"{order_id} was charged twice")
                if amount != self.wanted[order_id].total:
                    raise Violation("money", f"{order_id}: {amount} charged")
                charged[order_id] = status
        return charged

    def _life(self, order: Order) -> None:
        """Check that an order's and its charge's transitions are allowed."""
        seen = self.seen[order.id]
        if order.charge != seen.charge:
            if order.charge not in CHARGES.get(seen.charge, ()):
                raise Violation("money", f"{order.id}: {order.charge} after {seen.charge}")
            seen.charge = order.charge
            self.moved(order.id, f"charge {order.charge}")
        if order.epoch < seen.epoch:
            raise Violation("life", f"{order.id}: epoch {order.epoch} after {seen.epoch}")
        seen.epoch = order.epoch
        if order.reservation != seen.reservation:
            seen.reservation = order.reservation
            self.moved(order.id, f"stock {order.reservation}")
        status, before = order.status, seen.status
        if status == before:
            return
        self.moved(order.id, status)
        backwards = status in STEPS and STEPS.index(status) < seen.step
        undone = before == "COMPENSATING"
        if before in ENDS or (status in UNDONE) is not undone or backwards:
            raise Violation("life", f"{order.id}: {status} after {before}")
        if status in STEPS:
            seen.step = STEPS.index(status)
        seen.status = status

    def _stock(self, store: Database, taken: Mapping[str, Counter[str]]) -> None:
        """Check each SKU against received units, and against the orders' reservations."""
        held, committed, restocked_units = (
            taken[status] for status in ("RESERVED", "COMMITTED", "RESTOCKED")
        )
        for row in store.connection.execute(_STOCK):
            sku, received, on_hand, reserved, shipped, restocked = row
            consistent = 0 <= reserved <= on_hand and on_hand + shipped - restocked == received
            if not consistent or received != self.received[sku]:
                raise Violation("stock", f"{tuple(row)}: {self.received[sku]} received")
            back = restocked_units[sku]
            orders = held[sku], committed[sku] + back, back
            if (reserved, shipped, restocked) != orders:
                raise Violation("stock", f"{tuple(row)}: {orders} by the orders")


def _consistent(order: Order, paid: bool, at_carrier: bool) -> None:  # noqa: FBT001 - two facts
    """Check an order against the gateway's and the carrier's records of it."""
    shipped = at_carrier or order.shipment == "CREATED"
    if order.status == "COMPLETED":
        if not paid or order.charge != "CHARGED":
            raise Violation("money", f"{order.id} is completed, and not paid")
        if not at_carrier or order.shipment != "CREATED":
            raise Violation("shipment", f"{order.id} is completed, and not shipped")
        if order.reservation != "COMMITTED" or order.cancelled:
            raise Violation("end", f"{order.id} is completed: {order}")
    elif order.status in UNDONE:
        if paid or order.charge in {"PENDING", "CHARGED"}:
            raise Violation("money", f"{order.id} is {order.status}, and paid")
        if shipped:
            raise Violation("shipment", f"{order.id} is {order.status}, and shipped")
        if order.reservation in {"RESERVED", "COMMITTED"}:
            raise Violation("stock", f"{order.id} is {order.status}, and {order.reservation}")
    if shipped and order.charge != "CHARGED":
        raise Violation("shipment", f"{order.id} is shipped, its charge {order.charge}")


def _creates(action: Action) -> bool:
    """Return whether an action places an order."""
    return action.body.get("detail-type") == "Order Created" or action.body.get("path") == "/orders"
