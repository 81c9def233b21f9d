"""The `orders` command as its users run it: a process, its exit code, and what it says."""

import json
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.schema import VERSION
from tests.fakes.serving import COMMAND, PATIENCE, Served, answer, orders, rows
from tests.skipped import work_to_the_end

if TYPE_CHECKING:
    from subprocess import CompletedProcess

ROOT = Path(__file__).parents[2]

RUN = {
    *("accepted", "rejected", "quarantined", "duplicates", "completed", "failed", "cancelled"),
    *("in_flight", "not_begun", "dead_letters", "failed_items", "high_value", "revenue"),
    *("units_shipped", "seconds", "orders_per_second", "totals"),
}
TOTALS = {
    *("orders", "completed", "failed", "cancelled", "in_flight", "dead_letters", "revenue"),
    *("units_shipped", "charges", "refunds", "shipments"),
}
BESIDE = {"problems", "failures", "waiting", "overdue", "sandbox", "sink_error"}
"""Keys of a run's JSON besides its counts: the first rejections and failures, waiting and overdue
work, whether time was skipped, and the sink's error."""


def line(order_id: str, **changes: Any) -> str:
    """Return an Order Created event of one product, as a line of a file."""
    detail = {
        "order_id": order_id,
        "customer_id": "C-1",
        "currency": "USD",
        "items": [{"sku": "TEA", "quantity": 1, "unit_price": 12.5}],
        "total": 12.5,
        "timestamp": "2026-01-31T12:00:00Z",
        **changes,
    }
    return json.dumps(
        {"source": "orders.service", "detail-type": "Order Created", "detail": detail}
    )


def tea(**changes: Any) -> dict[str, Any]:
    """Return a line of an order."""
    return {"sku": "TEA", "quantity": 1, "unit_price": 12.5, **changes}


def one_line(done: "CompletedProcess[str]") -> str:
    """Return what a command that fails says: one line, and no trace."""
    assert done.returncode == 1, done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("orders: ")
    return done.stderr.removeprefix("orders: ").strip()


# ---- a run of generated orders, and what its users then ask


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("command") / "data"


@pytest.fixture(scope="module")
def ran(data: Path) -> Any:
    return answer("run", "--count", 60, "--seed", 5, "--data", data)


def test_a_runs_json_has_the_documented_keys(ran: Any) -> None:
    assert set(ran) - BESIDE == RUN
    assert set(ran["totals"]) == TOTALS


def test_generated_orders_are_of_every_kind(ran: Any) -> None:
    kinds = ("completed", "failed", "cancelled", "duplicates", "rejected", "high_value")
    assert [kind for kind in kinds if not ran[kind]] == []
    assert (ran["in_flight"], ran["dead_letters"], ran["quarantined"]) == (0, 0, 0)
    assert ran["accepted"] > 60 - ran["rejected"] >= ran["completed"]


def test_a_first_runs_figures_are_the_directorys(ran: Any) -> None:
    totals = ran["totals"]
    for figure in ("completed", "failed", "cancelled", "revenue", "units_shipped"):
        assert totals[figure] == ran[figure]
    assert totals["orders"] == ran["completed"] + ran["failed"] + ran["cancelled"]
    assert totals["charges"] - totals["refunds"] == totals["completed"] == totals["shipments"]


def _reads(data: Path, page: Path) -> dict[str, list[object]]:
    """Return the commands that look at what the run left, by name."""
    [[completed]] = rows(
        data / "orderflow.db", "select order_id from orders where status = 'COMPLETED' limit 1"
    )
    counted = "select event_type, count(distinct event_id) from order_events group by 1"
    return {
        "show": ["show", completed, "--data", data],
        "list": ["list", "--data", data, "--limit", 1000],
        "list failed": ["list", "--data", data, "--status", "FAILED"],
        "query": ["query", counted, "--data", data],
        "queries": ["query", "--data", data],
        "chart": ["query", "revenue_by_day", "--data", data, "--chart", page],
        "report": ["report", "--data", data],
        "doctor": ["doctor", "--data", data, "--port", _free_port()],
        "audit": ["audit", "--data", data],
        "events": ["events", "list"],
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def told(
    ran: Any, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Any]]:
    """Return what tells a command's answer; they run side by side."""
    page = tmp_path_factory.mktemp("page") / "chart.html"
    with ThreadPoolExecutor(2) as pool:
        reads = _reads(data, page)
        running = {name: pool.submit(answer, *given) for name, given in reads.items()}
        running["page"] = pool.submit(lambda: running["chart"].result() and page.read_text())
        yield lambda name: running[name].result()


