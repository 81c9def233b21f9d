"""``orders cost`` tells what the orders of a run would cost on AWS."""

from pathlib import Path

import pytest

from tests.fakes.serving import answer, orders

KEYS = {"total", "lines", "mail", "standard_total", "straightforward_total"}


def test_a_run_tells_what_a_million_orders_cost(tmp_path: Path) -> None:
    ran = answer("run", "--count", 40, "--seed", 7, "--data", tmp_path)
    assert ran["completed"] > 20
    told = answer("cost", "--data", tmp_path)
    assert set(told) == KEYS
    lines = told["lines"].values()
    assert all(set(line) == {"quantity", "unit", "usd"} for line in lines)
    assert told["total"] == pytest.approx(sum(line["usd"] for line in lines), abs=0.01)
    assert told["total"] <= 30.0
    assert told["total"] < told["straightforward_total"] < told["standard_total"]
    assert told["mail"] == 100.0
    quantities = {name: line["quantity"] for name, line in told["lines"].items()}
    assert quantities["step_functions_requests"] == 1
    assert quantities["eventbridge_events"] == 2
    assert quantities["dynamodb_writes"] == pytest.approx(26.4)


def test_without_an_order_of_the_happy_path_it_says_what_to_run(tmp_path: Path) -> None:
    answer("run", "--count", 0, "--data", tmp_path)
    done = orders("cost", "--data", tmp_path)
    assert done.returncode == 1
    assert "run `orders run --count 100` first" in done.stderr
