"""A sandbox with skipped time, opened with the real clock; and the end of a sandbox."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from infra.local.clock import Clock, SkippingClock
from infra.local.directory.clock_rebase import DUE_TIMES, PAST_TIMES, rebase_to_real_time
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.journal import CLOCK_AHEAD, KIND
from infra.local.directory.sandbox import clock_for
from infra.local.settle import work_off
from infra.server.aws_api import AwsApi, execution_history
from tests.fakes.serving import rows
from tests.faults.scene import NEVER_SHIPPED, VASE, Killed, Scene, paid
from tests.host import Host, event, order
from tests.times import DELAYS, later_than_now, too_late

AHEAD_BY = 1_500.0
"""Seconds that a run skips before it is killed: a few waits for stock."""


def skip_until(machine: Host, ahead: float) -> None:
    """Work and skip time until the clock is ``ahead`` seconds ahead."""
    engine = machine.engine
    while engine.clock.offset < ahead:
        if not engine.turn(0) and engine.idle:
            assert engine.skip()


@pytest.fixture
def interrupted(scene: Scene) -> Scene:
    """A sandbox whose run was killed while orders waited, far ahead of the real time.

    V waits for stock, R cannot be refunded, C was cancelled before it was created, the mail of M
    bounces; T was completed at the beginning, L later.
    """
    with scene.open() as machine:
        machine.receive(TEA=10, VASE=0)
        machine.put(
            order("T"),
            order("V", items=VASE),
            order("R", payment_token="tok_refund_fails", shipping_address=NEVER_SHIPPED),
        )
        skip_until(machine, AHEAD_BY)
        machine.put(
            order("L"), order("M", email="ada@bounce.example"), event("Order Cancelled", "C")
        )
        machine.engine.run_schedule("ReconcileFunction")
        skip_until(machine, machine.engine.clock.offset + 60)
        assert (machine.status("V"), machine.status("L")) == ("WAITING", "COMPLETED")
        kill()
    return scene


def kill(*_: object) -> None:
    """Kill the process."""
    raise Killed


def kept(machine: Host, key: str) -> str | None:
    """Return a value of the directory's own table."""
    row = machine.database.row("select value from directory where key = ?", key)
    return None if row is None else row[0]


# ---- rebasing times


def test_before_the_rebase_times_are_far_ahead(interrupted: Scene) -> None:
    later = later_than_now(interrupted.root)
    wanted = {"orders.resume_at", "orders.updated_at", "timeline.at", "executions.started_at"}
    wanted |= {"executions.wake_at", "history.due", "history.timestamp", "messages.visible_at"}
    wanted |= {"schedules.next_at", "metrics.minute", "events.arrived_at", "charges.opened_at"}
    wanted |= {"gateway_charges.charged_at", "mail_messages.sent_at", "deliveries.due"}
    wanted |= {"early_requests.came_at", "early_requests.heard"}
    assert wanted <= {name for name, ahead in later.items() if ahead > 600}


def test_no_time_is_later_than_now_by_more_than_its_own_delay(interrupted: Scene) -> None:
    with interrupted.open(clock=Clock()):
        assert too_late(interrupted.root) == {}
        assert set(later_than_now(interrupted.root)) <= set(DELAYS)


def test_a_schedule_is_due_within_its_own_interval(interrupted: Scene) -> None:
    with interrupted.open(clock=Clock()) as machine:
        due = machine.engine.schedules.due
        assert min(due.values()) <= machine.engine.clock.now() + 300


def test_a_clock_that_is_as_far_ahead_rebases_nothing(interrupted: Scene) -> None:
    [_, due] = _outside(interrupted.root)
    with interrupted.open(later=AHEAD_BY * 2) as machine:
        assert kept(machine, CLOCK_AHEAD) == str(AHEAD_BY * 2)
        assert machine.rows("select resume_at from orders where order_id = 'V'") == [
            {"resume_at": due}
        ]


@pytest.fixture
def waits(interrupted: Scene) -> Iterator[tuple[Host, float]]:
    """The interrupted sandbox, opened with the real clock, and the remaining wait of V."""
    [ahead, resume_at] = _outside(interrupted.root)
    with interrupted.open(clock=Clock()) as machine:
        yield machine, resume_at - ahead


def _outside(root: Path) -> list[float]:
    """Return the seconds that the clock was ahead, and the time at which V resumes."""
    [(ahead,)] = rows(root / "orderflow.db", "select value from directory where key = 'ahead'")
    [(at,)] = rows(root / "orderflow.db", "select resume_at from orders where order_id = 'V'")
    return [float(ahead), at]


