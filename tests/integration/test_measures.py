"""Measures: the engine's counts agree with the rows, and cost an order no row."""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import kernel.clock
from infra.cli.event_destination import to_entry
from infra.cli.generator import generate
from infra.errors import InvalidRequest
from infra.local.engine.measures import BEFORE, KEPT, MAX_LABELS, OTHER, Key
from inventory.store import SQLiteInventory
from tests.fakes.runtime import NOW, Rig, entry
from tests.fakes.serving import answer
from tests.faults.scene import VASE, forget
from tests.host import Host, host, order

ARRIVED = (
    "(select min(arrived_at) from events e"
    " where e.order_id = o.order_id and e.detail_type = 'Order Created')"
)


@pytest.fixture(autouse=True)
def fresh_handlers() -> Iterator[None]:
    """Let the handlers of this process open each platform's own stores."""
    environment = dict(os.environ)
    forget()
    yield
    forget()
    kernel.clock.shift(0.0)
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path)
    yield opened
    opened.close()


def sums(host: Host, name: str) -> dict[str, tuple[int, float]]:
    """Return number and seconds of each label of a measure, as they are in the table."""
    host.engine.write_measures()
    rows = host.rows(
        "select label, sum(count) as n, sum(sum) as s from measures where name = ? group by label",
        name,
    )
    return {row["label"]: (row["n"], row["s"]) for row in rows}


def burst(platform: Host, count: int) -> None:
    """Process generated orders of every kind."""
    generated = generate(count, 1)
    if generated.receipt.units:
        SQLiteInventory(platform.database).receive(generated.receipt, platform.engine.clock.now())
    entries = [
        to_entry(line, platform.engine.stack.bus) for line in generated.lines() if line.envelope
    ]
    for start in range(0, len(entries), 10):
        batch = entries[start : start + 10]
        platform.engine.call(partial(platform.engine.bus.put, batch))
        platform.engine.turn(0)
    platform.settle()


def test_the_figures_of_a_burst_agree_with_an_independent_count(tmp_path: Path) -> None:
    with host(tmp_path) as platform:
        burst(platform, 120)
        ended = Counter(
            (row["status"], row["failure"] if row["status"] == "FAILED" else "")
            for row in platform.rows("select status, failure from orders")
        )
        for status in ("COMPLETED", "FAILED", "CANCELLED"):
            counted = {
                (status, label): n for label, (n, _) in sums(platform, status.lower()).items()
            }
            assert counted == {key: n for key, n in ended.items() if key[0] == status}
            assert counted, "the burst has orders of every outcome"
        events = Counter(row["detail_type"] for row in platform.rows("select * from events"))
        assert {kind: n for kind, (n, _) in sums(platform, "events").items()} == events
        [truth] = platform.rows(
            f"select count(*) as n, sum(updated_at - {ARRIVED}) as s from orders o"
            " where status = 'COMPLETED'"
        )
        number, seconds = sums(platform, "time_to_complete")[""]
        assert number == truth["n"]
        assert truth["s"] <= seconds <= truth["s"] + 0.5 * number


def test_each_delivery_to_a_target_is_measured_once(tmp_path: Path) -> None:
    with host(tmp_path) as platform:
        burst(platform, 60)
        machines = platform.rows("select count(*) as n from executions where name like '%-%'")
        delivered = sums(platform, "time_to_deliver")
        started = delivered["OrderCreatedRule/OrderProcessing"][0]
        placed = platform.rows("select 1 from events where detail_type = 'Order Created'")
        assert started == len(placed)
        assert machines[0]["n"] >= started


def test_a_restart_continues_the_totals(tmp_path: Path) -> None:
    with host(tmp_path) as platform:
        platform.receive(TEA=10)
        platform.put(order("T-1"))
        platform.settle()
    with host(tmp_path) as platform:
        assert platform.engine.measures.totals[Key("completed", "", -1)].number == 1
        platform.put(order("T-2"))
        platform.settle()
        assert sums(platform, "completed")[""][0] == 2


