"""Faults of the host: failing targets and sinks, jumping clocks, lost work."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import infra.local.engine.streams
from analytics.warehouse import connect
from infra.local.engine.targets import DeliveryError, QueueTarget
from infra.local.template.project import ROOT
from infra.local.template.stack import Target
from orders.early_requests import MAX_KEPT
from orders.usecases import SINK_GRACE
from storage.sqlite.database import Database
from tests.fakes.redrives import redrive
from tests.faults.scene import (
    DAY,
    Killed,
    Scene,
    Straggler,
    dead_letters,
    has_completed_once,
    paid,
)
from tests.host import Host, event, order

HIGH_VALUE: dict[str, Any] = {
    "items": [{"sku": "TEA", "quantity": 80, "unit_price": 12.5}],
    "total": 1000.0,
}


def test_f23_a_target_that_fails_permanently(machine: Host) -> None:
    """F23: a rule's target fails permanently -> retried by its policy; redrive works."""
    takers, attempts = machine.engine.bus.rule_targets, Counter[str]()

    class Failing(QueueTarget):
        def deliver(self, target: Target, *_: Any) -> None:
            attempts[target.key] += 1
            raise DeliveryError("NO_PERMISSIONS", "the queue is not to be written to")

    queue = takers["queue"]
    takers["queue"] = Failing(machine.engine.parts)
    machine.put(order(**HIGH_VALUE))
    machine.settle()
    assert has_completed_once(machine)
    assert attempts["HighValueRule/HighValueQueue"] > 100
    [(letters, reason)] = dead_letters(machine)
    assert (letters, reason.partition(":")[0]) == ("TargetsDeadLetterQueue", "NO_PERMISSIONS")
    takers["queue"] = queue
    machine.engine.call(lambda now: redrive(machine.engine, [], now))
    machine.settle()
    assert dead_letters(machine) == []
    assert machine.events() == ["Order Completed", "High Value Order Flagged"]


def test_f24_one_poison_message_in_a_batch(machine: Host) -> None:
    """F24: one poison message in a batch of ten -> only that one is retried."""
    known = [f"T-{number}" for number in range(9)]
    sku = [{"sku": "VASE", "quantity": 1, "unit_price": 12.5}]
    machine.put(*(order(order_id, items=sku) for order_id in known))
    while not all(machine.status(order_id) == "WAITING" for order_id in known):
        machine.engine.turn(0)
    for number in range(MAX_KEPT):
        machine.put(event("Order Updated", "T-unknown", email=f"a{number}@example.com"))
    while machine.kept() < MAX_KEPT:
        machine.engine.turn(0)
    batches = _batches(machine, "ChangeOrderFunction")
    machine.put(
        *(event("Order Updated", one, email="b@example.com") for one in [*known, "T-unknown"])
    )
    machine.settle()
    assert batches == [10] + [1] * 59
    assert [machine.timeline(order_id).count("CHANGED") for order_id in known] == [1] * 9
    queues = [queue for queue, _ in dead_letters(machine)]
    assert queues.count("OrderChangesDeadLetterQueue") == 1


def _batches(machine: Host, function: str) -> list[int]:
    """Return a list that gets the size of each later batch of a function."""
    sizes: list[int] = []
    invoker: Any = machine.engine.invoker
    submit = invoker.submit

    def record(invocation: Any) -> None:
        if invocation.function.name == function:
            sizes.append(len(json.loads(invocation.payload)["Records"]))
        submit(invocation)

    invoker.submit = record
    return sizes


