"""A run's summary of orders that have not begun, of waits, and of failed items."""

import io
import json
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import Any

import pytest

import infra.cli.commands.run
from infra.cli.run_output import show_run
from infra.local.engine.targets import DeliveryError, MachineTarget
from infra.terminal.output import Terminal
from infra.views import summary
from infra.views.unfinished import Waiting, not_begun, overdue, waiting
from orders.early_requests import RETENTION
from tests.faults.scene import NEVER_SHIPPED, VASE, dead_letters
from tests.host import Host, event, order

FAILURES = """
create table failures (id integer primary key, at real not null, kind text not null,
    item text not null, error text not null, message text not null)
"""


def begun(machine: Host, since: int = 0) -> int:
    """Return the number of orders that have not begun."""
    return not_begun(machine.database, machine.engine.stack, since)


# ---- orders that have not begun


def test_an_accepted_order_whose_event_is_not_delivered_has_not_begun(machine: Host) -> None:
    machine.engine.accept_only = True
    machine.put(order("A"), order("B"), order("A"), event("Order Updated", "C"))
    assert begun(machine) == 2


def test_an_order_whose_run_has_not_made_a_step_has_not_begun(machine: Host) -> None:
    machine.put(order("A"))
    machine.engine.turn(0)
    assert machine.rows("select 1 from deliveries where target like 'OrderCreated%'") == []
    assert begun(machine) == 1
    machine.settle()
    assert (machine.status("A"), begun(machine)) == ("COMPLETED", 0)


def test_an_order_whose_event_vanished_has_not_begun(machine: Host) -> None:
    machine.engine.accept_only = True
    machine.put(order("A"))
    machine.database.connection.execute("delete from deliveries")
    assert (begun(machine), begun(machine, since=1)) == (1, 0)


def test_a_refused_order_does_not_count_as_not_begun(machine: Host) -> None:
    machine.put(order("A", total=1))
    machine.settle()
    assert [queue for queue, _ in dead_letters(machine)] == ["QuarantineQueue"]
    assert begun(machine) == 0


def test_an_event_without_a_workflow_does_not_count_as_not_begun(machine: Host) -> None:
    machine.put({**order("A"), "source": "somebody.else"})
    machine.settle()
    assert machine.rows("select 1 from executions") == []
    assert begun(machine) == 0


def test_an_event_in_a_dead_letter_queue_does_not_count_as_not_begun(machine: Host) -> None:
    class Refusing(MachineTarget):
        def deliver(self, *_: Any) -> None:
            raise DeliveryError("NO_PERMISSIONS", "not allowed", final=True)

    engine = machine.engine
    engine.bus.rule_targets["machine"] = Refusing(engine.parts)
    machine.put(order("A"))
    machine.settle()
    assert [queue for queue, _ in dead_letters(machine)] == ["TargetsDeadLetterQueue"]
    assert begun(machine) == 0


# ---- due work, and waits


def test_due_work_that_was_not_done_is_overdue(machine: Host) -> None:
    now, stack = machine.engine.clock.now(), machine.engine.stack
    machine.engine.accept_only = True
    machine.put(order("A"), event("Order Updated", "C"))
    assert overdue(machine.database, stack, now) == 0
    assert overdue(machine.database, stack, now + 10) == 2, "a stream's buffer is no delivery due"
    machine.engine.accept_only = False
    machine.settle()
    assert overdue(machine.database, stack, machine.engine.clock.now() + 10) == 0


