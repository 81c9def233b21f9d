"""A bare loop: the same handlers, called in sequence for each order, with one commit per order.

It does only the writes of the happy path: without bus, journal, history and worker processes. The
difference to the platform is the platform's overhead.
"""

import io
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from sqlite3 import Connection
from tempfile import TemporaryDirectory
from typing import Any

from infra.cli.generator import generate
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.local.workers.environment import Context
from inventory.store import SQLiteInventory
from kernel.errors import OrderNotFound
from storage.sqlite.database import Database, database

STEPS = (
    "inventory.handlers.check_inventory",
    "payments.handlers.process_payment",
    "inventory.handlers.update_inventory",
    "shipping.handlers.create_shipment",
    "orders.handlers.complete_order",
)


@contextmanager
def _within(self: Database, **_: bool) -> Iterator[Connection]:
    """Write within the loop's open transaction."""
    yield self.connection


def loop(orders: int, seed: int, root: Path) -> dict[str, Any]:
    """Process generated orders that complete with the handlers; return the measurements."""
    generated = generate(orders, seed)
    events = [event for kind, event in generated.events if kind == "completed"]
    where = DataDirectory(root)
    for function in stack_of(where).functions.values():
        os.environ.update(function.environment)
    os.environ["POWERTOOLS_LOG_LEVEL"] = "WARNING"
    stores = [database(f"sqlite:///{path}") for path in (where.database, where.sandbox)]
    SQLiteInventory(stores[0]).receive(generated.receipt, time.time())
    context = Context({"name": "bare", "arn": "bare", "memory": 256, "timeout": 30}, "bare")
    validate = import_module("orders.handlers.validate_order").handler
    confirm = import_module("notifications.handlers.send_confirmation").handler
    steps = [import_module(name).handler for name in STEPS]
    for handler in steps:
        _first(handler, context)
    confirm({"Records": [_message("none")]}, context)
    Database.write = _within  # type: ignore[method-assign]  # one commit an order, not one a step
    stdout, sys.stdout = sys.stdout, io.StringIO()
    started = time.perf_counter()
    for number, event in enumerate(events):
        for store in stores:
            store.connection.execute("begin immediate")
        held = validate({"event": event, "owner": f"run-{number}"}, context)
        step = {"order_id": held["order_id"], "epoch": held["epoch"]}
        for handler in steps:
            handler(step, context)
        confirm({"Records": [_message(held["order_id"])]}, context)
        for store in stores:
            store.connection.execute("commit")
    seconds = time.perf_counter() - started
    sys.stdout = stdout
    row = stores[0].row("select count(*) from orders where status = 'COMPLETED'")
    assert row is not None
    assert row[0] == len(events)
    return {"orders": len(events), "seconds": round(seconds, 3)}


def _first(handler: Any, context: Context) -> None:
    """Call a handler once before the measurement, which creates its wiring and its tables."""
    try:
        handler({"order_id": "none", "epoch": 0}, context)
    except OrderNotFound:
        return


def _message(order_id: str) -> dict[str, Any]:
    body = json.dumps({"order_id": order_id})
    return {"messageId": order_id, "body": body, "eventSource": "aws:sqs", "attributes": {}}


def main() -> None:
    """Print the measurements as one JSON object."""
    with TemporaryDirectory() as folder:
        result = loop(int(sys.argv[1]), 1, Path(folder))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
