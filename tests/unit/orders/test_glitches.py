"""A failure of the platform makes an order wait, without using an attempt."""

import json
from math import inf
from typing import Any

import pytest

from kernel.errors import InvalidEvent, OrderIncomplete
from kernel.order_status import ChargeStatus, Status
from orders.model import DELAYED, JITTER, Reason, spread
from orders.restarts import FAILS_SINCE, MAX_RESTARTS, restart, take_message
from orders.usecases import Policy, Ports, claim, pause, reconcile
from tests.fakes.events import envelope
from tests.fakes.orders import FakeOrders
from tests.fakes.records import EPOCH, NOW, order

POLICY = Policy(lease_seconds=300.0, recovery_delay=300, max_attempts=3)
THROTTLED = {"Error": "Lambda.TooManyRequestsException", "Cause": "Rate Exceeded."}
DEFECT = {"Error": "KeyError", "Cause": ""}
BRANCHES = [{"outcome": "QUEUED"}, {"outcome": "COMMITTED"}, {"outcome": "FAILED", **THROTTLED}]


def ports(store: FakeOrders, now: float = NOW) -> Ports:
    return Ports(store, lambda: now, POLICY, "QuarantineQueue")


@pytest.mark.parametrize(
    ("code", "transient"),
    [
        ("Lambda.TooManyRequestsException", True),
        ("Lambda.CodeArtifactUserPendingException", True),
        ("States.Timeout", True),
        ("Sandbox.Timedout", True),
        ("Runtime.ExitError", True),
        ("Runtime.ImportModuleError", True),
        ("StoreError", True),
        ("VersionConflict", True),
        ("OutOfStock", False),
        ("PaymentGatewayError", False),
        ("CarrierError", False),
        ("KeyError", False),
        ("Unknown", False),
    ],
)
def test_the_platform_is_to_blame_for_errors_of_its_own(code: str, transient: bool) -> None:  # noqa: FBT001
    assert Reason(code, "").is_transient is transient


@pytest.mark.parametrize("step", [THROTTLED, BRANCHES])
def test_a_wait_for_the_platform_uses_no_attempt_however_often(step: Any) -> None:
    store = FakeOrders(order(attempts=3, charge=ChargeStatus.CHARGED))
    for epoch in range(EPOCH, EPOCH + 50):
        assert pause("A-1", epoch, step, ports(store)).outcome == "WAITING"
        claim({"resume": {"order_id": "A-1"}}, f"run-{epoch}", ports(store))
    assert (store.only.attempts, store.only.charge) == (3, ChargeStatus.CHARGED)


@pytest.mark.parametrize(
    ("branches", "code"),
    [
        ([THROTTLED, {"Error": "CarrierError", "Cause": ""}], "CarrierError"),
        ([{"Error": "CarrierError", "Cause": ""}, THROTTLED], "CarrierError"),
        ([{"outcome": "QUEUED"}, THROTTLED], THROTTLED["Error"]),
        ([{"outcome": "QUEUED"}, {"outcome": "COMMITTED"}], "Unknown"),
    ],
)
def test_the_reason_of_two_failed_branches_is_the_orders_own(branches: Any, code: str) -> None:
    assert Reason.of_step(branches).code == code


def test_orders_that_wait_for_the_platform_come_back_at_different_times() -> None:
    delays = {spread(300, f"A-{number}", 1) for number in range(1000)}
    assert min(delays) >= 300 * (1 - JITTER)
    assert max(delays) <= 300 * (1 + JITTER)
    assert len(delays) > 100


def test_a_wait_is_the_same_when_the_pause_is_asked_for_again() -> None:
    store = FakeOrders(order())
    first = pause("A-1", EPOCH, THROTTLED, ports(store))
    assert first.wait_seconds == spread(300, "A-1", EPOCH)
    assert pause("A-1", EPOCH, THROTTLED, ports(store)) == first
    assert store.only.resume_at == NOW + first.wait_seconds


@pytest.mark.parametrize(
    ("age", "waited_for", "delayed"),
    [
        (DELAYED + 1, "States.Timeout", True),
        (DELAYED - 1, "States.Timeout", False),
        (DELAYED + 1, "OutOfStock", False),
        (DELAYED + 1, None, False),
    ],
)
def test_an_order_that_waits_for_the_platform_for_an_hour_is_counted(
    age: float,
    waited_for: str | None,
    delayed: bool,  # noqa: FBT001
) -> None:
    store = FakeOrders(order(created_at=NOW - age, waiting_for=waited_for))
    assert pause("A-1", EPOCH, THROTTLED, ports(store)).delayed is delayed