def test_an_order_that_arrived_before_a_restart_has_its_whole_time(tmp_path: Path) -> None:
    with host(tmp_path) as platform:
        platform.receive(TEA=10)
        platform.put(order("T-1"))
        with platform.database.write() as connection:
            connection.execute("update events set arrived_at = arrived_at - 500")
    with host(tmp_path) as platform:
        platform.settle()
        assert 500 <= sums(platform, "time_to_complete")[""][1] < 560


def test_a_rolled_back_event_is_not_counted(rig: Rig) -> None:
    def half(now: float) -> None:
        rig.engine.bus.put([entry("Nobody")], now)
        raise InvalidRequest("ValidationException", "the other half is wrong")

    rig.engine.call(half)
    rig.turn()
    rig.engine.write_measures()
    assert rig.rows("select * from measures where name = 'events'") == []


def test_sums_are_written_at_most_once_a_second(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 10.4, 10.9, 11.1])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr("infra.local.engine.measures.time", clock)
    written = []
    for _ in range(4):
        rig.put(entry("Nobody"))
        written.append(sum(row["count"] for row in rig.rows("select * from measures")))
    assert written == [1, 1, 1, 4]


def test_a_skip_of_time_leaves_the_counts_of_before_in_their_minute(tmp_path: Path) -> None:
    with host(tmp_path) as platform:
        platform.receive(TEA=1, VASE=0)
        began = platform.engine.clock.now()
        platform.put(order("T-1"))
        platform.engine.turn(0.0)  # writes the first sums, so that the next ones wait a second
        platform.put(order("T-2", items=VASE))
        platform.settle()
        platform.engine.write_measures()
        rows = platform.rows("select * from measures where label = 'Order Created'")
        [minute] = {row["minute"] for row in rows}
        assert minute <= began < minute + 120
        assert platform.engine.clock.now() > began + 3_000
        assert sum(row["count"] for row in rows) == 2


def test_text_from_outside_does_not_become_a_label(rig: Rig) -> None:
    for number in range(3):
        rig.put(entry(f"Foreign {number}"))
    rig.engine.write_measures()
    labels = {row["label"] for row in rig.rows("select * from measures where name = 'events'")}
    assert labels == {OTHER}


def test_reasons_have_a_maximum(rig: Rig) -> None:
    measures = rig.engine.measures
    for number in range(MAX_LABELS + 5):
        measures.published("Order Failed", {"reason": f"R{number}", "order_id": f"{number}"}, NOW)
    rig.engine.write_measures()
    rows = rig.rows("select label, count from measures where name = 'failed'")
    assert len(rows) == MAX_LABELS + 1
    assert {row["label"]: row["count"] for row in rows}[OTHER] == 5


def test_old_minutes_are_rolled_up_and_stay_in_the_totals(rig: Rig) -> None:
    rig.put(entry("Nobody"))
    rig.engine.write_measures()
    rig.pass_time(KEPT + 7_200)
    rig.put(entry("Nobody"))
    rig.engine.write_measures()
    rows: dict[int, Any] = {
        row["minute"]: row["count"] for row in rig.rows("select * from measures")
    }
    assert rows[BEFORE] == 1
    assert sum(rows.values()) == 2
    assert len(rows) == 2


def test_imported_orders_are_counted_once(tmp_path: Path) -> None:
    source, goal, file = (tmp_path / name for name in ("source", "goal", "orders.ndjson"))
    answer("run", "--count", "40", "--workers", "0", "--data", source)
    answer("export", file, "--data", source)
    for _ in range(2):
        answer("import", file, "--data", goal)
        with sqlite3.connect(goal / "orderflow.db") as connection:
            rows = "select lower(status), count(*) from orders where in_flight is null group by 1"
            measured = (
                "select name, sum(count) from measures where bucket = -1"
                " and name in ('completed', 'failed', 'cancelled') group by 1 order by 1"
            )
            truth = connection.execute(rows).fetchall()
            assert connection.execute(measured).fetchall() == truth
            assert len(truth) == 3
        connection.close()
