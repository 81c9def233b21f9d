"""`orders stock receive`: units are added once, here and to a deployed stack."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.deployed.stack import DeployedStack
from infra.local.datadir import DataDirectory
from tests.integration.deployed import answer, refusal, run


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


def test_where_a_server_writes_the_way_out_is_told(file: Path, tmp_path: Path) -> None:
    where = DataDirectory(tmp_path / "data")
    with where.writer():
        where.endpoint.write_text("http://127.0.0.1:8080\n")
        said = refusal("stock", "receive", file, "--data", where.root)
    assert "is served at http://127.0.0.1:8080" in said
    assert "orders serve --stock" in said


def test_a_file_that_cannot_be_received_changes_nothing(
    stack: DeployedStack, file: Path, tmp_path: Path
) -> None:
    file.write_text("sku,on_hand\nTEA,5\nTEA,6\n")
    assert "TEA stands there twice" in refusal("stock", "receive", file, "--stack", "x")
    assert list(stack.table().scan()) == []