@pytest.mark.parametrize(
    ("age", "status", "delayed"),
    [
        (DELAYED + 1, Status.COMPENSATING, 1),
        (DELAYED - 1, Status.COMPENSATING, 0),
        (DELAYED + 1, Status.RECEIVED, 0),
    ],
)
def test_a_compensation_that_the_platform_fails_at_for_an_hour_is_counted(
    age: float, status: Status, delayed: int
) -> None:
    store = FakeOrders()
    store.lost = [order(created_at=NOW - age, status=status)]
    done = reconcile(ports(store))
    assert (done.started, done.delayed) == (1, delayed)


def test_a_defect_undoes_an_unpaid_order_after_its_attempts_and_never_a_paid_one() -> None:
    unpaid = FakeOrders(order(attempts=3))
    assert pause("A-1", EPOCH, DEFECT, ports(unpaid)).outcome == "UNDO"
    paid = FakeOrders(order(attempts=3, charge=ChargeStatus.CHARGED))
    with pytest.raises(OrderIncomplete, match="is paid and has waited 3 times because of KeyError"):
        pause("A-1", EPOCH, DEFECT, ports(paid))
    assert paid.timeline == []


# Before the claim


def run_of(store: FakeOrders) -> dict[str, Any]:
    [message] = store.outbox
    assert message.kind == "run"
    return dict(message.body)


def test_an_event_from_the_retry_queue_starts_a_run_named_after_its_message() -> None:
    store = FakeOrders()
    assert restart(json.dumps(envelope()), "m-1", ports(store)) == 0
    started = run_of(store)
    assert started == {"name": "again-m-1", "input": {**envelope(), FAILS_SINCE: NOW}}
    assert claim(started["input"], "again-m-1", ports(store)).outcome == "CLAIMED"


def test_an_event_knows_since_when_no_run_could_begin() -> None:
    store = FakeOrders()
    body = json.dumps({**envelope(), FAILS_SINCE: NOW - 4000})
    assert restart(body, "m-2", ports(store)) == 4000
    assert run_of(store)["input"][FAILS_SINCE] == NOW - 4000


def test_an_event_that_never_begins_is_quarantined_after_a_day_with_itself() -> None:
    store = FakeOrders()
    body = json.dumps({**envelope(), FAILS_SINCE: NOW - MAX_RESTARTS - 1})
    restart(body, "m-3", ports(store))
    [letter] = store.outbox
    assert (letter.kind, letter.body["queue"]) == ("message", "QuarantineQueue")
    content: Any = letter.body["body"]
    assert content["reason"]["error"] == "StoreError"
    assert (content["consumer"], content["event"]) == ("order_processing", json.loads(body))


def test_a_message_that_is_no_event_is_refused() -> None:
    with pytest.raises(InvalidEvent):
        restart("[]", "m-4", ports(FakeOrders()))


@pytest.mark.parametrize("body", ["[]", "", "7", "{", '"text"'])
def test_a_message_without_an_event_is_quarantined_at_once(body: str) -> None:
    store = FakeOrders()
    assert take_message(body, "m-5", ports(store)) == inf
    [letter] = store.outbox
    assert (letter.kind, letter.body["queue"]) == ("message", "QuarantineQueue")
    content: Any = letter.body["body"]
    assert content["reason"]["error"] == "InvalidEvent"


@pytest.mark.parametrize("since", ["noon", None, [], {}])
def test_a_time_of_another_type_counts_as_none(since: object) -> None:
    body = json.dumps({**envelope(), FAILS_SINCE: since})
    assert restart(body, "m-6", ports(FakeOrders())) == 0


@pytest.mark.parametrize(
    "given",
    [
        *([1], "x", None, 0, 1.5, True),
        *({"resume": "x"}, {"resume": []}, {"resume": 1}, {"resume": {}}),
        *({"resume": {"order_id": [1]}}, {"resume": {"order_id": None}}),
        {"resume": {"order_id": "A-1", "after": {}}},
    ],
    ids=repr,
)
def test_an_input_of_another_shape_is_the_senders_fault(given: object) -> None:
    """A retry changes nothing, so it is neither retried nor sent to the retry queue."""
    with pytest.raises(InvalidEvent):
        claim(given, "run", ports(FakeOrders()))
