"""The report of a day is queried from the warehouse and stored under the day's name."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analytics import report, wiring
from analytics.handlers.daily_report import handler
from analytics.usecases import Ports, daily_report, day_of
from analytics.view import for_duckdb
from analytics.warehouse import connect
from kernel.errors import InvalidInput, InvalidSettings
from tests.unit.analytics.lake import NOON, completed, deliver, envelope, order

CONTEXT: Any = SimpleNamespace(function_name="daily_report", aws_request_id="r-1")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp()


class Warehouse:
    """A warehouse without rows that records its queries; ``replayed`` is the first replayed day."""

    def __init__(self, replayed: str | None = None) -> None:
        self.replayed = replayed
        self.queries: list[tuple[str, ...]] = []

    def rows(self, sql: str, parameters: Sequence[str]) -> list[dict[str, Any]]:
        self.queries.append(tuple(parameters))
        return [{"first_day": self.replayed}] if sql == report.FIRST_REPLAYED else []


class ReportStore:
    """A report store in a dictionary."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}

    def put(self, name: str, content: str) -> str:
        self.pages[name] = content
        return f"reports/{name}"


def test_the_report_queries_its_day_and_has_it_in_its_name() -> None:
    warehouse, reports = Warehouse(), ReportStore()
    where = daily_report(date(2026, 1, 31), Ports(warehouse, reports, lambda: NOW))
    assert where == "reports/dt=2026-01-31/report.html"
    assert list(reports.pages) == ["dt=2026-01-31/report.html"]
    assert {parameters[-1] for parameters in warehouse.queries} == {"2026-01-31"}


@pytest.mark.parametrize(
    ("replayed", "first"),
    [
        (None, "2026-01-30"),
        ("2026-01-31", "2026-01-30"),
        ("2026-01-20", "2026-01-19"),
        ("2026-02-03", "2026-01-30"),
    ],
)
def test_a_report_reads_two_days_and_more_only_for_a_replay(
    replayed: str | None, first: str
) -> None:
    warehouse = Warehouse(replayed)
    daily_report(date(2026, 1, 31), Ports(warehouse, ReportStore(), lambda: NOW))
    assert warehouse.queries == [
        ("2026-01-30", "2026-01-31"),
        *[(first, "2026-01-31", "2026-01-31")] * 3,
    ]


QUERIES = (report.FACTS, report.TOP_SKUS, report.HIGH_VALUE)


@pytest.mark.parametrize("sql", [*QUERIES, report.FIRST_REPLAYED])
def test_a_query_of_the_report_limits_the_days_where_it_reads_the_files(sql: str) -> None:
    reads = re.findall(r"\b(?:from|join)\s+(order_events\w*)\s+(where dt between \? and \?)?", sql)
    assert reads == [("order_events_raw", "where dt between ? and ?")]


@pytest.mark.parametrize("sql", QUERIES)
def test_a_query_of_the_report_opens_the_files_of_its_days(sql: str, tmp_path: Path) -> None:
    for day in range(20):
        deliver(tmp_path, completed(f"A-{day}"), at=NOON - timedelta(days=day))
    with connect(tmp_path) as connection:
        window = ["2026-01-30", "2026-01-31", "2026-01-31"]
        [(_, plan)] = connection.execute(for_duckdb(f"explain {sql}"), window).fetchall()
    assert "Scanning Files: 2/20" in " ".join(re.sub("[│─┌┐└┘]", " ", plan).split())


@pytest.mark.parametrize(
    ("event", "day"),
    [
        ({"date": "2026-01-31"}, date(2026, 1, 31)),
        ({"time": "2026-02-01T09:00:00Z"}, date(2026, 1, 31)),
        ({"time": "2026-02-01T00:30:00+02:00"}, date(2026, 1, 30)),
        ({"date": "2026-01-31", "time": "2025-01-01T09:00:00Z"}, date(2026, 1, 31)),
        ({}, date(2026, 3, 1)),
    ],
)
def test_a_schedule_reports_the_day_before_and_a_date_its_own_day(
    event: dict[str, Any], day: date
) -> None:
    assert day_of(event, NOW) == day


