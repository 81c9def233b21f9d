"""Time is skipped in a sandbox only: `orders run` in a real directory."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import pytest
from typer.testing import CliRunner

import infra.cli.commands.run
from infra.cli.commands.run import Run
from infra.cli.event_files import read_events
from infra.cli.main import app
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import platform
from tests.fakes.serving import COMMAND, PATIENCE, Served, answer, orders, rows
from tests.times import later_than_now, too_late

ROOT = Path(__file__).parents[2]
VASE = {"sku": "VASE-LIMITED", "quantity": 1, "unit_price": 10}
TEA = {"sku": "TEA-GREEN-100", "quantity": 1, "unit_price": 10}
STATE = "select order_id, status, attempts, epoch, resume_at from orders order by order_id"


def detail(order_id: str, item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return an order of one unit."""
    return {
        "order_id": order_id,
        "customer_id": "C-1",
        "currency": "USD",
        "items": [item],
        "total": 10,
        "timestamp": "2026-01-31T12:00:00Z",
        **changes,
    }


def file_of(folder: Path, *details: dict[str, Any]) -> Path:
    """Return a file of `Order Created` events."""
    event = {"source": "orders.service", "detail-type": "Order Created"}
    path = folder / "events.ndjson"
    path.write_text("".join(json.dumps({**event, "detail": one}) + "\n" for one in details))
    return path


def stock_of(folder: Path, **units: int) -> Path:
    """Return a stock file."""
    path = folder / "stock.csv"
    lines = [f"{sku.replace('_', '-')},{number}\n" for sku, number in units.items()]
    path.write_text("sku,on_hand\n" + "".join(lines))
    return path


# ---- served orders


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory of a stopped server, with two orders that wait for stock."""
    data = tmp_path_factory.mktemp("served") / "data"
    with Served(data) as server:
        for number in range(2):
            assert server.ask("POST", "/orders", detail(f"V-{number}", VASE))[0] == 201
        server.until("select count(*) from orders where status = 'WAITING'", 2)
        server.until("select count(*) from executions where status = 'RUNNING'", 2)
        assert server.stop() == 0
    return data


def test_a_waiting_order_continues_to_wait(served: Path) -> None:
    before = rows(served / "orderflow.db", STATE)
    timers = "select id, wake_at from executions where status = 'RUNNING' order by id"
    due = rows(served / "orderflow.db", timers)
    done = orders("run", "--count", 0, "--data", served, "--json")
    ran = json.loads(done.stdout.splitlines()[-1])
    assert [row[1:3] for row in before] == [("WAITING", 1)] * 2
    assert rows(served / "orderflow.db", STATE) == before
    assert rows(served / "orderflow.db", timers) == due
    assert too_late(served) == {}
    assert (ran["sandbox"], ran["failed"], ran["in_flight"], ran["not_begun"]) == (False, 0, 2, 0)
    [waiting] = ran["waiting"]
    assert (waiting["what"], waiting["count"]) == ("2 orders wait for stock", 2)
    clock = waiting["next_at"][11:19]
    said = orders("run", "--count", 0, "--data", served).stdout
    assert f"2 orders wait for stock, the first until {clock} UTC (in " in said
    assert "`orders serve` processes it when due" in said


def test_a_real_directory_stays_real(served: Path, tmp_path: Path) -> None:
    events = file_of(tmp_path, detail("V-2", VASE), detail("T-1", TEA))
    ran = answer("run", "--from", events, "--data", served)
    assert (ran["sandbox"], ran["completed"], ran["in_flight"]) == (False, 1, 3)
    assert too_late(served) == {}


# ---- real time


def test_emitted_orders_are_processed_in_real_time_and_reach_the_sink(tmp_path: Path) -> None:
    data = tmp_path / "data"
    retried = detail("T-2", TEA, payment_token="tok_timeout")  # answered at the second call
    answer("emit", file_of(tmp_path, detail("T-1", TEA), retried), "--data", data)
    stock = stock_of(tmp_path, TEA_GREEN_100=5)
    ran = answer("run", "--count", 0, "--stock", stock, "--data", data)
    assert (ran["completed"], ran["in_flight"], ran["waiting"]) == (2, 0, [])
    counted = "select event_type, count(*) from order_events group by 1 order by 1"
    told = answer("query", counted, "--data", data)["rows"]
    assert told == [["Order Completed", 2], ["Order Created", 2]]
    assert too_late(data) == {}


DOORS = {
    "emit": ("emit", "events.ndjson"),
    "replay": ("replay", "events.ndjson"),
    "import": ("import", "moved.ndjson"),
}


@pytest.mark.parametrize("door", DOORS)
def test_an_order_from_another_command_makes_a_sandbox_real(
    tmp_path: Path, apart: Callable[..., Any], door: str
) -> None:
    assert apart(run_then, tmp_path, *DOORS[door]) == ["sandbox", "real"]


def run_then(folder: Path, command: str, file: str) -> list[str]:
    """Run an order in a sandbox, add one by a command; return the kind before and after."""
    data, other = folder / "data", folder / "other"
    events = file_of(folder, detail("T-1", TEA))
    with platform(DataDirectory(data), workers=0) as engine:
        Run(engine, DataDirectory(data)).take(read_events(events), None)
    invoke("emit", events, "--data", other)
    invoke("export", folder / "moved.ndjson", "--data", other)
    kind = "select value from directory where key = 'kind'"
    before = rows(data / "orderflow.db", kind)
    invoke(command, folder / file, "--data", data)
    return [found for (found,) in before + rows(data / "orderflow.db", kind)]


def invoke(*arguments: object) -> None:
    """Run a command in this process."""
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result


def test_a_run_in_real_time_may_be_interrupted(served: Path, tmp_path: Path) -> None:
    slow = detail("T-9", TEA, payment_token="tok_unavailable_3")  # retried for seconds
    run = ("run", "--from", file_of(tmp_path, slow), "--data", served)
    running = subprocess.Popen(
        [COMMAND, *map(str, run)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _until(served, "select count(*) from orders where order_id = 'T-9'", 1)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=PATIENCE)[1].decode()
    assert (running.returncode, "Traceback" in said) == (130, False)
    assert "`orders run --count 0` continues" in said
    assert too_late(served) == {}


def _until(data: Path, query: str, wanted: float) -> None:
    """Wait until a query's value is at least ``wanted``."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(OperationalError):
            found = rows(data / "orderflow.db", query)
            if found and float(found[0][0]) >= wanted:
                return
        time.sleep(0.005)
    raise AssertionError(f"never {wanted}: {query}")


