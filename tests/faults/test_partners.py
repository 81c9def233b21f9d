"""Faults of partners: lost answers of the gateway, refusing carrier, bouncing mail."""

from typing import Any

import pytest

from payments.gateway import KEY_LIFETIME, SandboxGateway
from tests.fakes.redrives import redrive
from tests.faults.scene import (
    DAY,
    NEVER_SHIPPED,
    Killed,
    Scene,
    dead_letters,
    has_completed_once,
    is_undone,
    paid,
    shipped,
    stock,
    untouched,
)
from tests.host import Host, event, order


def test_f08_an_answer_that_is_lost(machine: Host) -> None:
    """F8: charged, but the answer is lost -> the retry finds the same charge."""
    machine.put(order(payment_token="tok_lose_answer"))
    machine.settle()
    assert has_completed_once(machine)


def _kill_in_charge(patch: pytest.MonkeyPatch, moment: str) -> None:
    """Kill the process in its call of the gateway, before or after the charge."""
    charge = SandboxGateway.charge

    def charge_and_die(self: SandboxGateway, asked: Any) -> None:
        if moment == "after":
            charge(self, asked)
        raise Killed

    patch.setattr(SandboxGateway, "charge", charge_and_die)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_f09_a_process_killed_during_a_charge(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """F9: process killed during a charge -> PENDING; the retry has the same key; one charge."""
    with scene.open() as machine, monkeypatch.context() as patch:
        machine.receive(TEA=1)
        _kill_in_charge(patch, moment)
        machine.put(order())
        machine.settle()
    with scene.open() as machine:
        assert machine.rows("select status from charges") == [{"status": "PENDING"}]
        machine.settle()
        assert has_completed_once(machine)


def test_f10_a_retry_after_the_gateway_forgot_the_key(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F10: a retry after the gateway forgot the key -> its record is read first; one charge."""
    with scene.open() as machine, monkeypatch.context() as patch:
        machine.receive(TEA=1)
        _kill_in_charge(patch, "after")
        machine.put(order())
        machine.settle()
    assert 2 * DAY > KEY_LIFETIME
    with scene.open(later=2 * DAY) as machine:
        monkeypatch.setattr(SandboxGateway, "charge", None)  # a second charge would fail here
        machine.settle()
        assert has_completed_once(machine)


def test_f11_a_declined_card(machine: Host) -> None:
    """F11: card declined -> one attempt; stock released; Order Failed."""
    machine.put(order(payment_token="tok_decline"))
    machine.settle()
    assert (machine.status(), paid(machine)) == ("FAILED", ["DECLINED"])
    assert machine.timeline().count("CHARGE_PENDING") == 1
    assert stock(machine) == untouched(1000)
    assert machine.events() == ["Order Failed"]


@pytest.mark.parametrize(("token", "runs"), [("tok_timeout", 1), ("tok_unavailable_6", 2)])
def test_f12_a_gateway_that_recovers(machine: Host, token: str, runs: int) -> None:
    """F12: gateway 5xx, 429, timeout -> backoff with full jitter, then recovery; one charge."""
    machine.put(order(payment_token=token))
    machine.settle()
    assert has_completed_once(machine)
    assert len(machine.paths()) == runs


def test_f12_a_gateway_that_stays_unavailable(machine: Host) -> None:
    """F12: gateway permanently unavailable -> the order fails once the charge is voided."""
    machine.put(order(payment_token="tok_unavailable"))
    machine.settle()
    assert machine.status() == "FAILED"
    assert machine.rows("select status from charges") == [{"status": "VOIDED"}]
    assert machine.rows("select failure from orders") == [{"failure": "PaymentUnavailable"}]
    assert is_undone(machine)


def test_f16_a_shipment_that_fails_after_the_payment(machine: Host) -> None:
    """F16: shipment fails after payment -> one refund, one release, Order Failed."""
    machine.put(order(shipping_address=NEVER_SHIPPED))
    machine.settle()
    assert (machine.status(), paid(machine)) == ("FAILED", ["REFUNDED"])
    assert stock(machine) == {"on_hand": 1000, "reserved": 0, "shipped": 1, "restocked": 1}
    assert machine.events() == ["Payment Refunded", "Order Failed"]


def test_f17_a_mail_that_fails(machine: Host) -> None:
    """F17: confirmation mail fails -> the order completes; the mail waits in its queue."""
    machine.put(order(email="ada@bounce.example"))
    machine.settle()
    assert has_completed_once(machine)
    [(queue, reason)] = dead_letters(machine)
    assert queue == "ConfirmationsDeadLetterQueue"
    assert "received 20 times" in reason


def test_f17_a_mail_to_a_wrong_address(machine: Host) -> None:
    """F17: an invalid e-mail address -> quarantined with the reason; sent once corrected."""
    machine.put(order(email="ada@example.com"))
    machine.engine.turn(0)
    wrong = "update orders set email = 'a,b@example.com'"  # as older contracts accepted it
    while machine.database.connection.execute(wrong).rowcount == 0:
        machine.engine.turn(0)
    machine.settle()
    [(queue, reason)] = dead_letters(machine)
    assert queue == "QuarantineQueue"
    assert "an e-mail address that mail servers take" in reason
    machine.put(event("Order Updated", email="grace@example.com"))
    machine.settle()
    machine.engine.call(lambda now: redrive(machine.engine, [], now))
    machine.settle()
    assert dead_letters(machine) == []
    assert machine.timeline()[-2:] == ["CHANGED", "CONFIRMATION_SENT"]
    assert has_completed_once(machine)


def test_f18_a_refund_that_fails(machine: Host) -> None:
    """F18: refund fails -> retried, then in the operator's queue with the reason."""
    machine.put(order(shipping_address=NEVER_SHIPPED, payment_token="tok_refund_fails"))
    machine.settle()
    assert (machine.status(), paid(machine)) == ("COMPENSATING", ["CHARGED"])
    letters = dead_letters(machine)
    assert {queue for queue, _ in letters} == {"AttentionQueue"}
    assert all(reason.startswith("PaymentGatewayError") for _, reason in letters)


def test_f19_a_compensation_that_runs_twice(machine: Host) -> None:
    """F19: compensation runs twice -> no second effect."""
    machine.put(order(shipping_address=NEVER_SHIPPED, payment_token="tok_refund_fails_5"))
    while "AttentionQueue" not in [queue for queue, _ in dead_letters(machine)]:
        if not machine.engine.turn(0) and machine.engine.idle:
            machine.engine.skip()
    executions = machine.engine.executions
    name = machine.engine.profile.order_machine
    resume = {"resume": {"order_id": "T-1"}}
    for _ in range(2):  # of one name, so that both get the order
        machine.engine.call(lambda now: executions.start(name, "twin", resume, now))
    machine.engine.clock.offset += 1_000.0
    machine.settle()
    assert (machine.status(), paid(machine)) == ("FAILED", ["REFUNDED"])
    assert stock(machine) == {"on_hand": 1000, "reserved": 0, "shipped": 1, "restocked": 1}
    assert shipped(machine) in ([], ["VOIDED"])
    assert machine.events() == ["Payment Refunded", "Order Failed"]