def test_f25_an_unavailable_sink(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """F25: analytics sink unavailable -> orders continue; the sink catches up completely."""

    def fail(*_: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(infra.local.engine.streams, "write_parquet", fail)
        machine.put(*(order(f"T-{number}") for number in range(3)))
        machine.settle()
    assert all(has_completed_once(machine, f"T-{number}") for number in range(3))
    assert _analysed(machine) == Counter()
    machine.engine.clock.offset += 60.0
    machine.settle()
    assert _analysed(machine) == Counter({"Order Created": 3, "Order Completed": 3})


def test_f25_a_restart_between_two_deliveries(scene: Scene) -> None:
    """F25: a restart between two deliveries -> no file replaces another."""
    for number in range(3):
        with scene.open() as machine:
            machine.receive(TEA=number + 1)
            machine.put(order(f"T-{number}"))
            machine.settle()
            times = number + 1
            assert _analysed(machine) == {"Order Created": times, "Order Completed": times}


def test_f26_analytics_delivered_twice(machine: Host) -> None:
    """F26: analytics delivered twice -> the shipped view counts an event id once."""
    start = machine.engine.clock.now() - 60
    machine.put(order())
    machine.settle()
    replays, end = machine.engine.replays, machine.engine.clock.now()
    rules = ["AnalyticsRule"]
    machine.engine.call(lambda now: replays.start("again", start, end, rules, now))
    machine.settle()
    once = {"Order Created": 1, "Order Completed": 1}
    assert _analysed(machine, "order_events_raw") == Counter(once) + Counter(once)
    assert _analysed(machine) == Counter(once)


def _analysed(machine: Host, view: str = "order_events") -> Counter[str]:
    with connect(machine.directory.bucket) as connection:
        query = f"select event_type, count(*) from {view} group by all"
        return Counter(dict(connection.execute(query).fetchall()))


def test_f29_a_run_that_sleeps_past_its_lease(machine: Host) -> None:
    """F29: the clock jumps, a run wakes after its successor -> its writes are fenced off."""
    sleeper = Straggler(machine, "CheckInventoryFunction")
    machine.put(order())
    while sleeper.call is None:
        machine.engine.turn(0)
    machine.engine.clock.offset += 2 * 3_600.0
    machine.settle()
    assert has_completed_once(machine)
    assert b"LeaseLost" in sleeper.resume()
    assert has_completed_once(machine)


def test_f30_a_definition_that_changes(scene: Scene, tmp_path: Path) -> None:
    """F30: the definition changes while executions run -> they end on their own definition."""
    with scene.open() as machine:
        machine.receive(TEA=2)
        machine.put(order("T-1"))
        while machine.status("T-1") != "RESERVED":
            machine.engine.turn(0)
    with scene.open(template=_changed(tmp_path / "changed")) as machine:
        machine.put(order("T-2"))
        machine.settle()
        [before], [after] = machine.paths("T-1"), machine.paths("T-2")
        assert has_completed_once(machine, "T-1")
        assert has_completed_once(machine, "T-2")
    assert "NewStep" not in before
    assert "CheckInventory → NewStep → InventoryChoice" in after


def _changed(folder: Path) -> Path:
    """Return a template whose workflow has one more state."""
    shutil.copytree(ROOT / "workflows", folder / "workflows")
    shutil.copy(ROOT / "template.yaml", folder)
    path = folder / "workflows" / "order_processing.asl.yaml"
    step = "\n  NewStep:\n    Type: Pass\n    Next: InventoryChoice\n\n  InventoryChoice:\n"
    definition = path.read_text(encoding="utf-8")
    definition = definition.replace("Next: InventoryChoice\n", "Next: NewStep\n")
    path.write_text(definition.replace("\n  InventoryChoice:\n", step), encoding="utf-8")
    return folder / "template.yaml"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_f32_a_kill_at_any_commit(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """F32: kill -9 at any commit, then restart -> every invariant holds; work resumes."""
    with scene.open() as machine:
        machine.receive(TEA=1000)
    orders = {number: order(f"T-{number}") for number in range(1, 40, 3)}
    for number, created in orders.items():
        with monkeypatch.context() as patch, scene.open() as machine:
            _kill_at_commit(patch, number, moment)
            machine.put(created)
            machine.settle()
    with scene.open() as machine:
        for number, created in orders.items():
            if not machine.rows("select 1 from events where order_id = ?", f"T-{number}"):
                machine.put(created)  # killed before the acknowledgement
        machine.settle()
        assert all(has_completed_once(machine, f"T-{number}") for number in orders)


def _kill_at_commit(patch: pytest.MonkeyPatch, number: int, moment: str) -> None:
    """Kill the process before or after its n-th commit."""
    write, commits = Database.write, [0]

    @contextmanager
    def counted(database: Database, **how: bool) -> Iterator[Any]:
        commits[0] += 1
        if commits[0] == number and moment == "before":
            raise Killed
        with write(database, **how) as connection:
            yield connection
        if commits[0] == number and moment == "after":
            raise Killed

    patch.setattr(Database, "write", counted)


@pytest.mark.parametrize("status", [None, "RECEIVED", "RESERVED", "CHARGED"])
def test_f33_an_execution_that_vanishes(scene: Scene, status: str | None) -> None:
    """F33: an execution vanishes without a trace -> the reconciler starts the order again."""
    with scene.open() as machine:
        machine.receive(TEA=1)
        machine.put(order())
        while machine.status() != status or not machine.rows("select 1 from executions"):
            machine.engine.turn(0)
        with machine.database.write() as connection:
            connection.execute("delete from executions")
    with scene.open(later=SINK_GRACE + 60.0) as machine:
        machine.engine.run_schedule("ReconcileFunction")
        machine.settle()
        assert has_completed_once(machine)


def test_f34_a_relay_that_stops_for_days(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """F34: the relay stops for two days -> outbox rows are kept, then sent."""
    with scene.open() as machine:
        machine.receive(TEA=1)
        monkeypatch.setattr(machine.engine.outbox, "work", lambda _: False)
        machine.put(order())
        while machine.status() != "COMPLETED":
            machine.engine.turn(0)
        assert machine.events() == []
        [entry] = machine.rows("select body from outbox")
        assert "Order Completed" in entry["body"]
    with scene.open(later=2 * DAY) as machine:
        machine.settle()
        assert machine.rows("select body from outbox") == []
        assert has_completed_once(machine)
        assert paid(machine) == ["CHARGED"]
