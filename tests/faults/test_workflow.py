"""Faults within a workflow: missing stock, siblings, stragglers, cancellations."""

from typing import Any

import pytest

from inventory.store import SQLiteInventory
from payments.gateway import SandboxGateway
from shipping.carrier import SandboxCarrier
from tests.faults.scene import (
    VASE,
    Straggler,
    has_completed_once,
    is_undone,
    paid,
    shipped,
    stock,
    untouched,
)
from tests.host import Host, event, order

TWO_LINES = [
    {"sku": "TEA", "quantity": 1, "unit_price": 7.5},
    {"sku": "VASE", "quantity": 1, "unit_price": 5.0},
]


def test_f13_two_orders_for_the_last_unit(machine: Host) -> None:
    """F13: two orders, last unit -> exactly one reserves it."""
    machine.receive(VASE=1)
    machine.put(order("T-1", items=VASE), order("T-2", items=VASE))
    machine.settle()
    assert {machine.status("T-1"), machine.status("T-2")} == {"COMPLETED", "FAILED"}
    assert stock(machine, "VASE") == {"on_hand": 0, "reserved": 0, "shipped": 1, "restocked": 0}


def test_f14_one_of_several_lines_out_of_stock(machine: Host) -> None:
    """F14: one of several lines out of stock -> nothing is reserved."""
    machine.put(order(items=TWO_LINES))
    while machine.status() != "WAITING":
        machine.engine.turn(0)
    assert stock(machine) == untouched(1000)


def test_f15_stock_that_never_arrives(machine: Host) -> None:
    """F15: stock never arrives -> 12 waits, then OutOfStock; nothing is charged."""
    machine.put(order(items=VASE))
    machine.settle()
    assert machine.timeline().count("WAITING") == 12
    assert machine.rows("select failure from orders") == [{"failure": "OutOfStock"}]
    assert (machine.status(), paid(machine)) == ("FAILED", [])


def test_f20_a_branch_times_out_while_its_sibling_is_in_flight(machine: Host) -> None:
    """F20: a branch times out while its sibling runs -> called again; the order is completed."""
    Straggler(machine, "UpdateInventoryFunction")
    machine.put(order())
    machine.settle()
    assert (machine.status(), paid(machine)) == ("COMPLETED", ["CHARGED"])
    assert has_completed_once(machine)


STRAGGLERS: dict[str, tuple[type, str]] = {
    "ProcessPaymentFunction": (SandboxGateway, "charge"),
    "CreateShipmentFunction": (SandboxCarrier, "create"),
    "UpdateInventoryFunction": (SQLiteInventory, "move"),
}


@pytest.mark.parametrize("function", STRAGGLERS)
def test_f20_a_timed_out_function_that_begins_at_the_end(machine: Host, function: str) -> None:
    """F20: a timed-out function continues after the end -> it is fenced off; no effect."""
    late = Straggler(machine, function)
    machine.put(order())
    machine.settle()
    before = machine.status(), paid(machine), shipped(machine), stock(machine)
    assert b"LeaseLost" in late.resume()
    assert (machine.status(), paid(machine), shipped(machine), stock(machine)) == before
    assert has_completed_once(machine) or is_undone(machine)


@pytest.mark.parametrize("function", STRAGGLERS)
def test_f20_a_timed_out_function_that_is_overtaken(
    machine: Host, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """F20: it is overtaken before its effect -> refused by the void, or undone; no effect."""
    late = Straggler(machine, function)
    machine.put(order())
    while late.call is None:
        machine.engine.turn(0)
    with monkeypatch.context() as patch:
        _overtake(patch, machine, *STRAGGLERS[function])
        assert late.resume() != b""
    assert has_completed_once(machine) or is_undone(machine)


def _overtake(patch: pytest.MonkeyPatch, machine: Host, owner: type, call: str) -> None:
    """Cancel the order and settle before the first call of a method."""
    original = getattr(owner, call)
    made: list[Any] = []

    def overtaken(self: Any, *arguments: Any) -> Any:
        if not made:
            made.append(arguments)
            _cancel(machine)
        return original(self, *arguments)

    patch.setattr(owner, call, overtaken)


def _cancel(machine: Host) -> None:
    machine.put(event("Order Cancelled"))
    machine.settle()


def test_f31_a_cancellation_at_every_point(machine: Host) -> None:
    """F31: cancelled at every point, twice -> released, refunded, or refused once shipped."""
    ends = set()
    for turns in range(-1, 24):
        order_id = f"T{turns}"
        cancelled = event("Order Cancelled", order_id)
        machine.put(order(order_id), *([cancelled] * (turns < 0)))
        for _ in range(turns):
            machine.engine.turn(0)
        machine.put(cancelled, cancelled)
        machine.settle()
        ends.add((machine.status(order_id), *paid(machine, order_id)))
        if machine.status(order_id) == "COMPLETED":
            assert has_completed_once(machine, order_id)
            assert "Order Cancellation Refused" in machine.events(order_id)
        else:
            assert is_undone(machine, order_id)
            assert machine.events(order_id)[-1] == "Order Cancellation Confirmed"
    assert ends == {
        ("CANCELLED",),
        ("CANCELLED", "REFUNDED"),
        ("COMPLETED", "CHARGED"),
    }


def test_f31_a_cancellation_of_an_order_that_waits(machine: Host) -> None:
    """F31: cancelled while it waits, without a lease -> released and confirmed."""
    machine.put(order(items=VASE))
    while machine.status() != "WAITING":
        machine.engine.turn(0)
    _cancel(machine)
    assert (machine.status(), paid(machine), shipped(machine)) == ("CANCELLED", [], [])
    assert machine.events()[-1] == "Order Cancellation Confirmed"