def test_due_times_move_earlier_by_the_skipped_time(waits: tuple[Host, float]) -> None:
    machine, due = waits
    [row] = machine.rows("select resume_at, updated_at, created_at from orders where order_id='V'")
    assert row["resume_at"] == pytest.approx(due, abs=1e-3)
    assert 0 < row["resume_at"] - machine.engine.clock.now() <= 300
    assert row["created_at"] <= row["updated_at"] <= machine.engine.clock.now()
    [run] = machine.rows(
        "select id, wake_at from executions where status = 'RUNNING' and machine = 'OrderRecovery'"
        " and order_id = 'V'"
    )
    assert run["wake_at"] == pytest.approx(due, abs=6)
    assert machine.engine.next_due(schedules=True) < machine.engine.clock.now() + 301


def test_past_times_keep_their_order(waits: tuple[Host, float]) -> None:
    machine, _ = waits
    for number in [row["id"] for row in machine.rows("select id from executions")]:
        times = [one["timestamp"] for one in execution_history(machine.database, number)]
        assert times == sorted(times)
    for order_id in ("T", "V", "R", "L"):
        query = "select at from timeline where order_id = ? order by seq"
        times = [row["at"] for row in machine.rows(query, order_id)]
        assert times == sorted(times)


def test_orders_continue_with_their_number_of_attempts(interrupted: Scene) -> None:
    with interrupted.open(clock=Clock()) as machine:
        [before] = machine.rows("select attempts, epoch from orders where order_id = 'V'")
        work_off(machine.engine)
        assert machine.rows("select attempts, epoch from orders where order_id = 'V'") == [before]
        assert machine.status("V") == "WAITING"
    with interrupted.open() as machine:
        machine.receive(VASE=1)
        machine.settle()
        assert machine.status("V") == "COMPLETED"
        assert machine.status("R") == "COMPENSATING"
        assert paid(machine, "V") == ["CHARGED"]
        [after] = machine.rows("select attempts from orders where order_id = 'V'")
        assert after["attempts"] == before["attempts"]


def test_a_lease_of_a_dead_run_expires_after_its_own_duration(interrupted: Scene) -> None:
    with interrupted.open(clock=Clock()) as machine:
        [row] = machine.rows("select lease_owner, lease_until from orders where order_id = 'R'")
        assert row["lease_owner"] is not None
        assert row["lease_until"] < machine.engine.clock.now() + 300


def test_times_are_rebased_once(interrupted: Scene) -> None:
    with interrupted.open(clock=Clock()) as machine:
        before = machine.rows("select * from orders"), machine.rows("select * from history")
    with interrupted.open(clock=Clock()) as machine:
        assert (machine.rows("select * from orders"), machine.rows("select * from history")) == (
            before
        )


def test_metrics_are_kept(interrupted: Scene) -> None:
    with interrupted.open(later=AHEAD_BY * 2) as machine:
        summed = "select name, sum(count), sum(sum) from metrics group by name order by name"
        before = machine.rows(summed)
    with interrupted.open(clock=Clock()) as machine:
        assert machine.rows(summed) == before != []


def test_measures_are_kept(interrupted: Scene) -> None:
    with interrupted.open(later=AHEAD_BY * 2) as machine:
        summed = "select name, sum(count), sum(sum) from measures group by name order by name"
        before = machine.rows(summed)
    with interrupted.open(clock=Clock()) as machine:
        assert machine.rows(summed) == before != []


def test_the_next_sandbox_run_begins_at_the_present(interrupted: Scene) -> None:
    with interrupted.open(clock=SkippingClock()) as machine:
        assert machine.engine.clock.offset == 0
        assert too_late(interrupted.root) == {}
        machine.settle()
        assert machine.status("V") == "FAILED"


def test_an_export_is_of_the_present(interrupted: Scene) -> None:
    rebase_to_real_time(DataDirectory(interrupted.root))
    assert too_late(interrupted.root) == {}


def test_a_directory_of_an_older_version_is_rebased_too(interrupted: Scene) -> None:
    """It does not store how far its clock was ahead: the latest time of an order tells."""
    with interrupted.open(later=AHEAD_BY * 2) as machine:
        machine.database.connection.execute("drop table directory")
    with interrupted.open(clock=Clock()):
        late = {name for name in too_late(interrupted.root) if not name.startswith("messages.")}
        assert late == set()


