"""A dead letter is closed by itself once its order has ended correctly, and its record is kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.dead_letters.reading import closed_letters, history
from infra.local.engine import settled_letters
from infra.local.engine.settled_letters import EVERY
from kernel.json_text import write
from tests.faults.scene import NEVER_SHIPPED, forget
from tests.host import Host, event, host, order


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Host]:
    forget()
    with host(tmp_path / "data") as hosted:
        hosted.receive(TEA=100)
        yield hosted


def later(machine: Host) -> None:
    machine.settle()
    machine.engine.skip_to(machine.engine.clock.now() + EVERY + 1)
    machine.settle()


def ids(machine: Host) -> list[int]:
    return [letter["id"] for letter in machine.dead_letters()]


def add_letter(machine: Host, queue: str, body: dict[str, Any], at: float = 0.0) -> None:
    """Add a dead letter; by default it is older than every order."""
    fields = dict(body)
    attributes = {"TARGET": fields.pop("target")} if "target" in body else {}
    text, engine = write(fields).decode(), machine.engine
    engine.call(lambda _: engine.queues.send(queue, text, attributes, at))
    engine.turn(0)


def test_the_letter_of_a_corrected_order_is_closed_and_kept(machine: Host) -> None:
    machine.put(order("A-1", total=99))
    machine.settle()
    [letter] = ids(machine)
    machine.put(order("A-1"))
    later(machine)
    assert machine.status("A-1") == "COMPLETED"
    assert ids(machine) == []
    [closed] = closed_letters(machine.database)
    assert (closed["id"], closed["state"]) == (letter, "DONE")
    assert closed["outcome"] == "order A-1: COMPLETED"
    [entry] = history(machine.database, letter)
    assert (entry["who"], entry["what"]) == ("orderflow", "CLOSED")


def test_the_letter_of_a_conflict_stays(machine: Host) -> None:
    machine.put(order("A-1"))
    machine.settle()
    machine.put(order("A-1", customer_id="C-9"))
    later(machine)
    assert len(ids(machine)) == 1


def test_the_letter_of_an_order_that_an_operator_must_see_is_closed_at_its_end(
    machine: Host,
) -> None:
    address, token = NEVER_SHIPPED, "tok_refund_fails_12"
    machine.put(order("A-1", shipping_address=address, payment_token=token))
    later(machine)
    assert machine.status("A-1") == "FAILED"
    assert ids(machine) == []
    assert {letter["queue"] for letter in closed_letters(machine.database)} == {"AttentionQueue"}


CREATED = order("A-1")
RUN = {"consumer": "order_processing", "reason": {"error": "InvalidEvent"}}
CASES: dict[str, tuple[str, dict[str, Any], bool]] = {
    "a run": ("QuarantineQueue", {**RUN, "event": CREATED}, True),
    "a run that was given up": (
        "AttentionQueue",
        {"order_id": "A-1", "execution": "x", "reason": {}},
        True,
    ),
    "a target that starts runs": (
        "QuarantineQueue",
        {**CREATED, "target": "OrderCreatedRule/OrderProcessing"},
        True,
    ),
    "another target": (
        "QuarantineQueue",
        {**CREATED, "target": "HighValueRule/HighValueQueue"},
        False,
    ),
    "a change": ("QuarantineQueue", {**RUN, "event": event("Order Cancelled", "A-1")}, False),
    "another consumer": ("QuarantineQueue", {"consumer": "change_order", "event": CREATED}, False),
    "another order": ("QuarantineQueue", {**RUN, "event": order("A-2")}, False),
    "an outbox row": ("AttentionQueue", {"order_id": "A-1", "kind": "event"}, False),
    "no JSON object": ("QuarantineQueue", {**RUN, "event": "text"}, False),
}


@pytest.mark.parametrize("name", CASES)
def test_the_end_of_the_order_settles_letters_of_its_processing_alone(
    machine: Host, name: str
) -> None:
    queue, body, is_closed = CASES[name]
    add_letter(machine, queue, dict(body))
    machine.put(order("A-1"))
    later(machine)
    assert (ids(machine) == []) is is_closed


def test_a_letter_that_is_newer_than_the_end_stays(machine: Host) -> None:
    machine.put(order("A-1"))
    machine.settle()
    now = machine.engine.clock.now()
    add_letter(machine, "QuarantineQueue", {**RUN, "event": CREATED}, now + 1)
    later(machine)
    assert len(ids(machine)) == 1


def test_many_letters_are_looked_at_in_parts(
    machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settled_letters, "PASS", 2)
    for _ in range(5):
        add_letter(machine, "QuarantineQueue", {**RUN, "event": CREATED})
    machine.put(order("A-1"))
    for _ in range(4):
        later(machine)
    assert ids(machine) == []
