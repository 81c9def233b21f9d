"""A replay of files to a deployed stack: its brake, and the proof from the orders' items."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.cli.event_destination import EventBridgeDestination
from infra.deployed import replay_watch
from infra.deployed.replay_watch import BEHIND, CAUGHT_UP, EVERY, StackBrake, StackProof
from infra.deployed.stack import DeployedStack
from infra.local.stack_loader import load
from infra.local.template.project import TEMPLATE
from kernel.order_status import ChargeStatus, ShipmentStatus, Status
from orders.dynamodb import DynamoOrders
from storage.dynamodb.order_item import order_key
from storage.dynamodb.table import Update
from tests.fakes.events import envelope
from tests.fakes.records import order
from tests.integration.deployed import PLACE, answer, refusal, run

DONE = {"status": Status.COMPLETED, "charge": ChargeStatus.CHARGED, "version": 0}


def save(stack: DeployedStack, order_id: str, **fields: Any) -> None:
    """Write an order with a ledger and a shipment, if it has them."""
    record = order(order_id=order_id, version=0, charge_id=f"{order_id}-c")._replace(**fields)
    DynamoOrders(stack.table()).save(record.change())
    update = Update(*order_key(order_id))
    if record.charge is not None:
        update.put(lupd=1.0, lat=1.0, lid=f"{order_id}-c", lst=str(record.charge), lref="sb-1")
    if record.status is Status.COMPLETED:
        update.put(supd=1.0, sid="s", sst=str(ShipmentStatus.CREATED), strk="SBX1")
    update.if_present()
    stack.table().write(update)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    lines = [envelope(order_id=order_id) for order_id in ("K-1", "N-1", "K-1")]
    lines.append(envelope("Order Cancelled", order_id="U-1"))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def shop(stack: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a stack whose bus processes new orders at once; ``charge_again`` is its mistake."""
    found = SimpleNamespace(stack=stack, charge_again=False, sent=[])
    save(stack, "K-1", **DONE)

    def put(_: EventBridgeDestination, entries: Any) -> list[dict[str, Any]]:
        for entry in entries:
            detail = json.loads(entry["Detail"])
            found.sent.append(detail["order_id"])
            if detail["order_id"] == "N-1":
                save(stack, "N-1", **DONE)
            elif found.charge_again and detail["order_id"] == "K-1":
                update = Update(*order_key("K-1"))
                update.put(lref="sb-2", strk="SBX2")
                stack.table().write(update)
        return [{"EventId": str(number)} for number, _ in enumerate(entries)]

    monkeypatch.setattr(EventBridgeDestination, "put", put)
    monkeypatch.setattr(EventBridgeDestination, "_require_bus", lambda _: None)
    return found


def test_the_proof_compares_the_records_before_and_after(
    shop: Any, file: Path, tmp_path: Path
) -> None:
    told = answer("replay", file, "--yes", "--data", tmp_path / "data")
    assert (told["accepted"], told["sample"], told["unprocessed"]) == (4, 3, 0)
    before, after = told["proof"]["before"], told["proof"]["after"]
    assert (before["orders"], after["orders"]) == (1, 2)
    assert (before["charges"], after["charges"]) == (1, 2)
    assert (before["shipments"], after["shipments"]) == (1, 2)
    assert (after["orders_charged_again"], after["orders_shipped_again"]) == (0, 0)
    assert shop.sent == ["K-1", "N-1", "K-1", "U-1"]


def test_an_order_that_is_charged_or_shipped_again_is_counted(
    shop: Any, file: Path, tmp_path: Path
) -> None:
    shop.charge_again = True
    after = answer("replay", file, "--yes", "--data", tmp_path / "data")["proof"]["after"]
    assert (after["orders_charged_again"], after["orders_shipped_again"]) == (1, 1)
    assert after["charges"] == 2


def test_the_account_is_printed_with_the_difference(shop: Any, file: Path, tmp_path: Path) -> None:
    del shop
    result = run("replay", file, "--yes", "--data", tmp_path / "data", *PLACE)
    assert result.exception is None, result.output
    assert "proof: the records of 3 orders of this replay" in result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["charges", "1", "2", "+1"] in rows
    assert ["orders", "charged", "again", "0", "0", "same"] in rows