@pytest.mark.parametrize("field", ["date", "time"])
@pytest.mark.parametrize("value", ["31/01/2026", "tomorrow", 5])
def test_an_invalid_day_is_refused_by_field(field: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        day_of({field: value}, NOW)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    bucket = tmp_path / "the bucket"
    monkeypatch.setenv("WAREHOUSE_URL", bucket.as_uri().replace("file:", "duckdb:"))
    monkeypatch.setenv("SHELF_URL", (bucket / "reports").as_uri())
    wiring.ports.cache_clear()
    yield bucket
    wiring.ports.cache_clear()


def page(answer: dict[str, str]) -> str:
    return Path(answer["report"]).read_text(encoding="utf-8")


def test_a_report_without_events_is_a_page(bucket: Path) -> None:
    answer = handler({"date": "2026-01-31"}, CONTEXT)
    assert answer["report"] == str(bucket / "reports" / "dt=2026-01-31" / "report.html")
    assert "No order was completed." in page(answer)


def test_the_report_counts_the_days_events_once(bucket: Path) -> None:
    deliver(bucket, completed("A-1", ("TEA", 3, 400.0)), at=NOON)
    deliver(bucket, completed("A-1", ("TEA", 3, 400.0)), at=NOON + timedelta(minutes=5))
    deliver(bucket, completed("A-2", ("TEA", 5, 1.0)), at=NOON + timedelta(days=1))
    flagged = {"customer_id": "C-9", "currency": "USD", "total": 1200, "threshold": 1000}
    event = {"order_id": "A-1", "timestamp": "2026-01-31T12:00:00Z", **flagged}
    deliver(bucket, envelope("High Value Order Flagged", event), at=NOON)
    deliver(bucket, envelope("Order Failed", order("A-3", reason="OutOfStock", message="")))
    text = page(handler({"time": "2026-02-01T09:00:00Z"}, CONTEXT))
    assert "<b>USD 1,200.00</b><span>revenue of completed orders" in text
    assert "<b>3</b><span>units shipped" in text
    assert "<title>12:00: 1,200</title>" in text
    assert "<title>TEA: 3</title>" in text
    assert "<title>Failed: OutOfStock: 1</title>" in text
    assert "<td>C-9" in text


def completed_on(day: date) -> int:
    text = page(handler({"date": day.isoformat()}, CONTEXT))
    [number] = re.findall(r"<b>([0-9]+)</b><span>completed", text)
    return int(number)


DAY, BEFORE = NOON.date(), NOON.date() - timedelta(days=1)


def test_a_replay_of_an_older_event_is_in_no_second_report(bucket: Path) -> None:
    old = completed("A-1", timestamp="2026-01-11T12:00:00Z")
    deliver(bucket, old, at=NOON - timedelta(days=20))
    deliver(bucket, {**old, "replay-name": "again"}, completed("A-2"), at=NOON)
    assert completed_on(DAY - timedelta(days=20)) == 1
    assert completed_on(DAY) == 1


def test_a_replayed_event_that_never_arrived_is_in_the_report_of_its_arrival(bucket: Path) -> None:
    lost = completed("A-1", timestamp="2026-01-11T12:00:00Z")
    deliver(bucket, {**lost, "replay-name": "again"}, at=NOON)
    assert completed_on(DAY) == 1


def test_an_event_delivered_again_after_midnight_is_in_the_first_report_only(bucket: Path) -> None:
    midnight = datetime(2026, 1, 31, tzinfo=UTC)
    deliver(bucket, completed("A-1"), at=midnight - timedelta(minutes=1))
    deliver(bucket, completed("A-1"), at=midnight + timedelta(minutes=1))
    assert (completed_on(BEFORE), completed_on(DAY)) == (1, 0)


def test_an_event_in_a_file_begun_before_midnight_is_in_the_report_of_its_arrival(
    bucket: Path,
) -> None:
    path = deliver(bucket, completed("A-1"), at=datetime(2026, 1, 31, 0, 2, tzinfo=UTC))
    earlier = path.parent.with_name("dt=2026-01-30")
    path.parent.rename(earlier)
    assert (completed_on(BEFORE), completed_on(DAY)) == (0, 1)


def test_an_order_that_waits_all_day_waits_once(bucket: Path) -> None:
    for hour in range(3):
        detail = order(
            missing=[{"sku": "TEA-GREEN", "requested": 2, "available": 0}],
            metadata={"event_id": f"e-{hour}"},
        )
        deliver(bucket, envelope("Order Backordered", detail), at=NOON + timedelta(hours=hour))
    assert "<title>Waited for stock: 1</title>" in page(handler({"date": "2026-01-31"}, CONTEXT))


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("WAREHOUSE_URL", "duckdb:"),
        ("WAREHOUSE_URL", "athena://database"),
        ("WAREHOUSE_URL", "nothing"),
        ("SHELF_URL", "file:"),
        ("SHELF_URL", "s3:///prefix"),
    ],
)
def test_an_unknown_warehouse_or_report_store_is_refused_by_name(
    bucket: Path, monkeypatch: pytest.MonkeyPatch, name: str, url: str
) -> None:
    monkeypatch.setenv(name, url)
    with pytest.raises(InvalidSettings, match=f"{name}: '{url}'"):
        wiring.ports()