@pytest.mark.usefixtures("ran")
def test_show_writes_the_confirmation_as_a_mail(data: Path, tmp_path: Path) -> None:
    confirmed = "select order_id from timeline where what = 'CONFIRMATION_SENT' limit 1"
    [(order_id,)] = rows(data / "orderflow.db", confirmed)
    file = tmp_path / "mail.eml"
    answer("show", order_id, "--mail", file, "--data", data)
    mail = message_from_bytes(file.read_bytes(), policy=default)
    assert mail["Subject"] == f"Your order {order_id}"
    nowhere = orders("show", order_id, "--mail", tmp_path / "no" / "mail.eml", "--data", data)
    assert "no/mail.eml" in one_line(nowhere)


@pytest.mark.usefixtures("ran")
def test_an_order_without_a_mail_leaves_no_file(data: Path, tmp_path: Path) -> None:
    failed = "select order_id from orders where status = 'FAILED' limit 1"
    [(order_id,)] = rows(data / "orderflow.db", failed)
    refused = orders("show", order_id, "--mail", tmp_path / "mail.eml", "--data", data)
    assert one_line(refused) == f"no mail was sent for order '{order_id}'"
    assert list(tmp_path.iterdir()) == []


def test_show_has_the_complete_story_of_an_order(told: Callable[[str], Any]) -> None:
    shown = told("show")
    wanted = {"order_id", "status", "total", "events", "timeline", "payments", "shipment"}
    assert wanted <= set(shown)
    assert shown["status"] == "COMPLETED"
    assert shown["events"][0]["type"] == "Order Created"
    assert {"RECEIVED", "STOCK_RESERVED", "CHARGED", "SHIPMENT_CREATED", "COMPLETED"} <= {
        entry["what"] for entry in shown["timeline"]
    }
    [payment] = shown["payments"]
    assert (payment["status"], payment["gateway"]) == ("CHARGED", "CHARGED")
    assert payment["amount"] == shown["total"]
    assert shown["shipment"]["tracking_number"].startswith("SBX")


def test_list_has_all_orders_or_those_of_a_status(ran: Any, told: Callable[[str], Any]) -> None:
    assert len(told("list")["orders"]) == ran["totals"]["orders"]
    failed = told("list failed")["orders"]
    assert len(failed) == ran["failed"]
    assert {order["status"] for order in failed} == {"FAILED"}
    assert all(order["failure"] for order in failed)


def test_query_agrees_with_the_figures_of_the_run(ran: Any, told: Callable[[str], Any]) -> None:
    counted = told("query")
    assert counted["columns"] == ["event_type", "count(DISTINCT event_id)"]
    found = dict(counted["rows"])
    assert found["Order Created"] == ran["totals"]["orders"]
    assert found["Order Completed"] == ran["completed"]
    assert found["Order Failed"] == ran["failed"]
    assert found["Order Cancellation Confirmed"] == ran["cancelled"]
    assert found["High Value Order Flagged"] == ran["high_value"]


@pytest.mark.long
def test_named_queries_charts_and_the_report_are_answered(told: Callable[[str], Any]) -> None:
    named = {"revenue_by_day", "orders_by_status", "top_skus", "high_value_orders"}
    assert named <= set(told("queries")["queries"])
    assert told("chart")["rows"]
    assert "<svg" in told("page")
    report = Path(told("report")["report"].removeprefix("file://"))
    assert "<html" in report.read_text()


def test_doctor_finds_no_problem(told: Callable[[str], Any]) -> None:
    assert [check for check in told("doctor")["checks"] if not check["ok"]] == []
    assert told("doctor")["ok"]


def test_audit_finds_no_broken_invariant(ran: Any, told: Callable[[str], Any]) -> None:
    assert told("audit")["ok"]
    assert told("audit")["checked"]["orders"] == ran["totals"]["orders"]


def test_the_contracts_are_listed(told: Callable[[str], Any]) -> None:
    assert len(told("events")["events"]) == 11


