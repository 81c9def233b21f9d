"""830 real orders of the Northwind company, with sufficient and with insufficient stock."""

import csv
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.serving import answer, orders, rows

NORTHWIND = Path(__file__).parents[2] / "../shared/data/northwind"
FILE = NORTHWIND / "order_created.ndjson"
SLICE = 120
"""Orders of the run with insufficient stock: each waiting order has 13 attempts."""

pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason=f"no Northwind orders at {FILE.resolve()}"
)


@pytest.fixture(scope="module")
def ample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """Run the entire file twice; return the directory and both results."""
    data = tmp_path_factory.mktemp("ample") / "data"
    command = ("run", "--from", FILE, "--stock", NORTHWIND / "stock_ample.csv", "--data", data)
    return data, answer(*command, timeout=120), answer(*command, timeout=120)


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Run the first orders on the company's own stock."""
    folder = tmp_path_factory.mktemp("tight")
    with FILE.open() as whole:
        (folder / "first.ndjson").write_text("".join(islice(whole, SLICE)))
    command = ("run", "--from", folder / "first.ndjson", "--stock", NORTHWIND / "stock_tight.csv")
    return folder / "data", answer(*command, "--data", folder / "data", timeout=120)


TOTALS = {
    "orders": 830,
    "completed": 830,
    "failed": 0,
    "cancelled": 0,
    "in_flight": 0,
    "dead_letters": 0,
    "revenue": "1265811.86",
    "units_shipped": 51317,
    "charges": 830,
    "refunds": 0,
    "shipments": 830,
}


def test_with_sufficient_stock_all_orders_complete(ample: tuple[Path, Any, Any]) -> None:
    _, first, _ = ample
    wanted = {
        "accepted": 830,
        "rejected": 0,
        "quarantined": 0,
        "duplicates": 0,
        "completed": 830,
        "failed": 0,
        "cancelled": 0,
        "in_flight": 0,
        "dead_letters": 0,
        "high_value": 403,
        "revenue": "1265811.86",
        "units_shipped": 51317,
        "totals": TOTALS,
    }
    assert {name: first[name] for name in wanted} == wanted


def test_a_second_run_of_the_same_file_changes_nothing(ample: tuple[Path, Any, Any]) -> None:
    _, _, second = ample
    wanted = {
        "accepted": 830,
        "duplicates": 830,
        "completed": 0,
        "failed": 0,
        "high_value": 0,
        "revenue": "0.00",
        "units_shipped": 0,
        "in_flight": 0,
        "dead_letters": 0,
        "totals": TOTALS,
    }
    assert {name: second[name] for name in wanted} == wanted


def test_the_parquet_files_agree(ample: tuple[Path, Any, Any]) -> None:
    data, _, _ = ample
    sql = "select event_type, count(distinct event_id) from order_events group by 1 order by 1"
    assert answer("query", sql, "--data", data)["rows"] == [
        ["High Value Order Flagged", 403],
        ["Order Completed", 830],
        ["Order Created", 830],
    ]
    sums = "select sum(total), sum(units) from order_events where event_type = 'Order Completed'"
    assert answer("query", sums, "--data", data)["rows"] == [["1265811.86", 51317]]


def test_the_gateways_and_the_carriers_own_records_agree(ample: tuple[Path, Any, Any]) -> None:
    data, _, _ = ample
    charged = "select count(*), count(distinct key), sum(amount), min(status) from gateway_charges"
    assert rows(data / "sandbox.db", charged) == [(830, 830, 126_581_186, "CHARGED")]
    assert rows(data / "sandbox.db", "select count(*) from carrier_shipments") == [(830,)]


def test_the_story_of_an_order_fits_one_screen(ample: tuple[Path, Any, Any]) -> None:
    data, _, _ = ample
    done = orders("show", "nw-10248", "--data", data)
    assert done.returncode == 0
    shown = done.stdout
    for word in ("nw-10248", "COMPLETED", "VINET", "440.00", "NW-011", "CHARGED", "SBX"):
        assert word in shown
    assert len(shown.splitlines()) <= 40


def test_with_insufficient_stock_every_order_ends_and_nothing_is_oversold(
    tight: tuple[Path, Any],
) -> None:
    data, ran = tight
    assert (ran["accepted"], ran["in_flight"]) == (SLICE, 0)
    assert ran["completed"] + ran["failed"] == SLICE
    assert ran["completed"] > 0
    assert ran["failed"] > 0
    totals = ran["totals"]
    assert totals["charges"] - totals["refunds"] == totals["completed"] == totals["shipments"]
    with (NORTHWIND / "stock_tight.csv").open() as file:
        had = {row["sku"]: int(row["on_hand"]) for row in csv.DictReader(file)}
    left = rows(data / "orderflow.db", "select sku, on_hand, reserved, shipped from stock")
    assert {sku: on_hand + shipped for sku, on_hand, _, shipped in left} == had
    assert all(on_hand >= 0 and reserved == 0 for _, on_hand, reserved, _ in left)
    assert ran["units_shipped"] == sum(shipped for *_, shipped in left) <= sum(had.values())


def test_an_order_without_stock_is_never_charged(tight: tuple[Path, Any]) -> None:
    data, _ = tight
    failed = "select order_id from orders where status = 'FAILED'"
    reasons = rows(data / "orderflow.db", "select distinct failure from orders where failure <> ''")
    assert reasons == [("OutOfStock",)]
    charged = f"select count(*) from charges where order_id in ({failed})"
    assert rows(data / "orderflow.db", charged) == [(0,)]
