"""``orders cost`` tells what the orders of a run would cost on AWS."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.cli.output import CommandError

KEYS = {"total", "lines", "mail", "standard_total", "straightforward_total"}


def orders(*arguments: str) -> dict[str, Any]:
    """Run the command; return the JSON object on its last line."""
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer


def test_a_run_tells_what_a_million_orders_cost(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    ran = orders("run", "--count", "40", "--seed", "7", "--data", data)
    assert ran["completed"] > 20
    answer = orders("cost", "--data", data)
    assert set(answer) == KEYS
    assert answer["total"] <= 30.0
    assert answer["total"] == pytest.approx(
        sum(one["usd"] for one in answer["lines"].values()), abs=0.01
    )
    assert answer["total"] < answer["straightforward_total"] < answer["standard_total"]
    assert answer["mail"] == 100.0
    quantities = {name: line["quantity"] for name, line in answer["lines"].items()}
    assert quantities["step_functions_requests"] == 1
    assert quantities["eventbridge_events"] == 2
    assert quantities["dynamodb_writes"] == pytest.approx(26.4)


def test_without_an_order_of_the_happy_path_it_says_what_to_run(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    orders("run", "--count", "0", "--data", data)
    with pytest.raises(CommandError, match="run `orders run --count 100` there first"):
        orders("cost", "--data", data)