def test_a_stack_needs_the_permission_and_files(stack: DeployedStack, file: Path) -> None:
    del stack
    assert "then say --yes" in refusal("replay", file, "--stack", "orderflow-test")
    assert "--facts is for one machine" in refusal("replay", file, "--facts", "--yes", *PLACE)
    result = run("replay", "--archive", "--stack", "orderflow-test", "--yes")
    assert result.exit_code == 2
    assert "--stack is for files" in result.output


def test_an_order_of_which_no_run_has_begun_is_told(
    stack: DeployedStack, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stack
    monkeypatch.setattr(EventBridgeDestination, "put", lambda _, entries: [{}] * len(entries))
    monkeypatch.setattr(EventBridgeDestination, "_require_bus", lambda _: None)
    arguments = ("replay", file, "--yes", "--wait", 0, "--data", tmp_path / "data")
    assert answer(*arguments)["unprocessed"] == 2  # the cancellation opens no order


def test_a_sample_is_bounded(stack: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_watch, "SAMPLE", 3)
    proof = StackProof(stack)
    for number in range(4):
        proof.before([envelope(order_id=f"A-{number}"), envelope(order_id="A-0")])
    assert proof.sample == 3
    assert proof.unfinished() == 3
    slept: list[float] = []
    assert proof.wait(7.0, iter([0.0, 1.0, 6.0, 7.0]).__next__, slept.append) == 3
    assert slept == [5.0, 1.0]


class Watched:
    """A stack whose queues and alarms are told, and the brake of a replay to it."""

    def __init__(self, *looks: tuple[int, list[str]], before: tuple[str, ...] = ()) -> None:
        self.looks, self.slept, self.now = list(looks), 0.0, 0.0
        self.calls: list[str] = []
        self.alarmed = list(before)
        names = {"OrderChangesQueue": "url", "LettersAlarm": "x-letters", "AgeAlarm": "x-age"}
        stack: Any = SimpleNamespace(names=names, client=lambda _: self)
        template = load(TEMPLATE, {}, lambda _, value: value)
        self.brake = StackBrake(stack, template, lambda: self.now, self.sleep)

    def get_queue_attributes(self, **_: Any) -> Any:
        self.calls.append("queue")
        number, self.alarmed = self.looks.pop(0)
        return {"Attributes": {"ApproximateNumberOfMessages": str(number)}}

    def describe_alarms(self, AlarmNames: list[str], **_: Any) -> Any:  # noqa: N803 - boto3's
        self.calls.append("alarms")
        return {"MetricAlarms": [{"AlarmName": n} for n in AlarmNames if n in self.alarmed]}

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += seconds


def reasons(watched: Watched) -> list[int | str]:
    found: list[int | str] = []
    watched.brake.wait(found.append)
    return found


def test_a_replay_waits_for_the_queues_until_half_of_the_limit() -> None:
    watched = Watched((BEHIND + 1, []), (CAUGHT_UP + 1, []), (CAUGHT_UP, []))
    assert reasons(watched) == [f"{BEHIND + 1:,} messages", f"{CAUGHT_UP + 1:,} messages"]
    assert watched.slept == watched.brake.held == 2 * EVERY


def test_a_replay_waits_for_an_alarm_that_it_began_without() -> None:
    watched = Watched((0, ["x-age"]), (0, ["x-age", "x-letters"]), (0, []))
    assert reasons(watched) == ["the alarm AgeAlarm", "the alarm AgeAlarm, LettersAlarm"]


def test_an_alarm_of_before_does_not_hold_a_replay() -> None:
    assert reasons(Watched((0, ["x-age"]), before=("x-age",))) == []


def test_the_stack_is_asked_at_most_once_in_ten_seconds() -> None:
    watched = Watched((0, []), (0, []))
    for _ in range(50):
        watched.brake.wait(lambda _: None)
        watched.now += EVERY / 40
    assert watched.calls.count("queue") == 2