def test_a_run_without_json_prints_a_table_and_paths(
    told: Callable[[str], Any], data: Path
) -> None:
    assert told("show"), "whoever looks has looked"
    shown = orders("run", "--count", 0, "--data", data).stdout
    for word in ("This run", "completed", "Where it is", "order_events", "What to try"):
        assert word in shown


def test_the_same_seed_makes_the_same_orders(
    ran: Any, told: Callable[[str], Any], data: Path
) -> None:
    assert told("show"), "whoever looks has looked"
    again = answer("run", "--count", 60, "--seed", 5, "--data", data)
    assert again["completed"] == again["failed"] == again["cancelled"] == 0
    assert again["duplicates"] > 50
    assert again["totals"] == ran["totals"]


# ---- bad input, all of it in one file

LINES = [
    (line("good-1"), ""),
    ("{", "cut off"),
    ("not json", "not JSON"),
    ("[1]", "is no event"),
    ('{"source": "orders.service"}', "detail-type"),
    (line("b", items=[]), "detail.items"),
    (line("b", items=[tea(quantity=0)]), "detail.items[0].quantity"),
    (line("b", items=[tea(quantity=1.5)]), "detail.items[0].quantity"),
    (line("b", total=12.51), "detail.total"),
    (line("b", total=12.505, items=[tea(unit_price=12.505)]), "detail.items[0].unit_price"),
    (line("b", currency="XXY"), "detail.currency"),
    (line("b", items=[tea()] * 10_000, total=125_000), "detail.items"),
    (line("b", note="x" * 262_144), "262,144"),
    (line("b", total=float("nan")), ""),
    (line("good-2", unknown_field={"is": "ignored"}), ""),
    (line("nobody-stocks", items=[tea(sku="NOBODY-STOCKS-IT")]), ""),
    ("", ""),
    (line("good-3")[:-5], "cut off"),
]
GOOD = 3


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "events.ndjson").write_text("\n".join(text for text, _ in LINES))
    (folder / "stock.csv").write_text("sku,on_hand\nTEA,10\n")
    return answer(
        *("run", "--from", folder / "events.ndjson", "--stock", folder / "stock.csv"),
        *("--data", folder / "data"),
    )


def test_malformed_lines_are_counted_and_the_others_processed(bad: Any) -> None:
    assert (bad["accepted"], bad["rejected"]) == (GOOD, len(LINES) - GOOD - 1)
    assert (bad["completed"], bad["failed"], bad["in_flight"]) == (2, 1, 0)
    assert bad["quarantined"] == bad["dead_letters"] == 0


@pytest.mark.parametrize("number", [n for n, (_, said) in enumerate(LINES, 1) if said])
def test_a_malformed_line_is_named_by_its_number_and_field(bad: Any, number: int) -> None:
    [problem] = [one for one in bad["problems"] if f"events.ndjson:{number}: " in one]
    assert LINES[number - 1][1] in problem


# ---- what is refused in one line, with nothing half done


def _refused(folder: Path) -> dict[str, tuple[list[object], str]]:
    """Return commands that are refused, by name, and what each says."""
    (folder / "empty.ndjson").write_text("")
    (folder / "binary.ndjson").write_bytes(b"\x00\x01\x02\xff" * 100)
    (folder / "one.ndjson").write_text(line("A-1"))
    stocks = {
        "column": "sku,colour\nTEA,red\n",
        "negative": "sku,on_hand\nTEA,-1\n",
        "twice": "sku,on_hand\nTEA,1\nTEA,2\n",
        "header": "",
    }
    for name, text in stocks.items():
        (folder / f"{name}.csv").write_text(text)
    (folder / "file").write_text("a file")
    (folder / "no database").mkdir()
    (folder / "no database" / "orderflow.db").write_text("no database" * 100)
    with DataDirectory(folder / "newer").writer() as database:
        database.connection.execute(f"pragma user_version = {VERSION + 1}")
    data = ["--data", folder / "data"]

    def stock(name: str) -> list[object]:
        return ["run", "--from", folder / "one.ndjson", "--stock", folder / f"{name}.csv", *data]

    newer = f"newer Orderflow (version {VERSION + 1}, this one knows {VERSION})"
    return {
        "events missing": (["run", "--from", folder / "no.ndjson", *data], "does not exist"),
        "events empty": (["run", "--from", folder / "empty.ndjson", *data], "is empty"),
        "events binary": (["run", "--from", folder / "binary.ndjson", *data], "is binary"),
        "stock missing": (stock("no"), "no.csv: cannot be read: No such file"),
        "stock column": (stock("column"), "column.csv:1: unknown column 'colour'"),
        "stock negative": (stock("negative"), "negative.csv:2 on_hand: -1 is not between"),
        "stock twice": (stock("twice"), "twice.csv:3: TEA is listed twice"),
        "stock empty": (stock("header"), "is empty; its first line is sku,on_hand"),
        "directory is a file": (["run", "--count", 1, "--data", folder / "file"], "not writable"),
        "nothing was run": (["list", *data], "no orders yet; run `orders run`"),
        "newer, to write": (["run", "--count", 1, "--data", folder / "newer"], newer),
        "newer, to read": (["list", "--data", folder / "newer"], newer),
        "no database": (["list", "--data", folder / "no database"], "orderflow.db"),
        "replay elsewhere": (
            ["replay", folder / "one.ndjson", "--region", "eu-west-1", *data],
            "say --yes",
        ),
    }


