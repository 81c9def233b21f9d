"""The health of a data directory: its needs and its figures, as a person reads them."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.local.directory.data_directory import DataDirectory
from infra.views.health import GRACE, Health, Workers
from infra.views.local_health import read_health
from infra.views.local_story import list_orders, read_story
from infra.views.order_filter import OrderFilter
from tests.fakes.serving import COMMAND, PATIENCE, orders
from tests.faults.conftest import scene as scene  # noqa: PLC0414 - a fixture
from tests.faults.scene import Scene
from tests.host import Host, order

SERVED = Workers("http://127.0.0.1:1", ready=True, problem=None, alive=2, wanted=2, replaced=0)


@pytest.fixture
def platform(scene: Scene) -> Iterator[Host]:
    with scene.open() as opened:
        opened.receive(TEA=1_000, VASE=0)
        yield opened


def health(host: Host, *, later: float = 0.0, workers: Workers | None = SERVED) -> Health:
    host.engine.write_measures()
    return read_health(host.directory, host.database, host.engine.clock.now() + later, workers)


def change(host: Host, statement: str, *values: Any) -> None:
    with host.database.write() as connection:
        connection.execute(statement, values)


def kinds(found: Health) -> list[str]:
    return [need.kind for need in found.needs]


def test_a_healthy_directory_has_no_need(platform: Host) -> None:
    platform.put(order("T-1"))
    platform.settle()
    found = health(platform)
    assert found.ok
    assert found.totals == {"completed": 1, "failed": 0, "cancelled": 0, "open": 0}
    assert {rate.name: rate.last_hour for rate in found.rates} == {
        "placed": 1,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
    }
    assert [(each.name, each.count) for each in found.latencies] == [
        ("placed to completed", 1),
        ("event to delivered", 1),
    ]
    assert found.latencies[0].p99 is not None


def test_an_order_that_waits_says_for_what_and_until_when(platform: Host) -> None:
    vase = {"items": [{"sku": "VASE", "quantity": 1, "unit_price": 12.5}]}
    platform.put(order("T-1", **vase), order("T-2", **vase))
    for _ in range(200):
        platform.engine.turn(0)
    [waiting] = health(platform).waiting
    [row] = platform.rows("select * from orders where order_id = 'T-1'")
    assert (waiting.waits_for, waiting.count, waiting.order_id) == ("stock", 2, "T-1")
    assert waiting.until > waiting.since
    assert health(platform).ok
    overdue = health(platform, later=row["resume_at"] - platform.engine.clock.now() + GRACE + 1)
    assert "past their wait" in kinds(overdue)


def test_failures_are_counted_by_reason_against_the_hour_before(platform: Host) -> None:
    platform.put(order("T-1", payment_token="tok_decline"))
    platform.settle()
    [reason] = health(platform).failures
    assert (reason.reason, reason.last_hour, reason.hour_before) == ("PaymentDeclined", 1, 0)
    [reason] = health(platform, later=3_700).failures
    assert (reason.last_hour, reason.hour_before) == (0, 1)


def test_dead_letters_are_counted_by_queue_and_reason(platform: Host) -> None:
    platform.put(*(order(f"T-{n}", total=99.0) for n in range(3)))
    platform.settle()
    [need] = health(platform).needs
    assert (need.kind, need.count) == ("dead letters", 3)
    assert need.text.startswith("3 dead letters in QuarantineQueue: InvalidEvent")
    assert need.since is not None


def test_an_order_past_its_lease_and_an_unpaid_refund_need_somebody(platform: Host) -> None:
    platform.put(order("T-1"), order("T-2"))
    platform.settle()
    change(
        platform,
        "update orders set status = 'COMPENSATING', in_flight = 1, charge = 'CHARGED'"
        " where order_id = 'T-1'",
    )
    change(platform, "update orders set status = 'RESERVED', in_flight = 1 where order_id = 'T-2'")
    found = health(platform, later=GRACE + 400)
    assert kinds(found) == ["unpaid refunds", "past their lease"]
    assert "12.50 USD" in found.needs[0].text
    assert found.needs[1].count == 2
    assert {stage.name: stage.count for stage in found.stages} == {
        "orders COMPENSATING": 1,
        "orders RESERVED": 1,
    }


def test_open_work_without_a_server_is_a_need(platform: Host) -> None:
    platform.put(order("T-1"))
    assert kinds(health(platform, workers=None)) == ["not served"]
    platform.settle()
    assert health(platform, workers=None).ok


def test_a_server_that_is_not_ready_is_a_need(platform: Host) -> None:
    stuck = replace(SERVED, ready=False, problem="the engine has failed")
    [need] = health(platform, workers=stuck).needs
    assert (need.kind, "the engine has failed" in need.text) == ("server", True)


def test_late_messages_and_failed_items_need_somebody(platform: Host) -> None:
    now = platform.engine.clock.now()
    change(
        platform,
        "insert into messages (queue, body, sent_at, visible_at, receives, attributes)"
        " values ('HighValueQueue', '{}', ?, ?, 0, '{}')",
        now - 2 * GRACE,
        now - 2 * GRACE,
    )
    change(
        platform,
        "insert into failures (at, kind, item, error, message, traceback, count)"
        " values (?, 'delivery', '7', 'KeyError', 'x', '', 1)",
        now,
    )
    change(
        platform, "insert into outbox (kind, body, created_at) values ('run', '{}', ?)", now - 99
    )
    assert kinds(health(platform)) == ["late messages", "outbox", "failed items"]


def test_the_sink_has_its_lag(platform: Host) -> None:
    platform.put(order("T-1"))
    sink = health(platform, later=30).sink
    assert sink is not None
    assert sink.waiting == 1
    assert 29 < sink.lag_seconds < 40


def test_the_command_has_exit_code_1_if_there_is_a_need(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = orders("run", "--count", "30", "--workers", "0", "--data", data)
    assert done.returncode == 0, done.stderr
    good = orders("status", "--data", data, "--json")
    assert (good.returncode, json.loads(good.stdout)["ok"]) == (0, True)
    orders("emit", "events_schema/order-created/examples/minimal.json", "--data", data)
    bad = orders("status", "--data", data, "--json")
    document = json.loads(bad.stdout)
    assert (bad.returncode, document["ok"]) == (1, False)
    assert [need["kind"] for need in document["needs"]] == ["not served"]
    shown = orders("status", "--data", data)
    assert shown.returncode == 1
    assert "1 item needs an operator" in shown.stdout
    assert "`orders serve` continues it" in shown.stdout


def test_the_status_of_a_sandbox_says_that_its_clock_is_ahead(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    orders("run", "--count", "100", "--workers", "0", "--data", data)
    shown = orders("status", "--data", data).stdout
    assert re.search(r"\(a sandbox: its clock is \d+ min ahead\)", shown)


def test_watching_prints_the_status_again_and_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    orders("run", "--count", "5", "--workers", "0", "--data", data)
    command = [str(COMMAND), "status", "--watch", "--every", "0.2", "--json", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        first, second = (json.loads(watching.stdout.readline()) for _ in range(2))
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 0
        assert all("error" not in json.loads(line) for line in watching.stdout)
    assert first["at"] < second["at"]
    assert first["totals"] == second["totals"]


def test_the_status_of_a_large_directory_takes_a_fraction_of_a_second(tmp_path: Path) -> None:
    where = DataDirectory(tmp_path / "data")
    orders("run", "--count", "20", "--workers", "0", "--data", where.root)
    with where.writer() as database, database.write() as connection:
        names = [row["name"] for row in database.rows("select * from pragma_table_info('orders')")]
        others = ", ".join(name for name in names if name != "order_id")
        connection.execute(
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < 100000)"
            f" insert into orders (order_id, {others}) select 'X-' || i, {others}"
            " from n, (select * from orders where status = 'COMPLETED' limit 1)"
        )
    database = where.reader()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        read_health(where, database, time.time(), None)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1


def test_an_order_that_awaits_approval_needs_a_person_and_is_not_late(platform: Host) -> None:
    platform.put(order("T-1"))
    platform.settle()
    now = platform.engine.clock.now()
    change(
        platform,
        "update orders set status = 'AWAITING_APPROVAL', in_flight = 1, lease_owner = null,"
        " lease_until = 0, resume_at = ? where order_id = 'T-1'",
        now + 86_400,
    )
    found = health(platform, later=2 * GRACE)
    assert kinds(found) == ["approvals"]
    assert "1 order waits for an approval, T-1 until 20" in found.needs[0].text
    assert [each.waits_for for each in found.waiting] == ["an approval"]
    assert read_story(platform.directory, "T-1").stuck_on is not None
    [listed] = list_orders(platform.directory, OrderFilter()).orders
    assert listed.waits_for == "an approval"
