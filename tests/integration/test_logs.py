"""The log: ids on each line, level, rotation, and `orders logs`."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from infra.local.directory.crash_marker import Item, Kind
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.log_file import LogFile
from infra.local.directory.log_rotation import LogRotation, files_of
from infra.local.engine.item_order import order_of
from infra.local.workers.execution_environment import ExecutionEnvironment
from infra.views.order_log import OrderLog, wanted
from kernel import current_order
from tests.fakes import serving
from tests.fakes.serving import COMMAND, Served, orders
from tests.host import order

METADATA = {"correlation_id": "cart-7", "event_id": "e-1"}


def lines(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (data / "orderflow.log").read_text().splitlines()]


def process(data: Path, *events: dict[str, Any], level: str = "INFO") -> Path:
    """Process events in a process of their own, as every handler's logger is one of its process."""
    stock, file = data.parent / "stock.csv", data.parent / "events.ndjson"
    stock.write_text("sku,on_hand\nTEA,5\n")
    file.write_text("".join(json.dumps(each) + "\n" for each in events))
    done = subprocess.run(
        [COMMAND, "run", "--from", file, "--stock", stock, "--workers", "1", "--data", data],
        env={**os.environ, "ORDERS_LOG_LEVEL": level},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return data


def placed(order_id: str, **changes: Any) -> dict[str, Any]:
    return order(order_id, metadata=METADATA, **changes)


DECLINED = placed("T-1", payment_token="tok_decline")


def test_each_line_of_an_order_has_its_id_and_its_correlation_id(tmp_path: Path) -> None:
    again = placed("T-2")
    data = process(tmp_path / "data", DECLINED, placed("T-2"), again, level="DEBUG")
    of_orders = [line for line in lines(data) if "order_id" in line]
    assert {line["order_id"] for line in of_orders} == {"T-1", "T-2"}
    assert {line.get("correlation_id") for line in of_orders} == {"cart-7"}
    outcomes = {line.get("outcome") for line in of_orders}
    assert {"PaymentDeclined", "DuplicateOrder", "CLAIMED", "COMMITTED"} <= outcomes
    of_steps = {"ValidateOrderFunction", "ProcessPaymentFunction", "CompleteOrderFunction"}
    assert of_steps <= {line["function"] for line in of_orders}


@pytest.mark.parametrize(("level", "levels"), [("INFO", {"INFO"}), ("ERROR", set())])
def test_the_level_is_a_setting(tmp_path: Path, level: str, levels: set[str]) -> None:
    data = process(tmp_path / "data", DECLINED, level=level)
    assert {line["level"] for line in lines(data)} == levels


@pytest.mark.parametrize(
    ("document", "ids"),
    [
        ({"order_id": "A", "epoch": 1}, ("A", None)),
        ({"event": order("A", metadata=METADATA), "owner": "r"}, ("A", "cart-7")),
        ({"event": {"resume": {"order_id": "A"}}, "owner": "r"}, ("A", None)),
        ({"pathParameters": {"order_id": "A"}}, ("A", None)),
        ({"detail": {"order_id": 7}}, (None, None)),
        ({"detail": {"order_id": "A", "metadata": {"correlation_id": 7}}}, ("A", None)),
        ({"Records": []}, (None, None)),
        ([], (None, None)),
    ],
)
def test_ids_are_found_in_each_document(document: Any, ids: tuple[str, str]) -> None:
    assert current_order.ids_in(document) == ids


def test_a_failed_item_of_the_engine_names_its_order(tmp_path: Path) -> None:
    where = DataDirectory(process(tmp_path / "data", placed("T-1")))
    with where.writer() as database:
        [row] = database.rows("select seq from events where detail_type = 'Order Created'")
        about = order_of(database, Item(Kind.EVENT, row["seq"], row["seq"]))
        assert about == {"order_id": "T-1", "correlation_id": "cart-7"}
        database.connection.execute(
            "insert into messages values (90, 'RetryQueue', ?, 1, 1, 0, '{}')",
            ('{"order_id": "T-1"}',),
        )
        about = order_of(database, Item(Kind.MESSAGE, 90, 90))
        assert about == {"order_id": "T-1", "correlation_id": "cart-7"}
        database.connection.execute("update messages set body = 'no JSON' where id = 90")
        nothing = {"order_id": None, "correlation_id": None}
        for item in (Item(Kind.MESSAGE, 90, 90), Item(Kind.EVENT, 1, 2), Item(Kind.CALL, 1, 1)):
            assert order_of(database, item) == nothing


# ---- rotation


def test_a_log_is_rotated_by_its_size_and_the_oldest_file_is_deleted(tmp_path: Path) -> None:
    log = tmp_path / "orderflow.log"
    rotation = LogRotation(log, 10, 2)
    for content in ("first line of many\n", "second line of many\n", "third line of many\n"):
        log.write_text(content)
        rotation.rotate()
    log.write_text("short\n")
    rotation.rotate()
    assert [file.read_text()[:5] for file in files_of(log)] == ["secon", "third", "short"]


def test_a_process_writes_to_the_new_file_after_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "orderflow.log"
    function = {"name": "f", "arn": "arn:f", "memory": 1, "timeout": 9, "variables": {}}
    function["handler"] = "tests.integration.test_logs.printing"
    environment = ExecutionEnvironment({"f": function}, log)
    for text in ("one", "two", "three"):
        _, error, _ = environment.invoke("f", json.dumps(text).encode(), 0.0)
        assert error == b"", error
        LogRotation(log, 3, 9).rotate()
    environment.close()
    assert [file.read_text() for file in files_of(log)] == ["one\n", "two\n", "three\n"]


def printing(event: Any, context: Any) -> None:
    print(event)  # noqa: T201 - to the log


def test_a_server_rotates_its_log(tmp_path: Path) -> None:
    log = tmp_path / "data" / "orderflow.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * 1_000_001)
    (log.parent / "settings.toml").write_text("LogMegabytes = 1\nLogFiles = 1\n")
    with Served(log.parent, "--workers", "0") as server:
        assert server.stop() == 0
    assert (log.parent / "orderflow.log.1").stat().st_size == 1_000_001


# ---- orders logs


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return process(tmp_path_factory.mktemp("logs") / "data", DECLINED, placed("T-10"))


@pytest.fixture
def data(processed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(processed, tmp_path / "data"))


def test_the_log_of_one_order_has_its_lines_and_its_timeline_in_order(data: Path) -> None:
    found = serving.answer("logs", "T-1", "--data", data)["lines"]
    assert {line["order_id"] for line in found} == {"T-1"}
    assert {line["correlation_id"] for line in found} == {"cart-7"}
    assert [line["at"] for line in found] == sorted(line["at"] for line in found)
    sources = {line["source"] for line in found}
    assert {"timeline", "ProcessPaymentFunction"} <= sources
    [declined] = [line for line in found if line["fields"].get("outcome") == "PaymentDeclined"]
    assert "DECLINED" in declined["message"]
    text = orders("logs", "T-1", "--data", data).stdout
    assert "timeline: T-1 RECEIVED" in text
    assert "T-10" not in text


def test_lines_of_rotated_files_are_read_and_a_level_excludes_lines(data: Path) -> None:
    where = DataDirectory(data)
    LogRotation(where.log, 1, 3).rotate()
    LogFile(where.log).write("ERROR", "engine", "broken", time.time(), order_id="T-1")
    messages = [line["message"] for line in serving.answer("logs", "T-1", "--data", data)["lines"]]
    assert any("DECLINED" in message for message in messages)
    assert messages[-1] == "broken"
    found = serving.answer("logs", "--level", "error", "--data", data)["lines"]
    assert [line["message"] for line in found] == ["broken"]
    assert len(serving.answer("logs", "-n", "2", "--data", data)["lines"]) == 2


def test_a_reader_continues_across_a_rotation_and_takes_no_half_line(data: Path) -> None:
    where = DataDirectory(data)
    log = OrderLog(where, wanted(where, None, "DEBUG"))
    assert log.read()
    with where.log.open("a") as file:
        file.write('{"level": "ERROR", "mess')
        file.flush()
        assert log.read() == []
        file.write('age": "whole"}\n')
    LogRotation(where.log, 1, 3).rotate()
    LogFile(where.log).write("ERROR", "engine", "next", time.time())
    assert [line.message for line in log.read()] == ["whole", "next"]
    log.close()


def test_an_unknown_order_or_level_is_refused(data: Path) -> None:
    done = orders("logs", "T-99", "--data", data)
    assert (done.returncode, "no order has the id 'T-99'" in done.stderr) == (1, True)
    done = orders("logs", "--level", "loud", "--data", data)
    assert (done.returncode, "none of DEBUG, INFO, WARN, ERROR" in done.stderr) == (2, True)


def test_following_prints_new_lines_as_they_come(data: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "logs", "T-1", "--follow", "--json", "--data", data],
        stdout=subprocess.PIPE,
    ) as following:
        assert following.stdout is not None
        first = json.loads(following.stdout.readline())
        assert first["message"] == "RECEIVED"
        LogFile(data / "orderflow.log").write("ERROR", "engine", "now", time.time(), order_id="T-1")
        assert any(json.loads(line)["message"] == "now" for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 0
        assert following.stdout.read() == b""
