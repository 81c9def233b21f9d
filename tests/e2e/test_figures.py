"""The figures of the shipped queries are those of the run and of the ledger, to the cent."""

import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from infra.queries.pack import queries
from infra.queries.warehouse import run_query
from tests.e2e.test_northwind import FILE, NORTHWIND
from tests.fakes.serving import answer, rows

GENERATED, NORTHWIND_ORDERS = 300, 150

MAY_BE_EMPTY = {
    *("contradicting_orders", "facts_of_others", "open_orders", "replays"),
    *("cancellations", "refunds", "order_story"),
}
"""Queries whose subjects a run does not contain."""

Answers = Mapping[str, list[dict[str, Any]]]


def answers(data: Path) -> Answers:
    """Return the rows of every named query, without the limit of its list."""
    found = {}
    for query in queries():
        given = {"limit": "1000000"} if "limit" in query.parameters else {}
        columns, values, *_ = run_query(data, query.bound(given))
        found[query.name] = [dict(zip(columns, row, strict=True)) for row in values]
    return found


WHOLE = "whole Northwind"
RUNS = ["generated", "Northwind", pytest.param(WHOLE, marks=pytest.mark.long)]


@pytest.fixture(scope="module", params=RUNS)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run orders; return the run's result, the answers, and the directory."""
    folder = tmp_path_factory.mktemp("figures")
    data = folder / "data"
    if request.param == "generated":
        result = answer("run", "--count", GENERATED, "--data", data, timeout=300)
    else:
        if not FILE.is_file():
            pytest.skip(f"no Northwind orders at {FILE.resolve()}")
        most = None if request.param == WHOLE else NORTHWIND_ORDERS
        with FILE.open() as whole:
            (folder / "first.ndjson").write_text("".join(islice(whole, most)))
        stock = NORTHWIND / "stock_tight.csv"
        source = ("--from", folder / "first.ndjson", "--stock", stock)
        result = answer("run", *source, "--data", data, timeout=300)
    return result, answers(data), data


def test_every_query_has_rows_with_values(ran: tuple[Any, Answers, Path]) -> None:
    _, found, _ = ran
    for name, table in found.items():
        assert table or name in MAY_BE_EMPTY, name
        for column in table[0] if table else ():
            is_optional = column in ("reason", "total", "amount", "currency", "country")
            assert is_optional or any(row[column] is not None for row in table), (name, column)


def test_revenue_is_the_same_in_every_query_and_in_the_run(
    ran: tuple[Any, Answers, Path],
) -> None:
    result, found, _ = ran
    revenue = Decimal(result["totals"]["revenue"])
    assert revenue > 0
    for name in ("revenue_by_day", "revenue_by_month", "revenue_by_country", "top_skus"):
        assert sum(row["revenue"] for row in found[name]) == revenue, name
    for name in ("sku_by_month", "top_customers", "repeat_customers", "days_compared"):
        assert sum(row["revenue"] for row in found[name]) == revenue, name
    assert found["revenue_by_day"][-1]["running_total"] == revenue
    assert sum(row["revenue"] for row in found["high_value_share"]) == revenue
    by_status = {row["status"]: row["total"] for row in found["orders_by_status"]}
    assert by_status["COMPLETED"] == revenue


def test_orders_are_the_same_in_every_query_and_in_the_run(
    ran: tuple[Any, Answers, Path],
) -> None:
    result, found, _ = ran
    totals = result["totals"]
    ended = {name.upper(): totals[name] for name in ("completed", "failed", "cancelled")}
    wanted = {name: number for name, number in ended.items() if number}
    assert {row["status"]: row["orders"] for row in found["orders_by_status"]} == wanted
    for name in ("outcomes_by_day", "orders_by_hour"):
        for outcome, number in ended.items():
            assert sum(row[outcome.lower()] for row in found[name]) == number, name
    assert sum(row["orders"] for row in found["order_funnel"]) == totals["orders"]
    failures = sum(row["orders"] for row in found["failures_by_reason"])
    assert failures == totals["failed"]
    assert sum(row["units"] for row in found["revenue_by_day"]) == totals["units_shipped"]


def test_refunds_and_charges_are_those_of_the_ledger_and_the_gateway(
    ran: tuple[Any, Answers, Path],
) -> None:
    result, found, data = ran
    totals = result["totals"]
    assert sum(row["charged"] for row in found["refund_rate"]) == totals["charges"]
    assert sum(row["refunds"] for row in found["refund_rate"]) == totals["refunds"]
    refunded = sum(row["refunded"] for row in found["refunds"])
    query = "select coalesce(sum(amount), 0) from gateway_charges where status = '{}'"
    [(cents,)] = rows(data / "sandbox.db", query.format("REFUNDED"))
    assert refunded == Decimal(cents) / 100
    [(charged,)] = rows(data / "sandbox.db", query.format("CHARGED"))
    assert Decimal(charged) / 100 == Decimal(totals["revenue"])


def test_shortages_are_those_of_the_facts_in_the_journal(ran: tuple[Any, Answers, Path]) -> None:
    _, found, data = ran
    query = "select envelope from events where detail_type = 'Order Backordered'"
    facts = [json.loads(text)["detail"] for (text,) in rows(data / "orderflow.db", query)]
    failed = {
        row[0]
        for row in rows(
            data / "orderflow.db", "select order_id from orders where failure = 'OutOfStock'"
        )
    }
    most: Counter[str] = Counter()
    missing: dict[tuple[str, str], int] = {}
    prices: dict[tuple[str, str], Decimal] = {}
    for fact in facts:
        for line in fact["items"]:
            prices[fact["order_id"], line["sku"]] = Decimal(str(line["unit_price"]))
        for short in fact["missing"]:
            key, units = (fact["order_id"], short["sku"]), short["requested"] - short["available"]
            most[short["sku"]] = max(most[short["sku"]], units)
            missing[key] = max(missing.get(key, 0), units)
    assert {row["sku"]: row["units_missing"] for row in found["backorders"]} == most
    lost: dict[str, Decimal] = {}
    for (order_id, sku), units in missing.items():
        if order_id in failed:
            lost[sku] = lost.get(sku, Decimal(0)) + units * prices[order_id, sku]
    by_sku: dict[str, Decimal] = {}
    for row in found["lost_to_stock"]:
        by_sku[row["sku"]] = by_sku.get(row["sku"], Decimal(0)) + row["lost"]
    assert by_sku == lost