REFUSED = [
    *("events missing", "events empty", "events binary", "stock missing", "stock column"),
    *("stock negative", "stock twice", "stock empty", "directory is a file", "nothing was run"),
    *("newer, to write", "newer, to read", "no database", "replay elsewhere"),
]


@pytest.fixture(scope="module")
def refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], tuple["CompletedProcess[str]", str]]]:
    """Return what tells how a command ended and what it should say; they run side by side."""
    folder = tmp_path_factory.mktemp("refused")
    with ThreadPoolExecutor(2) as pool:
        running = {
            name: (pool.submit(orders, *arguments), said)
            for name, (arguments, said) in _refused(folder).items()
        }
        yield lambda name: (running[name][0].result(), running[name][1])
    assert not (folder / "data").exists(), "something was half done"


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_one_line(refused: Callable[[str], Any], name: str) -> None:
    done, said = refused(name)
    assert said in one_line(done)


def test_every_refusal_is_in_the_table(tmp_path: Path) -> None:
    assert list(_refused(tmp_path)) == REFUSED


def test_a_directory_in_use_is_refused_with_the_process(ran: Any, data: Path) -> None:
    with DataDirectory(data).writer():
        said = one_line(orders("run", "--count", 1, "--data", data))
    assert "is in use by process" in said
    assert "--data" in said


