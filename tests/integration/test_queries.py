"""Analysts ask the delivered files by name or in SQL, and can break nothing."""

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.queries import warehouse
from infra.queries.pack import QueryError, queries
from infra.queries.warehouse import json_value, run_query
from infra.views.query_chart import render_chart
from tests.unit.analytics.lake import NOON, Event, completed, deliver, envelope, order

SATURDAY = date(2026, 1, 31)
NOW = {"timestamp": "2026-01-31T12:00:00Z"}


def created(order_id: str, *lines: tuple[str, int, float], **more: Any) -> Event:
    return envelope("Order Created", order(order_id, *lines, **more))


def about(name: str, order_id: str, *lines: tuple[str, int, float], **more: Any) -> Event:
    return envelope(name, order(order_id, *lines, **more))


def refunded(order_id: str, amount: float, reason: str) -> Event:
    detail = {"order_id": order_id, "customer_id": "C-42", "currency": "USD", "charge_id": "c"}
    return envelope("Payment Refunded", {**detail, **NOW, "amount": amount, "reason": reason})


def flagged(order_id: str, total: float) -> Event:
    detail = {"order_id": order_id, "customer_id": "C-42", "currency": "USD", "threshold": 1000}
    return envelope("High Value Order Flagged", {**detail, **NOW, "total": total})


