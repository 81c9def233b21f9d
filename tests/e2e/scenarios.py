"""The situations of `workflows/README.md` by name, with functions that produce them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel.order_status import Approval
from tests.host import Host, event, host, order

UNSTOCKED = [{"sku": "VASE", "quantity": 1, "unit_price": 12.5}]
TWO_LINES = [
    {"sku": "TEA", "quantity": 1, "unit_price": 7.5},
    {"sku": "VASE", "quantity": 1, "unit_price": 5.0},
]
DEAR: dict[str, Any] = {
    "items": [{"sku": "TEA", "quantity": 96, "unit_price": 12.5}],
    "total": 1200.0,
}
UNKNOWN = [{"sku": "NOBODY-KNOWS", "quantity": 1, "unit_price": 12.5}]


def _address(street: str) -> dict[str, Any]:
    return {"name": "A", "street": street, "city": "C", "country": "Y"}


def _put(*events: dict[str, Any]) -> Callable[[Host], None]:
    """Put events on the bus one by one, and settle after each."""

    def do(machine: Host) -> None:
        for one in events:
            machine.put(one)
            machine.settle()

    return do


def _together(*events: dict[str, Any]) -> Callable[[Host], None]:
    """Put events on the bus in one request, and settle."""

    def do(machine: Host) -> None:
        machine.put(*events)
        machine.settle()

    return do


def _stock_arrives(machine: Host) -> None:
    machine.put(order(items=UNSTOCKED))
    while machine.status() != "WAITING":
        machine.engine.turn(0)
    machine.receive(VASE=5)
    machine.settle()


def _cancelled_while_it_waits(machine: Host) -> None:
    machine.put(order(items=UNSTOCKED))
    while machine.status() != "WAITING":
        machine.engine.turn(0)
    machine.put(event("Order Cancelled"))
    machine.settle()


def _cancelled_before_it_was_created(machine: Host) -> None:
    machine.put(event("Order Cancelled"))
    while not machine.kept():
        machine.engine.turn(0)
    machine.put(order())
    machine.settle()


def _awaited(machine: Host) -> None:
    """Work until the order waits, and its token is in its record."""
    machine.put(order(**DEAR))
    while not machine.awaits_decision():
        machine.engine.turn(0)


def _decided(decision: Approval) -> Callable[[Host], None]:
    """Put an order of high value on the bus, and decide while it waits."""

    def do(machine: Host) -> None:
        _awaited(machine)
        machine.decide(decision)
        machine.settle()

    return do


def _cancelled_before_the_decision(machine: Host) -> None:
    _awaited(machine)
    machine.put(event("Order Cancelled"))
    machine.settle()


SITUATIONS: dict[str, Callable[[Host], None]] = {
    "in stock, card approved": _put(order()),
    "no e-mail address": _put(order(email=None)),
    "card declined": _put(order(payment_token="tok_decline")),
    "gateway times out once": _put(order(payment_token="tok_timeout")),
    "charged, but the answer was lost": _put(order(payment_token="tok_lose_answer")),
    "gateway away for 6 calls": _put(order(payment_token="tok_unavailable_6")),
    "gateway away for good": _put(order(payment_token="tok_unavailable")),
    "out of stock for good": _put(order(items=UNSTOCKED)),
    "one of two lines out of stock": _put(order(items=TWO_LINES)),
    "out of stock, then received": _stock_arrives,
    "a SKU without stock": _put(order(items=UNKNOWN)),
    "carrier refuses once": _put(order(shipping_address=_address("SANDBOX FAIL 1"))),
    "carrier refuses for good": _put(order(shipping_address=_address("SANDBOX FAIL"))),
    "refund fails 5 times": _put(
        order(shipping_address=_address("SANDBOX FAIL"), payment_token="tok_refund_fails_5")
    ),
    "refund fails for good": _put(
        order(shipping_address=_address("SANDBOX FAIL"), payment_token="tok_refund_fails")
    ),
    "mail bounces": _put(order(email="ada@bounce.example")),
    "the event again, after the end": _put(order(), order()),
    "the event twice at once": _together(order(), order()),
    "same order id, other content": _put(order(), order(customer_id="C-2")),
    "total is not the sum of the lines": _put(order(total=13)),
    "cancelled while it waits": _cancelled_while_it_waits,
    "cancelled before it was created": _cancelled_before_it_was_created,
    "cancelled after the shipment": _put(order(), event("Order Cancelled")),
    "cancelled, but never created": _put(event("Order Cancelled")),
    "of high value, approved": _decided(Approval.APPROVED),
    "of high value, rejected": _decided(Approval.REJECTED),
    "of high value, no decision": _put(order(**DEAR)),
    "of high value, cancelled while it waits": _cancelled_before_the_decision,
}


@dataclass(frozen=True, slots=True)
class Story:
    """The outcome of a situation, in the words of the table."""

    paths: str
    status: str
    events: str


def needs_approvals(name: str) -> bool:
    """Return whether a situation has the parameter HighValueApproval on."""
    return name.startswith("of high value")


def parameters_of(name: str) -> dict[str, str]:
    """Return the parameters of the template in a situation."""
    return {"HighValueApproval": "on"} if needs_approvals(name) else {}


def run_situation(name: str, root: Path) -> Story:
    """Produce a situation on a new platform, and return its outcome."""
    with host(root, parameters=parameters_of(name)) as machine:
        machine.receive(TEA=1000, VASE=0)
        SITUATIONS[name](machine)
        return Story(_paths(machine), _status(machine), _events(machine))


def _paths(machine: Host) -> str:
    grouped: list[tuple[int, str]] = []
    for path in machine.paths():
        if grouped and grouped[-1][1] == path:
            grouped[-1] = (grouped[-1][0] + 1, path)
        else:
            grouped.append((1, path))
    shown = [path if count == 1 else f"{count} x {path}" for count, path in grouped]
    return "; then ".join(shown) or "none"


def _status(machine: Host) -> str:
    queues = sorted({letter["queue"] for letter in machine.dead_letters()})
    letters = "".join(f", dead letter in {queue}" for queue in queues)
    return f"{machine.status() or 'no order'}{letters}"


def _events(machine: Host) -> str:
    return ", ".join(machine.events()) or "none"