def test_doctor_creates_no_orders(tmp_path: Path) -> None:
    orders("doctor", "--data", tmp_path)
    assert "no orders yet" in one_line(orders("list", "--data", tmp_path))


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run", "--nonsense"], ["run", "--count", 1, "--from", "x"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[object]) -> None:
    done = orders(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


# ---- from emit to the end


def emit(folder: Path, *lines: str) -> Any:
    """Emit events into a folder's data directory."""
    (folder / "emitted.ndjson").write_text("\n".join(lines))
    return answer("emit", folder / "emitted.ndjson", "--data", folder / "data")


def test_a_run_without_orders_processes_emitted_events(tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("sku,on_hand\nTEA,50\n")
    told = emit(tmp_path, *(line(f"A-{number}") for number in range(25)))
    assert told == {"accepted": 25, "rejected": 0}
    assert rows(tmp_path / "data" / "orderflow.db", "select count(*) from events") == [(25,)]
    ran = answer(
        "run", "--count", 0, "--stock", tmp_path / "stock.csv", "--data", tmp_path / "data"
    )
    assert (ran["accepted"], ran["completed"], ran["in_flight"]) == (0, 25, 0)


def emit_often(folder: Path) -> list[int]:
    """Emit ten orders of a high value, a command each; return the exit codes."""
    large = {"items": [tea(quantity=100)], "total": 1250}
    codes = []
    for number in range(10):
        (folder / "events.ndjson").write_text(line(f"A-{number}", **large))
        arguments = ["emit", str(folder / "events.ndjson"), "--data", str(folder / "data")]
        codes.append(CliRunner().invoke(app, arguments).exit_code)
    return codes


def test_repeated_emits_exhaust_no_message(tmp_path: Path, apart: Callable[..., Any]) -> None:
    assert apart(emit_often, tmp_path) == [0] * 10
    database = tmp_path / "data" / "orderflow.db"
    letters = "select count(*) from messages where queue = 'HighValueDeadLetterQueue'"
    assert rows(database, letters) == [(0,)]
    assert rows(database, "select coalesce(max(receives), 0) from messages") == [(0,)]


def test_emit_rejects_invalid_events_and_accepts_the_others(tmp_path: Path) -> None:
    (tmp_path / "mixed.ndjson").write_text(f"{line('A-1')}\n{line('A-2', total=1)}\n")
    done = orders("emit", tmp_path / "mixed.ndjson", "--data", tmp_path / "data")
    assert done.returncode == 1
    assert "mixed.ndjson:2: detail.total" in done.stderr
    assert "1 event was rejected; 1 accepted" in done.stderr


def test_emit_names_every_problem_of_a_rejected_event_as_json(tmp_path: Path) -> None:
    (tmp_path / "bad.ndjson").write_text(f"{line('A 1', customer_id=5, currency='XXX')}\n")
    done = orders("emit", tmp_path / "bad.ndjson", "--json", "--data", tmp_path / "data")
    assert done.returncode == 1
    [rejection] = json.loads(done.stdout.splitlines()[-1])["rejections"]
    fields = [problem.partition(":")[0] for problem in rejection["problems"]]
    assert fields == ["detail.order_id", "detail.customer_id", "detail.currency"]
    assert (rejection["file"], rejection["line"]) == (str(tmp_path / "bad.ndjson"), 1)
    assert "1 event was rejected; none accepted" in done.stderr


def test_emit_puts_facts_only_with_the_option(tmp_path: Path) -> None:
    """An Order Completed of somebody else would be revenue."""
    fact = next(Path("events_schema/order-completed/examples").glob("*.json"))
    refused = orders("emit", fact, "--data", tmp_path / "data")
    assert refused.returncode == 1
    said = " ".join(refused.stderr.split())
    assert "'Order Completed' is a fact that the platform itself publishes" in said
    assert "or say --facts" in said
    told = answer("emit", fact, "--facts", "--data", tmp_path / "data")
    assert told == {"accepted": 1, "rejected": 0}


@pytest.mark.long
def test_emit_and_redrive_go_through_the_server_that_has_the_directory(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server:
        unknown = line("A-1", customer_id="C-1", items=[tea(sku="TEA-GREEN-100")])
        cancel = {"order_id": "never-created", "timestamp": "2026-01-31T12:00:00Z"}
        assert emit(tmp_path, unknown) == {"accepted": 1, "rejected": 0}
        server.until("select count(*) from orders where status = 'COMPLETED'", 1)
        event = {"source": "orders.service", "detail-type": "Order Updated", "detail": cancel}
        server.client("events").put_events(
            Entries=[
                {
                    "EventBusName": "orders-bus",
                    "Source": event["source"],
                    "DetailType": event["detail-type"],
                    "Detail": json.dumps({**cancel, "email": 5}),
                }
            ]
        )
        server.until("select count(*) from messages where queue = 'QuarantineQueue'", 1)
        [letter] = answer("dead-letters", "list", "--data", tmp_path / "data")["dead_letters"]
        assert letter["reason"].startswith("InvalidEvent: detail.email")
        shown = answer("dead-letters", "show", letter["id"], "--data", tmp_path / "data")
        assert shown["body"]["event"]["detail"]["email"] == 5
        back = orders("dead-letters", "redrive", letter["id"], "--data", server.data, "--json")
        assert (back.returncode, "1 came back" in back.stderr) == (1, True)
        [told] = json.loads(back.stdout.splitlines()[-1])["letters"]
        assert (told["state"], told["letter"] > letter["id"]) == ("back", True)
        assert told["message"].startswith("back in QuarantineQueue: InvalidEvent: detail.email")
        edited = ("dead-letters", "edit", told["letter"], "--set", "email=a@example.com")
        [done] = answer(*edited, "--redrive", "--wait", "1", "--data", server.data)["letters"]
        assert done["state"] == "done", "its order is not here yet, so it is kept for a day"
        [request] = answer("show", "never-created", "--data", server.data)["requests"]
        assert request["type"] == "Order Updated"
        assert server.process is not None
        assert server.process.poll() is None


def test_a_dead_letter_of_any_text_is_listed_discarded_and_restored(tmp_path: Path) -> None:
    with Served(tmp_path / "data") as server:
        detail = json.loads(line("A-1"))["detail"]
        server.client("events").put_events(
            Entries=[
                {
                    "EventBusName": "orders-bus",
                    "Source": "orders.service",
                    "DetailType": "Order Created",
                    "Detail": json.dumps({**detail, "order_id": order_id}),
                }
                for order_id in ("[/x]", "\x1b[31mred")
            ]
        )
        server.until("select count(*) from messages where queue = 'QuarantineQueue'", 2)
        listed = orders("dead-letters", "list", "--data", server.data, "--json")
        assert listed.returncode == 0
        assert "[/x]" in listed.stdout
        assert "\x1b" not in listed.stdout
        found = json.loads(listed.stdout.splitlines()[-1])["dead_letters"]
        ids = [letter["id"] for letter in found]
        reason = ("--reason", "a test of ours", "--data", server.data)
        [first, *_] = answer("dead-letters", "discard", *ids, *reason)["letters"]
        assert first["state"] == "discarded"
        closed = answer("dead-letters", "history", "--data", server.data)["closed_letters"]
        assert [letter["outcome"] for letter in closed] == ["a test of ours"] * 2
        answer("dead-letters", "undo", ids[0], "--data", server.data)
        database = server.data / "orderflow.db"
        assert rows(database, "select id from messages") == [(ids[0],)]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """Run 500 generated orders, and press Ctrl-C when the first has completed."""
    data = tmp_path_factory.mktemp("stopped") / "data"
    command = [str(COMMAND), "run", "--count", "500", "--data", str(data)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(sqlite3.OperationalError):
            completed = "select count(*) from orders where status = 'COMPLETED'"
            if rows(data / "orderflow.db", completed) != [(0,)]:
                break
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=PATIENCE)[1].decode()
    return data, running.returncode, said


def test_a_stopped_run_prints_how_to_continue(stopped: tuple[Path, int, str]) -> None:
    assert "`orders run --count 0` continues" in stopped[2]


def test_a_stopped_run_continues(stopped: tuple[Path, int, str]) -> None:
    data, code, said = stopped
    assert (code, "Traceback" in said) == (130, False)
    ran = answer("run", "--count", 0, "--data", data)
    totals = ran["totals"]
    assert ran["completed"] > 0
    assert (ran["in_flight"], totals["shipments"]) == (0, totals["completed"])
    assert totals["charges"] - totals["refunds"] == totals["completed"]


# ---- dead letters without a server, and replays


@pytest.fixture(scope="module")
def lettered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with one dead letter: a cancellation of an order that never came."""
    folder = tmp_path_factory.mktemp("letters")
    cancel = {"order_id": "never", "timestamp": "2026-01-31T12:00:00Z"}
    event = {"source": "orders.service", "detail-type": "Order Cancelled", "detail": cancel}
    (folder / "cancel.ndjson").write_text(json.dumps(event))
    ran = answer("run", "--from", folder / "cancel.ndjson", "--data", folder / "data")
    assert (ran["accepted"], ran["dead_letters"], ran["in_flight"]) == (1, 1, 0)
    return folder


@pytest.mark.long
def test_dead_letters_are_listed_shown_and_redriven(lettered: Path) -> None:
    data = lettered / "data"
    [letter] = answer("dead-letters", "list", "--data", data)["dead_letters"]
    assert (letter["queue"], letter["order_id"]) == ("QuarantineQueue", "never")
    assert "order never did not arrive within 24 hours of this request" in letter["reason"]
    assert answer("dead-letters", "show", letter["id"], "--data", data)["id"] == letter["id"]
    (lettered / "order.ndjson").write_text(line("never"))
    (lettered / "stock.csv").write_text("sku,on_hand\nTEA,0\n")
    answer("emit", lettered / "order.ndjson", "--data", data)
    sent = answer("dead-letters", "redrive", "--all", "--no-wait", "--data", data)
    assert (sent["redriven"], [one["state"] for one in sent["letters"]]) == (1, ["running"])
    assert answer("dead-letters", "list", "--data", data)["pending"] == 1
    answer("stock", "receive", lettered / "stock.csv", "--data", data)
    ran = work_to_the_end(data)  # the request may overtake its order, and is then tried again
    assert (ran["cancelled"], ran["totals"]["dead_letters"]) == (1, 0)
    [closed] = answer("dead-letters", "history", "--data", data)["closed_letters"]
    assert (closed["id"], closed["state"]) == (letter["id"], "DONE")


def test_a_redrive_without_a_server_is_done_before_the_command_ends(tmp_path: Path) -> None:
    """Also where time was skipped: a run that is over holds the order far into the future."""
    nowhere = {"name": "A", "street": "SANDBOX FAIL", "city": "C", "country": "Y"}
    failing = {"payment_token": "tok_refund_fails_17", "shipping_address": nowhere}
    (tmp_path / "one.ndjson").write_text(line("A-1", **failing))
    (tmp_path / "stock.csv").write_text("sku,on_hand\nTEA,10\n")
    data = tmp_path / "data"
    ran = answer(
        *("run", "--from", tmp_path / "one.ndjson", "--stock", tmp_path / "stock.csv"),
        *("--data", data),
    )
    assert (ran["in_flight"], ran["dead_letters"]) == (1, 1)
    done = answer("dead-letters", "redrive", "--all", "--data", data)
    [told] = done["letters"]
    assert (told["state"], told["message"]) == ("done", "order A-1: refunded, FAILED")
    assert rows(data / "orderflow.db", "select count(*) from messages") == [(0,)]


def test_a_missing_dead_letter_is_reported(lettered: Path) -> None:
    done = orders("dead-letters", "redrive", 999, "--no-wait", "--data", lettered / "data")
    assert "1 were refused" in one_line(done)
    assert "there is no dead letter 999" in done.stdout


@pytest.mark.long
def test_a_replay_has_a_dry_run_and_charges_no_order_twice(tmp_path: Path) -> None:
    examples = ROOT / "events_schema" / "order-created" / "examples"
    data = tmp_path / "data"
    stock = ROOT / "events_schema" / "sample_stock.csv"
    first = answer("run", "--from", examples, "--stock", stock, "--data", data)
    assert first["completed"] > 2
    before = rows(data / "orderflow.db", "select count(*) from events")
    seen = answer("replay", examples, "--dry-run", "--data", data)
    assert (seen["dry_run"], seen["would_send"]) == (True, first["accepted"])
    assert {event["effect"] for event in seen["events"]} == {"duplicate"}
    assert all("AnalyticsRule/OrderEvents" in event["targets"] for event in seen["events"])
    assert rows(data / "orderflow.db", "select count(*) from events") == before
    answer("replay", examples, "--rate", 1000, "--data", data)
    again = answer("run", "--count", 0, "--data", data)
    assert again["totals"] == first["totals"]
    ignored = "select count(*) from timeline where what = 'DUPLICATE_IGNORED'"
    assert rows(data / "orderflow.db", ignored) == [(first["accepted"],)]


def test_a_replay_keeps_its_rate(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_text("\n".join(line(f"A-{n}") for n in range(6)))
    told = answer(
        "replay", tmp_path / "events.ndjson", "--rate", 5, "--limit", 4, "--data", tmp_path / "data"
    )
    assert told["accepted"] == 4
    arrived = rows(tmp_path / "data" / "orderflow.db", "select arrived_at from events order by seq")
    assert arrived[-1][0] - arrived[0][0] >= 0.55


# ---- the sink


@pytest.mark.long
def test_orders_complete_during_an_outage_of_the_sink_which_catches_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "bucket").mkdir(parents=True)
    (data / "bucket" / "order_events").write_text("a file where the folder should be")
    (tmp_path / "stock.csv").write_text("sku,on_hand\nTEA,2\n")
    lines = [line(f"A-{number}") for number in range(3)]
    (tmp_path / "events.ndjson").write_text("\n".join(lines))
    done = orders(
        *("run", "--from", tmp_path / "events.ndjson", "--stock", tmp_path / "stock.csv"),
        *("--data", data, "--json"),
    )
    assert done.returncode == 1
    assert "the analytics sink failed" in done.stderr
    ran = json.loads(done.stdout.splitlines()[-1])
    assert (ran["completed"], ran["failed"], ran["in_flight"]) == (2, 1, 0)
    (data / "bucket" / "order_events").unlink()
    assert answer("run", "--count", 0, "--data", data)["sink_error"] is None
    counted = "select count(*) from order_events where event_type = 'Order Created'"
    assert answer("query", counted, "--data", data)["rows"] == [[3]]