def backordered(order_id: str, available: int, event_id: str) -> Event:
    missing = [{"sku": "TEA", "requested": 5, "available": available}]
    metadata = {"event_id": event_id}
    return about("Order Backordered", order_id, ("TEA", 5, 1.0), missing=missing, metadata=metadata)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A day: two orders completed, one failed, one cancelled, one waiting, one just received."""
    bucket = tmp_path / "bucket"
    tea, cake = ("TEA", 2, 600.0), ("CAKE", 3, 10.5)
    deliver(
        bucket,
        created("A-1", tea, cake),
        created("A-2", ("TEA", 1, 600.0), currency="EUR"),
        created("A-3"),
        created("A-4"),
        created("A-5", ("TEA", 5, 1.0)),
        created("A-6"),
        flagged("A-1", 1231.5),
        flagged("A-6", 1000),
        at=NOON,
    )
    finish = [
        completed("A-1", tea, cake),
        about("Order Failed", "A-3", reason="PaymentDeclined", message="no"),
        about("Order Cancellation Confirmed", "A-4"),
        refunded("A-4", 25.0, "OrderCancelled"),
        backordered("A-5", 1, "b-1"),
        backordered("A-5", 3, "b-2"),
    ]
    deliver(bucket, *finish, at=NOON + timedelta(seconds=2))
    deliver(
        bucket,
        completed("A-2", ("TEA", 1, 600.0), currency="EUR"),
        at=NOON + timedelta(seconds=8),
    )
    deliver(bucket, *finish, at=NOON + timedelta(days=3))  # delivered twice
    return tmp_path


def test_revenue_by_day(data: Path) -> None:
    assert run_query(data, "revenue_by_day") == (
        ["day", "currency", "orders", "units", "revenue", "running_total"],
        [
            (SATURDAY, "EUR", 1, 1, Decimal("600.00"), Decimal("600.00")),
            (SATURDAY, "USD", 1, 5, Decimal("1231.50"), Decimal("1231.50")),
        ],
    )


def test_orders_by_status(data: Path) -> None:
    columns, rows = run_query(data, "orders_by_status")
    assert columns == ["status", "currency", "orders", "total"]
    assert sorted(rows) == [
        ("CANCELLED", "USD", 1, Decimal("25.00")),
        ("COMPLETED", "EUR", 1, Decimal("600.00")),
        ("COMPLETED", "USD", 1, Decimal("1231.50")),
        ("FAILED", "USD", 1, Decimal("25.00")),
        ("RECEIVED", "USD", 1, Decimal("25.00")),
        ("WAITING", "USD", 1, Decimal("5.00")),
    ]


def test_of_two_events_that_open_one_order_the_one_counts_that_the_platform_took(
    tmp_path: Path,
) -> None:
    twice = [created("A-1", ("TEA", 2, 600.0)), created("A-1", ("TEA", 1, 1.0))]
    deliver(tmp_path / "bucket", *twice, at=NOON)
    deliver(tmp_path / "bucket", completed("A-1", ("TEA", 1, 1.0)), at=NOON + timedelta(seconds=2))
    _, rows = run_query(tmp_path, "orders_by_status")
    assert rows == [("COMPLETED", "USD", 1, Decimal("1.00"))]


def test_top_skus(data: Path) -> None:
    assert run_query(data, "top_skus") == (
        ["sku", "currency", "orders", "units", "revenue"],
        [
            ("CAKE", "USD", 1, 3, Decimal("31.50")),
            ("TEA", "USD", 1, 2, Decimal("1200.00")),
            ("TEA", "EUR", 1, 1, Decimal("600.00")),
        ],
    )


def test_high_value_orders(data: Path) -> None:
    columns, rows = run_query(data, "high_value_orders")
    assert columns == ["order_id", "customer_id", "currency", "total", "flagged_at", "status"]
    assert [(row[0], row[3], row[5]) for row in rows] == [
        ("A-1", Decimal("1231.50"), "COMPLETED"),
        ("A-6", Decimal("1000.00"), "RECEIVED"),
    ]


def test_refunds(data: Path) -> None:
    assert run_query(data, "refunds") == (
        ["day", "currency", "reason", "refunds", "refunded"],
        [(SATURDAY, "USD", "OrderCancelled", 1, Decimal("25.00"))],
    )


def test_backorders_count_an_order_once_however_often_it_was_checked(data: Path) -> None:
    assert run_query(data, "backorders") == (
        ["sku", "orders", "units_missing", "last_seen"],
        [("TEA", 1, 4, NOON.replace(tzinfo=None))],
    )


def test_time_to_complete(data: Path) -> None:
    columns, rows = run_query(data, "time_to_complete")
    assert columns[:5] == ["day", "orders", "fastest", "average", "median"]
    assert columns[5:] == ["p90", "p95", "p99", "slowest"]
    assert rows == [(SATURDAY, 2, 2.0, 5.0, 2.0, 8.0, 8.0, 8.0, 8.0)]


def test_every_named_query_has_a_title_and_answers_on_an_empty_directory(tmp_path: Path) -> None:
    pack = queries()
    assert {query.name for query in pack} >= {"revenue_by_day", "orders_by_status", "top_skus"}
    for query in pack:
        assert re.fullmatch(r"[A-Z].{10,90}", query.title)
        assert query.sql.startswith(f"-- {query.title}\n-- chart: {query.chart}\nselect")
        columns, rows = run_query(tmp_path, query.name)
        assert columns
        assert rows == []


MONEY = {
    *("revenue", "high_value_revenue", "refunded", "lost", "total", "running_total"),
    *("average_order", "smallest_total", "largest_total", "amount"),
}


def test_no_query_mixes_the_amounts_of_two_currencies(data: Path) -> None:
    for query in queries():
        columns, _ = run_query(data, query.name)
        assert "currency" in columns or MONEY.isdisjoint(columns), query.name
    _, rows = run_query(data, "sku_by_month")
    assert [row[1:] for row in rows] == [
        ("CAKE", "USD", 3, Decimal("31.50")),
        ("TEA", "USD", 2, Decimal("1200.00")),
        ("TEA", "EUR", 1, Decimal("600.00")),
    ]


def test_every_named_query_answers_on_a_day_of_orders(data: Path) -> None:
    silent = {  # their subjects are absent from the day
        *("contradicting_orders", "days_compared", "facts_of_others", "replays"),
        *("cancellations", "lost_to_stock"),
    }
    for query in queries():
        _, rows = run_query(data, query.name)
        assert rows or query.name in silent, query.name


def test_a_parameter_chooses_rows_and_its_mistakes_are_named(data: Path) -> None:
    _, rows = run_query(data, "revenue_by_day", {"currency": "EUR"})
    assert [row[1] for row in rows] == ["EUR"]
    _, rows = run_query(data, "revenue_by_day", {"since": "2026-02-01"})
    assert rows == []
    _, rows = run_query(data, "days_compared", {"day": "2026-01-31", "currency": "EUR"})
    assert [(row[0], row[2]) for row in rows] == [(SATURDAY, 1)]
    for values, problem in (
        ({"day": "2026-01-31"}, "no parameter --day; it has: --since, --until, --currency"),
        ({"since": "yesterday"}, "--since 'yesterday' is not valid; send a day such as 2026-01-31"),
    ):
        with pytest.raises(QueryError, match=re.escape(problem)):
            run_query(data, "revenue_by_day", values)
    with pytest.raises(QueryError, match="1 to 1000000"):
        run_query(data, "top_skus", {"limit": "0"})
    with pytest.raises(QueryError, match="named queries alone"):
        run_query(data, "select 1 as one", {"since": "2026-01-01"})


def test_a_value_of_a_parameter_is_text_and_never_sql(data: Path) -> None:
    _, rows = run_query(data, "order_story", {"order": "x' or '1' = '1"})
    assert rows == []


def test_sql_is_athenas_unless_the_dialect_is_duckdb(data: Path) -> None:
    sql = "select approx_percentile(seconds, 0.5) as median from orders where status = 'COMPLETED'"
    assert run_query(data, sql)[1] == [(5.0,)]
    with pytest.raises(QueryError, match="approx_percentile"):
        run_query(data, sql, dialect="duckdb")
    unnested = "order_events cross join unnest(lines) as l(a, quantity, c)"
    lines = f"select sum(l.quantity) from {unnested} where event_type = 'Order Completed'"
    assert run_query(data, lines)[1] == [(6,)]
    assert run_query(data, "select list_sum([1, 2]) as three", dialect="duckdb")[1] == [(3,)]


def test_a_time_with_a_zone_is_answered_in_utc(data: Path) -> None:
    columns, [row] = run_query(data, "select now(), max(arrived_at) from order_events")
    assert len(columns) == 2
    assert row[0].tzinfo is None
    nested = "select [{'at': timestamptz '2026-01-31 13:00:00+01'}] as list"
    assert run_query(data, nested, dialect="duckdb")[1] == [([{"at": NOON.replace(tzinfo=None)}],)]


def test_the_error_of_a_query_has_its_line_with_a_mark(data: Path) -> None:
    with pytest.raises(QueryError) as unknown:
        run_query(data, "select foo from orders", dialect="duckdb")
    assert unknown.value.excerpt.splitlines()[1].strip(" ^") == ""
    with pytest.raises(QueryError) as wrong:
        run_query(data, "select 1 +\n  from orders where")
    assert "^" in wrong.value.excerpt


def test_a_query_beyond_its_memory_ends(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse, "MEMORY", "60MB")
    numbers = "select list(a.range) as all from range(30000000) as a, range(2) as b"
    with pytest.raises(QueryError, match="60MB of memory; select fewer rows"):
        run_query(data, numbers, dialect="duckdb")


@pytest.mark.long
def test_a_forged_fact_and_a_replay_leave_every_figure_unchanged(data: Path) -> None:
    unaffected = {  # these are about deliveries, or name the facts of others
        *("duplicate_deliveries", "facts_of_others", "replays"),
    }
    names = [query.name for query in queries() if query.name not in unaffected]
    before = {name: run_query(data, name) for name in names}
    again = [created("A-1", ("TEA", 2, 600.0), ("CAKE", 3, 10.5)), flagged("A-1", 1231.5)]
    forged = [completed("A-3"), completed("X-9"), refunded("A-1", 5.0, "CarrierError")]
    deliver(
        data / "bucket",
        *({**event, "replay-name": "again"} for event in again),
        *({**event, "origin": "external"} for event in forged),
        at=NOON + timedelta(days=9),
    )
    assert {name: run_query(data, name) for name in names} == before
    assert len(run_query(data, "facts_of_others")[1]) == 2
    assert [row[:2] for row in run_query(data, "replays")[1]] == [("again", 2)]


def test_a_name_may_be_written_with_hyphens(data: Path) -> None:
    assert run_query(data, "revenue-by-day") == run_query(data, "revenue_by_day")


def test_sql_of_ones_own(data: Path) -> None:
    sql = "select event_type, count(distinct event_id) from order_events group by 1 order by 1"
    columns, rows = run_query(data, sql)
    assert columns == ["event_type", "count(DISTINCT event_id)"]
    assert ("Order Created", 6) in rows
    assert ("Order Completed", 2) in rows


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("selct 1", "not SQL of Athena"),
        ("select foo from order_events", 'column "foo" not found'),
        ("select 'a'::int", "Could not convert string 'a'"),
        ("revenue", "no query is named 'revenue'; there are: backorders, "),
        ("  ", "no query is named ''"),
        ("-- nothing", "one SELECT"),
        ("select 1; select 2", "one SELECT"),
        ("create table copy as select 1", "one SELECT"),
        ("explain analyze copy (select 1) to 'out'", "one SELECT"),
        ("copy (select 1) to '{bucket}/order_events/dt=2026-01-31/bad.parquet'", "one SELECT"),
        ("set enable_external_access = true", "one SELECT"),
        ("select * from read_text('/etc/hostname')", "Cannot access file"),
    ],
)
def test_bad_sql_is_one_clear_line_and_changes_nothing(data: Path, sql: str, message: str) -> None:
    before = sorted(data.rglob("*"))
    with pytest.raises(QueryError, match=re.escape(message)) as error:
        run_query(data, sql.format(bucket=data / "bucket"))
    assert "\n" not in str(error.value)
    assert sorted(data.rglob("*")) == before


def test_a_damaged_file_is_named(data: Path) -> None:
    (data / "bucket" / "order_events" / "dt=2026-01-31" / "9.parquet").write_bytes(b"PAR1")
    with pytest.raises(QueryError, match=r"9\.parquet"):
        run_query(data, "revenue_by_day")


def test_cells_are_plain_json() -> None:
    row = [
        1,
        "a",
        None,
        True,
        Decimal("1265811.86"),
        SATURDAY,
        NOON.replace(tzinfo=None),
        [Decimal(1)],
    ]
    expected = [1, "a", None, True, "1265811.86", "2026-01-31", "2026-01-31 12:00:00", ["1"]]
    assert json_value(row) == expected
    assert json_value({"a": float("nan"), "b": 0.5}) == {"a": None, "b": 0.5}
    json.dumps(json_value([b"bytes", timedelta(seconds=1)]))


def chart(tmp_path: Path, columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    path = tmp_path / "chart.html"
    render_chart(columns, rows, path, "A title")
    assert [one.name for one in tmp_path.iterdir()] == ["chart.html"]
    return path.read_text(encoding="utf-8")


def test_a_chart_shows_each_figure_of_a_query(data: Path, tmp_path: Path) -> None:
    columns, rows = run_query(data, "top_skus")
    out = tmp_path / "charts"
    out.mkdir()
    html = chart(out, columns, rows)
    assert re.findall("<h2>(.*?)</h2>", html) == ["orders", "units", "revenue", "Rows"]
    assert "<title>CAKE · USD: 31.50</title>" in html
    assert not re.search(r"(src|href|@import|url\()", html)


DAYS = [date(2026, 1, day) for day in range(1, 32)]


def test_days_are_columns_and_several_currencies_are_lines(tmp_path: Path) -> None:
    columns = chart(tmp_path, ["day", "n"], [(day, 1) for day in DAYS])
    assert columns.count("<rect") == len(DAYS)
    both = [(day, currency, 1) for day in DAYS for currency in ("EUR", "USD")]
    lines = chart(tmp_path, ["day", "currency", "n"], both)
    assert lines.count("<polyline") == 2
    assert "<title>2026-01-31, USD: 1</title>" in lines


def test_more_days_than_a_month_are_a_line(tmp_path: Path) -> None:
    days = [(date(2026, 1, 1) + timedelta(days=number), number) for number in range(90)]
    assert chart(tmp_path, ["day", "n"], days).count("<polyline") == 1


def test_points_that_share_a_time_are_not_merged_into_a_line(tmp_path: Path) -> None:
    html = chart(tmp_path, ["at", "n"], [(NOON, 1), (NOON, 2)])
    assert (html.count("<polyline"), html.count("<rect")) == (0, 2)


def test_what_has_no_bar_is_counted(tmp_path: Path) -> None:
    html = chart(tmp_path, ["name", "n"], [(f"n-{number}", number) for number in range(41)])
    assert "Without a bar: 1 row." in html
    assert "41 rows" in html


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        (["n"], []),
        (["name"], [("a",)]),
        (["n", "name"], [(None, None)]),
        (["flag"], [(True,)]),
    ],
)
def test_an_answer_without_figures_is_a_table(
    tmp_path: Path, columns: list[str], rows: list[tuple[Any, ...]]
) -> None:
    assert "The answer has no numeric column." in chart(tmp_path, columns, rows)


def test_figures_without_a_name_are_drawn_by_row(tmp_path: Path) -> None:
    html = chart(tmp_path, ["n"], [(1,), (None,), (float("inf"),)])
    assert "<title>row 1: 1</title>" in html


def test_text_of_the_data_is_never_markup_in_a_chart(tmp_path: Path) -> None:
    html = chart(tmp_path, ["<script>", "n"], [("<script>", 1)])
    assert "<script>" not in html
