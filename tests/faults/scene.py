"""Helpers of the tests of faults: open and kill a platform, read its and its partners' records.

Charges and shipments are read from the gateway's and the carrier's own records.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import storage.sqlite.database
from infra.dead_letters.reading import letters
from infra.local.clock import SkippingClock
from infra.local.workers.invocations import Invocation, Result, timed_out
from lambda_support.settings import PerFunction
from storage.sqlite.database import Database
from tests.host import Host, host

SERVICES = ("orders", "inventory", "payments", "shipping", "notifications", "high_value")
DAY = 86_400.0
VASE = [{"sku": "VASE", "quantity": 1, "unit_price": 12.5}]
NEVER_SHIPPED = {"name": "A", "street": "SANDBOX FAIL", "city": "C", "country": "Y"}


class Killed(BaseException):
    """The end of the process: no handler and no engine may catch it."""


def forget() -> None:
    """Clear the memory of a process: its wirings and its connections."""
    for service in SERVICES:
        for value in vars(import_module(f"{service}.wiring")).values():
            if isinstance(value, PerFunction):
                value.cache_clear()
    storage.sqlite.database.database.cache_clear()


def let_go(machine: Host) -> None:
    """Close the files that the end of a process would close."""
    invoker: Any = machine.engine.invoker
    getattr(invoker, "inner", invoker).environment.close()
    for path in (machine.directory.database, machine.directory.sandbox):
        for suffix in ("", "?synchronous=FULL"):
            storage.sqlite.database.database(f"sqlite:///{path}{suffix}").close()
    forget()


class Scene:
    """A platform's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def open(self, *, later: float = 0.0, **options: Any) -> Iterator[Host]:
        """Open the platform ``later`` seconds from now; `Killed` ends it without a clean-up.

        Its clock skips by default; with the clock ``None`` the directory decides.
        """
        forget()
        skipping = SkippingClock()
        skipping.offset = later
        try:
            with host(self.root, **{"clock": skipping, **options}) as machine:
                try:
                    yield machine
                finally:
                    let_go(machine)
        except Killed:
            return


def paid(machine: Host, order_id: str = "T-1") -> list[str]:
    """Return the gateway's own record of an order's charges, oldest first."""
    with _sandbox(machine) as sandbox:
        query = "select status from gateway_charges where order_id = ? order by id"
        return [row["status"] for row in sandbox.rows(query, order_id)]


def shipped(machine: Host, order_id: str = "T-1") -> list[str]:
    """Return the carrier's own record of an order's shipments."""
    with _sandbox(machine) as sandbox:
        query = "select status from carrier_shipments where order_id = ?"
        return [row["status"] for row in sandbox.rows(query, order_id)]


def stock(machine: Host, sku: str = "TEA") -> dict[str, int]:
    """Return the units of a SKU on hand, reserved, shipped and restocked."""
    query = "select on_hand, reserved, shipped, restocked from stock where sku = ?"
    [row] = machine.rows(query, sku)
    return row


def untouched(units: int) -> dict[str, int]:
    """Return the stock of a SKU without any reservation."""
    return {"on_hand": units, "reserved": 0, "shipped": 0, "restocked": 0}


def dead_letters(machine: Host) -> list[tuple[str, str]]:
    """Return queue and reason of each dead letter."""
    queues = machine.engine.stack.dead_letter_queues
    return [(one["queue"], one["reason"]) for one in letters(machine.database, queues)]


def all_dead_letters(machine: Host) -> set[str]:
    """Return the queues of all dead letters, of those too that their order's end has closed."""
    closed = machine.rows("select distinct queue from closed_letters")
    return {queue for queue, _ in dead_letters(machine)} | {row["queue"] for row in closed}


def has_completed_once(machine: Host, order_id: str = "T-1") -> bool:
    """Return whether an order completed with one charge, one shipment and one event id."""
    query = (
        "select distinct json_extract(envelope, '$.detail.metadata.event_id') as id from events"
        " where order_id = ? and detail_type = 'Order Completed'"
    )
    facts = (machine.status(order_id), paid(machine, order_id), shipped(machine, order_id))
    once = len(machine.rows(query, order_id)) == 1
    return facts == ("COMPLETED", ["CHARGED"], ["CREATED"]) and once


def is_undone(machine: Host, order_id: str = "T-1") -> bool:
    """Return whether an order has no charge, no reserved units and no shipment."""
    clean = not {"CHARGED"} & {*paid(machine, order_id)} and not {"CREATED"} & {
        *shipped(machine, order_id)
    }
    [row] = machine.rows("select reservation from orders where order_id = ?", order_id)
    return clean and row["reservation"] in {None, "RELEASED", "RESTOCKED"}


class Straggler:
    """A function's next call, reported as timed out and continued later."""

    def __init__(self, machine: Host, function: str) -> None:
        self.machine = machine
        self.function = function
        self.call: Invocation | None = None
        invoker: Any = machine.engine.invoker
        self._environment = invoker.environment
        self._submit = invoker.submit
        self._poll = invoker.poll
        self._reports: list[Result] = []
        invoker.submit, invoker.poll = self._take, self._answer

    def resume(self) -> bytes:
        """Continue the call; return its error, which has no caller any more."""
        assert self.call is not None
        offset = self.machine.engine.clock.offset
        _, error, _ = self._environment.invoke(self.function, self.call.payload, offset)
        return bytes(error)

    def _take(self, invocation: Invocation) -> None:
        if self.call is None and invocation.function.name == self.function:
            self.call = invocation
            error = timed_out(invocation.function)
            self._reports.append(Result(invocation.id, None, error, [], 0.0))
        else:
            self._submit(invocation)

    def _answer(self, timeout: float) -> list[Result]:
        reports, self._reports = self._reports, []
        return reports or self._poll(timeout)


@contextmanager
def _sandbox(machine: Host) -> Iterator[Database]:
    sandbox = Database(str(machine.directory.sandbox))
    try:
        yield sandbox
    finally:
        sandbox.close()
