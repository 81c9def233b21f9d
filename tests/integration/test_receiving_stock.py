"""`orders stock receive` adds units once, on one machine and to a deployed stack."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from infra.deployed.stack import DeployedStack
from infra.local.directory.data_directory import DataDirectory
from infra.moving.sqlite import SQLitePlace
from inventory.model import Receipt
from inventory.store import SQLiteInventory
from tests.fakes import serving
from tests.fakes.serving import Served, orders
from tests.integration.deployed import PLACE, answer, refusal, run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "stock.csv"
    path.write_text("sku,on_hand\nTEA,5\nCAKE,2\n")
    return path


def here(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exception is None, result.output
    return json.loads(result.stdout.splitlines()[-1])


def test_a_file_is_received_once_by_a_deployed_stack(stack: DeployedStack, file: Path) -> None:
    assert answer("stock", "receive", file) == {"file": str(file), "received": True, "units": 7}
    again = answer("stock", "receive", file)
    assert (again["received"], again["units"]) == (False, 0)
    tea = stack.table().get("stock#TEA", "stock")
    assert tea is not None
    assert (tea["received"], tea["available"]) == (5, 5)


def test_a_file_is_received_once_on_one_machine(file: Path, tmp_path: Path) -> None:
    data = ("--data", tmp_path / "data")
    assert here("stock", "receive", file, *data)["received"] is True
    assert here("stock", "receive", file, *data)["received"] is False
    rows = DataDirectory(tmp_path / "data").reader().rows("select sku, on_hand from stock")
    assert {row["sku"]: row["on_hand"] for row in rows} == {"TEA": 5, "CAKE": 2}


FORMS = {
    "other line ends": b"sku,on_hand\r\nTEA,5\r\nCAKE,2\r\n",
    "a mark at the beginning": b"\xef\xbb\xbfsku,on_hand\nTEA,5\nCAKE,2\n",
    "no end of the last line": b"sku,on_hand\nTEA,5\nCAKE,2",
    "quotes": b'"sku","on_hand"\n"TEA","5"\n"CAKE","2"\n',
    "columns swapped": b"on_hand,sku\n5,TEA\n2,CAKE\n",
    "lines swapped": b"sku,on_hand\nCAKE,2\nTEA,5\n",
    "blanks and zeros": b" sku , on_hand\nTEA , 05\n\n CAKE,2 \n",
}


@pytest.mark.parametrize("place", ["machine", "stack"])
def test_the_same_units_in_another_form_are_one_receipt(
    request: pytest.FixtureRequest, file: Path, tmp_path: Path, place: str
) -> None:
    if place == "stack":
        request.getfixturevalue("stack")
    option = (*PLACE,) if place == "stack" else ("--data", tmp_path / "data")
    assert here("stock", "receive", file, *option)["received"] is True
    for name, content in FORMS.items():
        file.write_bytes(content)
        receipt = here("stock", "receive", file, *option)
        assert (receipt["received"], receipt["units"]) == (False, 0), name


def test_a_repeated_receipt_is_reported_with_its_time_and_a_remedy(
    file: Path, tmp_path: Path
) -> None:
    data = ("--data", tmp_path / "data")
    run("stock", "receive", file, *data)
    known = run("stock", "receive", file, *data)
    assert known.exit_code == 0
    output = " ".join(known.output.split())
    assert re.search(r"nothing added: the same units were received before, at \d{4}-\d\d-", output)
    assert "if this is another delivery, name its number with --delivery" in output


def test_a_delivery_of_the_same_units_is_received_by_its_number(file: Path, tmp_path: Path) -> None:
    data = ("--data", tmp_path / "data")
    here("stock", "receive", file, *data)
    second = here("stock", "receive", file, "--delivery", "LN-4711/2", *data)
    assert second == {"file": str(file), "received": True, "units": 7, "delivery": "LN-4711/2"}
    again = here("stock", "receive", file, "--delivery", "LN-4711/2", *data)
    assert (again["received"], again["units"]) == (False, 0)
    assert again["received_at"].endswith("Z")
    file.write_text("sku,on_hand\nTEA,6\n")
    output = refusal("stock", "receive", file, "--delivery", "LN-4711/2", *data)
    assert output.startswith("delivery LN-4711/2: was received with other units at ")
    rows = DataDirectory(tmp_path / "data").reader().rows("select sku, on_hand from stock")
    assert {row["sku"]: row["on_hand"] for row in rows} == {"TEA": 10, "CAKE": 4}


@pytest.mark.parametrize("number", ["a b", "-x", "x" * 65, "\x1b", "ü"])
def test_a_deliverys_number_is_a_short_word(file: Path, tmp_path: Path, number: str) -> None:
    output = refusal("stock", "receive", file, f"--delivery={number}", "--data", tmp_path / "d")
    assert output.startswith("--delivery: ")
    assert not (tmp_path / "d").exists()


def test_a_file_received_by_version_0_1_is_recognized(file: Path, tmp_path: Path) -> None:
    digest = sha256(file.read_bytes()).hexdigest()
    with DataDirectory(tmp_path / "data").writer() as database:
        SQLitePlace(database, "").prepare()
        SQLiteInventory(database).receive(Receipt(digest, {"TEA": 5, "CAKE": 2}), 1e9)
    data = ("--data", tmp_path / "data")
    for end, mark in (("\n", ""), ("\r\n", ""), ("\n", "\ufeff")):
        file.write_bytes(f"{mark}sku,on_hand{end}TEA,5{end}CAKE,2{end}".encode())
        receipt = here("stock", "receive", file, *data)
        assert (receipt["received"], receipt["received_at"]) == (False, "2001-09-09T01:46:40.000Z")


def test_a_run_reports_whether_its_stock_was_received(file: Path, tmp_path: Path) -> None:
    arguments = ("run", "--count", 0, "--workers", 0, "--stock", file, "--data", tmp_path / "data")
    assert f"{file}: 7 units of 2 SKUs received\n" in orders(*arguments).stdout
    assert "the same units were received before, at" in orders(*arguments).stderr
    numbered = orders(*arguments, "--delivery", "2")
    assert f"{file}: 7 units of 2 SKUs received by delivery 2\n" in numbered.stdout
    rows = DataDirectory(tmp_path / "data").reader().rows("select on_hand from stock")
    assert sorted(row["on_hand"] for row in rows) == [4, 10]


def test_a_number_without_a_delivery_is_wrong_usage(tmp_path: Path) -> None:
    for command in ("run", "serve"):
        done = run(command, "--delivery", "1", "--data", tmp_path / "data")
        assert done.exit_code == 2
    assert not (tmp_path / "data").exists()


def test_a_served_directory_receives_a_file_once_by_its_server(file: Path, tmp_path: Path) -> None:
    with Served(tmp_path / "data", "--workers", "0") as server:
        arguments = ("stock", "receive", file, "--data", server.data)
        assert serving.answer(*arguments) == {"file": str(file), "received": True, "units": 7}
        again = orders(*arguments)
        assert "nothing added: the same units were received before" in again.stderr
        file.write_text("sku,on_hand\nTEA,6\n")
        assert serving.answer(*arguments, "--delivery", "9")["delivery"] == "9"
        file.write_text("sku,on_hand\nTEA,7\n")
        refused = orders(*arguments, "--delivery", "9")
        assert (refused.returncode, "other units" in refused.stderr) == (1, True)
        listed = serving.answer("stock", "list", "--data", server.data)["stock"]
        assert {row["sku"]: row["on_hand"] for row in listed}["TEA"] == 11
        assert actions(server.data) == ["DONE", "DONE", "DONE", "REFUSED"]


def test_a_receipt_without_a_server_is_recorded_with_its_result(file: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    here("stock", "receive", file, "--delivery", "1", "--data", data)
    file.write_text("sku,on_hand\nTEA,6\n")
    refusal("stock", "receive", file, "--delivery", "1", "--data", data)
    assert actions(data) == ["DONE", "REFUSED"]


def actions(data: Path) -> list[str]:
    """Return the results of the operators' actions, the oldest first."""
    rows = DataDirectory(data).reader().rows("select result from operator_actions order by id")
    return [row["result"] for row in rows]


def test_a_file_that_cannot_be_received_changes_nothing(
    stack: DeployedStack, file: Path, tmp_path: Path
) -> None:
    file.write_text("sku,on_hand\nTEA,5\nTEA,6\n")
    assert "TEA is listed twice" in refusal("stock", "receive", file, "--stack", "x")
    assert list(stack.table().scan()) == []