# ---- a sandbox, then a server in the same directory


@pytest.mark.long
def test_after_a_killed_sandbox_run_a_server_has_no_time_in_the_future(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    waits = [detail(f"V-{number}", VASE) for number in range(60)]
    stock = stock_of(tmp_path, VASE_LIMITED=0, TEA_GREEN_100=5)
    run = ("run", "--from", file_of(tmp_path, *waits), "--stock", stock, "--data", data)
    running = subprocess.Popen(
        [COMMAND, *map(str, run)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _until(data, "select value from directory where key = 'ahead'", 1_000)
    running.kill()
    running.wait()
    left = "select count(*) from orders where in_flight = 1"
    [(in_flight,)] = rows(data / "orderflow.db", left)
    assert in_flight > 0
    assert max(later_than_now(data).values()) > 900
    with Served(data) as server:
        assert too_late(data) == {}
        kind = "select value from directory where key = 'kind'"
        assert server.ask("GET", "/orders?customer_id=C-1")[0] == 200
        assert server.rows(kind) == [("sandbox",)]
        assert server.ask("POST", "/orders", detail("T-1", TEA))[0] == 201
        assert server.rows(kind) == [("real",)]
        server.until("select count(*) from orders where status = 'COMPLETED'", 1)
        assert server.stop() == 0
    ran = answer("run", "--count", 0, "--data", data)
    assert (ran["sandbox"], ran["in_flight"], ran["failed"]) == (False, in_flight, 0)
    assert too_late(data) == {}


# ---- a run with unfinished work


def stopped_early(folder: Path) -> tuple[int, str, str]:
    """Run two orders on a platform that stops before it processes them."""
    vars(infra.cli.commands.run)["settle"] = lambda *_: None
    events = file_of(folder, detail("A", TEA), detail("B", TEA))
    arguments = ["run", "--from", str(events), "--data", str(folder / "data"), "--json"]
    result = CliRunner().invoke(app, [*arguments, "--workers", "0"])
    return result.exit_code, result.stdout.splitlines()[-1], str(result.exception)


def test_a_run_with_orders_that_have_not_begun_fails_with_their_number(
    tmp_path: Path, apart: Callable[..., Any]
) -> None:
    code, told, error = apart(stopped_early, tmp_path)
    assert (code, json.loads(told)["not_begun"], json.loads(told)["in_flight"]) == (1, 2, 0)
    assert "2 accepted orders have not begun" in error
