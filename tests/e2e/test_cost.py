"""``orders cost`` prints the price of a run's orders on AWS."""

from pathlib import Path

import pytest

from tests.fakes.serving import answer, orders

KEYS = {
    "total",
    "total_over_1kb",
    "lines",
    "mail",
    "standard_total",
    "contrast_total",
    "refused_total",
    "approved_total",
    "console_hour",
    "monthly",
    "kept_a_month",
}


def test_a_run_gives_the_price_of_a_million_orders(tmp_path: Path) -> None:
    ran = answer("run", "--count", 40, "--seed", 7, "--data", tmp_path)
    assert ran["completed"] > 20
    price = answer("cost", "--data", tmp_path)
    assert set(price) == KEYS
    lines = price["lines"].values()
    assert all(set(line) == {"quantity", "unit", "usd"} for line in lines)
    assert price["total"] == pytest.approx(sum(line["usd"] for line in lines), abs=0.01)
    assert price["total"] < price["total_over_1kb"] <= 30.0
    assert price["total"] < price["contrast_total"] < price["standard_total"]
    assert price["monthly"]["dashboards"]["usd"] == 3.0
    assert price["kept_a_month"]["dynamodb_storage"]["quantity"] > 1
    assert price["mail"] == 100.0
    assert 0 < price["refused_total"] < price["total"]
    # two states of STANDARD and a mail are most of it
    assert 150 < price["approved_total"] < 200
    assert 0.02 < price["console_hour"] < 0.03
    quantities = {name: line["quantity"] for name, line in price["lines"].items()}
    assert quantities["step_functions_requests"] == 1
    assert quantities["eventbridge_events"] == 2
    assert quantities["dynamodb_writes"] == pytest.approx(26.4)


def test_without_a_happy_order_the_message_names_the_command(tmp_path: Path) -> None:
    answer("run", "--count", 0, "--data", tmp_path)
    done = orders("cost", "--data", tmp_path)
    assert done.returncode == 1
    assert "run `orders run --count 100` first" in done.stderr