def test_waits_are_grouped_by_their_reason(machine: Host) -> None:
    machine.put(
        *(order(f"V-{number}", items=VASE) for number in range(2)),
        order("G", payment_token="tok_unavailable"),
        order("R", payment_token="tok_refund_fails", shipping_address=NEVER_SHIPPED),
        event("Order Cancelled", "never"),
    )
    engine, found = machine.engine, dict[str, Waiting]()
    for _ in range(3_000):
        if not engine.turn(0) and engine.idle:
            found = {one.text: one for one in waiting(machine.database, engine.stack)}
            if "1 order waits for the payment gateway" in found and len(dead_letters(machine)) == 1:
                break
            engine.skip()
    assert "2 orders wait for stock" in found
    assert "1 order waits for the reconciler" in found
    kept = found.pop("1 request waits for an order")
    now = engine.clock.now()
    assert now < kept.next_at < now + RETENTION
    assert all(now - 601 < one.next_at < now + 301 for one in found.values())


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (Waiting(1, "order", "wait for stock", 0.0), "1 order waits for stock"),
        (Waiting(2, "order", "wait for stock", 0.0), "2 orders wait for stock"),
        (Waiting(1, "delivery", "are tried again", 0.0), "1 delivery is tried again"),
        (Waiting(3, "delivery", "are tried again", 0.0), "3 deliveries are tried again"),
    ],
)
def test_a_wait_is_printed_as_a_sentence(one: Waiting, text: str) -> None:
    assert one.text == text


# ---- failed and quarantined items


@pytest.mark.parametrize("body", ["no JSON", "[" * 2_000 + "]" * 2_000, '{"event": ' * 1_500])
def test_a_quarantined_body_that_sqlite_does_not_read_counts_as_one(
    machine: Host, body: str
) -> None:
    queues = machine.engine.queues
    once = json.dumps({"event": {"id": "E-1"}})
    machine.engine.call(
        lambda now: [queues.send("QuarantineQueue", one, {}, now) for one in (body, once, once)]
    )
    before = summary.mark(machine.database, machine.engine.stack)
    machine.engine.turn(0)
    assert summary.of_run(machine.database, before, machine.engine.stack)["quarantined"] == 2


def test_items_that_failed_since_the_runs_begin_are_counted_and_named(machine: Host) -> None:
    before = summary.mark(machine.database, machine.engine.stack)
    assert summary.of_run(machine.database, before, machine.engine.stack)["failed_items"] == 0
    machine.database.connection.execute("drop table if exists failures")
    machine.database.connection.executescript(FAILURES)
    insert = "insert into failures values (?, 1.0, 'execution', ?, 'TypeError', '[/x] is no list')"
    machine.database.connection.execute(insert, (1, "A-1"))
    before = summary.mark(machine.database, machine.engine.stack)
    machine.database.connection.execute(insert, (2, "A-2"))
    ran = infra.cli.commands.run.Run(machine.engine, machine.directory).take(iter(()), None)
    assert (ran["failed_items"], [one["item"] for one in ran["failures"]]) == (0, [])
    counts = summary.of_run(machine.database, before, machine.engine.stack)
    assert counts["failed_items"] == 1
    ran |= counts | {"failures": summary.failures(machine.database, "id > ?", before.failure)}
    assert "failed execution A-2: TypeError: [/x] is no list" in shown(machine, ran)


def shown(machine: Host, ran: dict[str, Any]) -> str:
    """Return the printed summary of a run."""
    with redirect_stdout(io.StringIO()) as printed:
        show_run(Terminal(), ran, machine.directory, None)
    return printed.getvalue()


def test_a_wait_is_printed_with_its_time_of_day_and_its_duration(machine: Host) -> None:
    ran = infra.cli.commands.run.Run(machine.engine, machine.directory).take(iter(()), None)
    soon, later = (datetime.now(UTC).timestamp() + seconds for seconds in (100, 200_000))
    ran["waiting"] = [
        {"what": "1 order waits for stock", "count": 1, "next_at": _iso(soon)},
        {"what": "2 orders wait for stock", "count": 2, "next_at": _iso(later)},
    ]
    told = shown(machine, ran | {"sandbox": False})
    assert f"1 order waits for stock until {_moment(soon)} UTC (in 2 min)" in told
    assert f"2 orders wait for stock, the first until {_iso(later)[:10]} " in told
    assert f" {_iso(later)[11:19]} UTC (in 56 h)" in told


def _moment(seconds: float) -> str:
    """Return a time of day, with its date if it is not today."""
    then = _iso(seconds)
    today = then[:10] == datetime.now(UTC).date().isoformat()
    return then[11:19] if today else f"{then[:10]} {then[11:19]}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