def test_every_column_of_a_time_is_rebased(interrupted: Scene) -> None:
    """A new column of a time needs an entry in `infra.local.directory.clock_rebase`."""
    others = {
        *("metrics.sum", "metrics.minimum", "metrics.maximum", "measures.sum"),  # measured values
        *("replays.start_at", "replays.end_at", "replays.rate", "letter_jobs.rate"),  # requested
        "schedules.next_at",  # follows from its expression
    }
    named = {
        f"{table}.{name}"
        for columns in (PAST_TIMES, DUE_TIMES)
        for table in columns
        for name in columns[table]
    }
    with interrupted.open(clock=Clock()) as machine:
        times = {
            f"{row['name']}.{row['column']}"
            for row in machine.rows(
                "select t.name, c.name as column from sqlite_master t, pragma_table_info(t.name) c"
                " where t.type = 'table' and lower(c.type) = 'real'"
            )
        }
    assert times - others <= named


# ---- the end of a sandbox


def new(scene: Scene) -> Any:
    """Return a platform in a directory that becomes a sandbox."""
    return scene.open(clock=None)


def test_a_new_directory_stays_a_sandbox_while_all_orders_come_from_runs(
    scene: Scene,
) -> None:
    for number in range(2):
        with new(scene) as machine:
            machine.receive(TEA=1)
            machine.put(order(f"T-{number}"))
            machine.settle()
            assert machine.engine.clock.skips
            assert kept(machine, KIND) == "sandbox"


def ask(machine: Host, target: str, **request: Any) -> Any:
    """Return the port's answer to an AWS client."""
    api = AwsApi(machine.engine, machine.directory.reader())
    answer = api.answer(target, json.dumps(request).encode())
    machine.engine.turn(0)
    return answer.result(0) if isinstance(answer, Future) else answer


def put_events(machine: Host) -> None:
    detail = json.dumps(order("P")["detail"])
    entry = {"EventBusName": "orders-bus", "Source": "orders.service", "Detail": detail}
    ask(machine, "AWSEvents.PutEvents", Entries=[entry | {"DetailType": "Order Created"}])


def put_nothing(machine: Host) -> None:
    ask(machine, "AWSEvents.PutEvents", Entries=[{"Source": "orders.service"}])


def start_execution(machine: Host) -> None:
    arn = machine.engine.stack.state_machines[machine.engine.profile.order_machine].arn
    ask(machine, "AWSStepFunctions.StartExecution", stateMachineArn=arn, input="{}")


def list_executions(machine: Host) -> None:
    arn = machine.engine.stack.state_machines[machine.engine.profile.order_machine].arn
    ask(machine, "AWSStepFunctions.ListExecutions", stateMachineArn=arn)


def call(machine: Host, *, takes_orders: bool) -> None:
    """Call the HTTP API's function as the port does."""
    machine.engine.call_function("OrdersApiFunction", {}, takes_orders=takes_orders)
    machine.engine.turn(0)


@pytest.mark.parametrize(
    ("door", "kind"),
    [
        (put_events, "real"),
        (start_execution, "real"),
        (lambda machine: call(machine, takes_orders=True), "real"),
        (put_nothing, "sandbox"),
        (list_executions, "sandbox"),
        (lambda machine: call(machine, takes_orders=False), "sandbox"),
    ],
)
def test_an_order_from_outside_makes_a_directory_real_permanently(
    scene: Scene, door: Callable[[Host], None], kind: str
) -> None:
    with new(scene) as machine:
        door(machine)
        assert kept(machine, KIND) == kind
        kill()
    with new(scene) as machine:
        assert machine.engine.clock.skips is (kind == "sandbox")


def test_a_directory_is_real_before_the_function_of_the_order_is_called(scene: Scene) -> None:
    with new(scene) as machine:
        invoker: Any = machine.engine.invoker
        invoker.submit = kill
        call(machine, takes_orders=True)
    with new(scene) as machine:
        assert kept(machine, KIND) == "real"


def test_a_failed_request_leaves_a_sandbox(scene: Scene) -> None:
    with new(scene) as machine:
        with pytest.raises(Exception, match="greater than or equal to 1"):
            ask(machine, "AWSEvents.PutEvents", Entries=[])
        assert kept(machine, KIND) == "sandbox"


@pytest.mark.parametrize("left", ["order", "event"])
def test_a_directory_without_the_mark_is_real(scene: Scene, left: str) -> None:
    """Directories of older versions have no mark."""
    with scene.open() as machine:
        machine.put(order("T") if left == "order" else event("Order Updated", "none"))
        machine.settle()
        machine.database.connection.execute("delete from events")  # the archive forgets them
    with new(scene) as machine:
        assert not machine.engine.clock.skips
        assert kept(machine, KIND) is None


def test_a_directory_with_stock_alone_may_become_a_sandbox(scene: Scene) -> None:
    with scene.open(clock=Clock()) as machine:
        machine.receive(TEA=1)
    with new(scene) as machine:
        assert machine.engine.clock.skips
        assert isinstance(clock_for(machine.database), SkippingClock)
