"""Analysts and a deployed stack: Athena answers the same SQL, the day's report has an address."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from botocore.exceptions import ClientError

from infra.deployed import warehouse
from infra.deployed.report import report_page
from infra.deployed.stack import DeployedStack
from infra.errors import Refusal
from infra.queries.pack import QueryError
from infra.queries.warehouse import sql_of
from tests.integration.deployed import BUCKET, PLACE, answer, refusal

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
TODAY = YESTERDAY + timedelta(days=1)

# ---- queries


class Frame:
    """The used part of a pandas frame."""

    columns = ("day", "revenue")

    def astype(self, kind: type) -> "Frame":
        return self

    def notna(self) -> object:
        return self

    def where(self, there: object, other: None) -> "Frame":
        return self

    def itertuples(self, *, index: bool, name: None) -> Iterator[tuple[Any, ...]]:
        return iter([(date(2026, 1, 31), Decimal("12.50")), (date(2026, 2, 1), None)])


class QueryFailed(Exception):
    pass


@dataclass
class Wrangler:
    """The used part of awswrangler: records each query, and answers or raises."""

    failure: Exception | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = SimpleNamespace()
        self.athena = SimpleNamespace(read_sql_query=self.read_sql_query)
        self.exceptions = SimpleNamespace(
            QueryFailed=QueryFailed, QueryCancelled=QueryFailed, NoFilesFound=QueryFailed
        )

    def read_sql_query(self, sql: str, **options: Any) -> Frame:
        self.asked.append({"sql": sql, **options})
        if self.failure:
            raise self.failure
        return Frame()


def test_a_named_query_runs_on_athena_in_the_stacks_workgroup(
    stack: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrangler = Wrangler()
    monkeypatch.setitem(sys.modules, "awswrangler", wrangler)
    assert answer("query", "revenue_by_day") == {
        "columns": ["day", "revenue"],
        "rows": [["2026-01-31", "12.50"], ["2026-02-01", None]],
        "truncated": False,
    }
    [asked] = wrangler.asked
    assert asked["sql"] == sql_of("revenue_by_day")
    assert (asked["database"], asked["workgroup"]) == ("orderflow_dev", "orderflow_dev")
    assert asked["ctas_approach"] is False


def test_without_awswrangler_the_remedy_is_printed(
    stack: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "awswrangler", None)
    said = refusal("query", "revenue_by_day", *PLACE)
    assert "awswrangler, which is not installed; run `" in said
    assert "orderflow[athena]" in said


@pytest.mark.parametrize(
    "sql",
    ["select 1", "WITH a AS (select 1) select * from a", "-- why\n(select 1)", "/* a */select 1"],
)
def test_a_select_is_accepted(stack: DeployedStack, sql: str) -> None:
    wrangler = Wrangler()
    warehouse.run_query(stack, sql, wrangler)
    assert wrangler.asked[0]["sql"] == sql


@pytest.mark.parametrize(
    "sql", ["drop table order_events", "insert into x select 1", "-- select\nx y"]
)
def test_another_statement_than_a_select_is_refused(stack: DeployedStack, sql: str) -> None:
    wrangler = Wrangler()
    with pytest.raises(QueryError, match="a query must be one SELECT"):
        warehouse.run_query(stack, sql, wrangler)
    assert wrangler.asked == []


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (QueryFailed("SYNTAX_ERROR:\n line 1"), "Athena: SYNTAX_ERROR: line 1"),
        (
            ClientError(
                {
                    "Error": {
                        "Code": "InvalidRequestException",
                        "Message": "WorkGroup is not found.",
                    }
                },
                "GetWorkGroup",
            ),
            "Athena's workgroup orderflow_dev was not found",
        ),
    ],
)
def test_a_failed_query_is_reported_in_one_line(
    stack: DeployedStack, failure: Exception, said: str
) -> None:
    with pytest.raises((QueryError, Refusal)) as raised:
        warehouse.run_query(stack, "select 1 a", Wrangler(failure))
    assert str(raised.value).startswith(said)


def test_the_library_itself_reads_athenas_answer(stack: DeployedStack) -> None:
    """Where the extra is installed."""
    wrangler = pytest.importorskip("awswrangler", reason="the extra athena is not installed")
    stack.client("athena").create_work_group(
        Name="orderflow_dev",
        Configuration={
            "EnforceWorkGroupConfiguration": True,
            "ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/athena/"},
        },
    )
    types = {"day": "date", "n": "bigint", "revenue": "decimal", "lines": "array"}
    rows: list[Sequence[object]] = [
        list(types),
        ["2026-01-31", "3", "12.50", "[a, b]"],
        ["2026-02-01", None, None, None],
    ]
    requests.post(
        "http://motoapi.amazonaws.com/moto-api/static/athena/query-results",
        json={"results": [{"rows": [_row(row) for row in rows], "column_info": _columns(types)}]},
        timeout=5,
    )
    assert warehouse.run_query(stack, "select 1 a", wrangler) == (
        list(types),
        [
            (date(2026, 1, 31), 3, Decimal("12.50"), "[a, b]"),
            (date(2026, 2, 1), None, None, None),
        ],
    )


def _row(cells: Sequence[object]) -> dict[str, Any]:
    return {"Data": [{} if cell is None else {"VarCharValue": cell} for cell in cells]}


def _columns(types: dict[str, str]) -> list[dict[str, Any]]:
    more = {"Precision": 18, "Scale": 2, "Nullable": "UNKNOWN", "CaseSensitive": False}
    names = ("CatalogName", "SchemaName", "TableName", "Name", "Label")
    return [{**dict.fromkeys(names, name), "Type": kind, **more} for name, kind in types.items()]


# ---- the report


def written(stack: DeployedStack, day: date) -> None:
    stack.client("s3").put_object(
        Bucket=BUCKET, Key=f"reports/dt={day}/report.html", Body=b"<!doctype html>"
    )


def calls(stack: DeployedStack) -> object:
    return stack.account.functions.calls  # type: ignore[attr-defined]


def test_a_stored_report_gets_a_url_that_expires(stack: DeployedStack) -> None:
    written(stack, YESTERDAY)
    told = answer("report", "--date", YESTERDAY)
    assert told["report"] == f"s3://{BUCKET}/reports/dt={YESTERDAY}/report.html"
    asked = parse_qs(urlsplit(told["url"]).query)
    assert asked["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert asked["X-Amz-Expires"] == [str(told["expires_in"])] == ["3600"]
    assert calls(stack) == []
    assert requests.get(told["url"], timeout=5).text == "<!doctype html>"


def test_a_missing_report_is_rendered(stack: DeployedStack) -> None:
    page = report_page(stack, YESTERDAY)
    assert calls(stack) == [("daily-report", {"date": str(YESTERDAY)})]
    assert requests.get(page.url, timeout=5).text == "<!doctype html>"


def test_a_report_older_than_the_days_end_is_rendered_again(stack: DeployedStack) -> None:
    written(stack, TODAY)
    report_page(stack, TODAY)
    assert calls(stack) == [("daily-report", {"date": str(TODAY)})]


def test_a_failed_function_is_reported(stack: DeployedStack) -> None:
    failure = {"errorType": "WarehouseError", "errorMessage": "no answer"}
    stack.account.functions.failure = failure  # type: ignore[attr-defined]
    said = f"the report of {YESTERDAY} was not rendered: WarehouseError: no answer; the functions'"
    with pytest.raises(Refusal, match=re.escape(said)):
        report_page(stack, YESTERDAY)
