"""A platform in a temporary directory, for tests: shipped template, handlers and stores."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.local.clock import SkippingClock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform
from infra.local.settle import settle
from infra.server.aws_api import execution_history
from inventory.model import Receipt
from inventory.store import SQLiteInventory
from kernel.order_status import Approval
from orders import approvals
from orders.store import SQLiteOrders
from orders.usecases import Policy, Ports

BRANCHES = (
    ("SendConfirmation", "ConfirmationNotQueued"),
    ("UpdateInventory", "InventoryNotUpdated"),
    ("CreateShipment", "ShipmentNotCreated"),
)


def order(order_id: str = "T-1", **changes: Any) -> dict[str, Any]:
    """Return an Order Created event of one TEA; ``changes`` replace fields of its detail."""
    detail: dict[str, Any] = {
        "order_id": order_id,
        "customer_id": "C-1",
        "currency": "USD",
        "items": [{"sku": "TEA", "quantity": 1, "unit_price": 12.5}],
        "total": 12.5,
        "timestamp": "2026-01-31T12:00:00Z",
        "email": "ada@example.com",
        "shipping_address": {"name": "A", "street": "1 Mill Lane", "city": "C", "country": "Y"},
    }
    detail |= changes
    return {"source": "orders.service", "detail-type": "Order Created", "detail": detail}


def event(name: str, order_id: str = "T-1", **fields: Any) -> dict[str, Any]:
    """Return another event of an order."""
    detail = {"order_id": order_id, "timestamp": "2026-01-31T12:05:00Z"} | fields
    return {"source": "orders.service", "detail-type": name, "detail": detail}


class Host:
    """An open platform, with the operations and look-ups of tests."""

    def __init__(self, engine: Engine, directory: DataDirectory) -> None:
        self.engine = engine
        self.directory = directory
        self.database = engine.journal.database

    def receive(self, **units: int) -> None:
        """Receive stock."""
        receipt = Receipt(f"{sorted(units.items())}", units)
        SQLiteInventory(self.database).receive(receipt, self.engine.clock.now())

    def put(self, *events: dict[str, Any], bus: str = "orders-bus") -> list[dict[str, Any]]:
        """Put events on the bus and commit them; return the entries of PutEvents' answer."""
        entries = [
            {
                "EventBusName": bus,
                "Source": one["source"],
                "DetailType": one["detail-type"],
                "Detail": json.dumps(one["detail"]),
            }
            for one in events
        ]
        answer = self.engine.call(lambda now: self.engine.bus.put(entries, now))
        self.engine.turn(0)
        results: list[dict[str, Any]] = answer.result(0)["Entries"]
        return results

    def settle(self) -> None:
        """Work until nothing is due."""
        settle(self.engine)

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Return a query's rows."""
        return [dict(row) for row in self.database.rows(query, *parameters)]

    def status(self, order_id: str = "T-1") -> str | None:
        """Return an order's status."""
        row = self.database.row("select status from orders where order_id = ?", order_id)
        return None if row is None else row[0]

    def events(self, order_id: str = "T-1") -> list[str]:
        """Return the types of the published events of an order."""
        rows = self.rows("select detail_type from events where order_id = ? order by seq", order_id)
        requests = {"Order Created", "Order Updated", "Order Cancelled"}
        return [row["detail_type"] for row in rows if row["detail_type"] not in requests]

    def timeline(self, order_id: str = "T-1") -> list[str]:
        """Return the entries of an order's timeline, a word each."""
        rows = self.rows("select what from timeline where order_id = ? order by seq", order_id)
        return [row["what"] for row in rows]

    def paths(self, order_id: str = "T-1") -> list[str]:
        """Return the path of states of each run of order_processing for an order."""
        rows = self.rows(
            "select id from executions where order_id = ? and machine like '%order-processing'"
            " order by id",
            order_id,
        )
        return [self.path(row["id"]) for row in rows]

    def path(self, execution: int) -> str:
        """Return an execution's states in order; those of the Parallel in parentheses."""
        names = [
            event["stateEnteredEventDetails"]["name"]
            for event in execution_history(self.database, execution)
            if event["type"].endswith("StateEntered")
        ]
        inside = {name for branch in BRANCHES for name in branch}
        branches = "; ".join(
            " → ".join(name for name in branch if name in names) for branch in BRANCHES
        )
        outside = [
            f"{name} ({branches})" if name == "ParallelFulfillment" else name
            for name in names
            if name not in inside
        ]
        return " → ".join(outside)

    def kept(self) -> int:
        """Return the number of requests that are kept for unknown orders."""
        return len(self.rows("select * from early_requests"))

    def awaits_decision(self, order_id: str = "T-1") -> bool:
        """Return whether an order's wait for a decision has its token."""
        query = "select 1 from orders where order_id = ? and approval_token is not null"
        return bool(self.rows(query, order_id))

    def decide(self, decision: Approval, order_id: str = "T-1") -> None:
        """Decide about an order of high value."""
        ports = Ports(SQLiteOrders(self.database), self.engine.clock.now, Policy())
        approvals.decide(order_id, decision, "ada", "known customer", ports)
        self.engine.outbox.is_due = True

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return the messages in queues without a consumer."""
        queues = self.engine.stack.dead_letter_queues
        marks = ", ".join("?" * len(queues))
        return self.rows(f"select * from messages where queue in ({marks})", *queues)


@contextmanager
def host(root: Path, **options: Any) -> Iterator[Host]:
    """Open a platform in a folder, by default with handlers in this process."""
    directory = DataDirectory(root)
    options = {"clock": SkippingClock(), "workers": 0, **options}
    with platform(directory, **options) as engine:
        yield Host(engine, directory)
