"""Athena queries are started, polled, and read into Python's types."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kernel.errors import WarehouseError
from lambda_support.athena import AthenaWarehouse

TYPES = {
    "name": "varchar",
    "orders": "bigint",
    "share": "double",
    "total": "decimal",
    "large": "boolean",
    "day": "date",
    "at": "timestamp",
}
HEAD: list[str | None] = list(TYPES)
FIRST: list[str | None] = [
    "TEA",
    "3",
    "0.5",
    "12.30",
    "true",
    "2026-01-31",
    "2026-01-31 12:00:00.250",
]


class Athena:
    """The four calls of a client, with their arguments."""

    def __init__(self, *states: str, pages: list[list[list[str | None]]] | None = None) -> None:
        self.states = list(states)
        self.pages = pages or [[HEAD]]
        self.started: dict[str, Any] = {}
        self.stopped: list[str] = []

    def start_query_execution(self, **request: Any) -> dict[str, str]:
        self.started = request
        return {"QueryExecutionId": "q-1"}

    def get_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:  # noqa: N803
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        status = {"State": state, "StateChangeReason": "SYNTAX_ERROR: line 1:8"}
        return {"QueryExecution": {"Status": status}}

    def stop_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:  # noqa: N803
        self.stopped.append(QueryExecutionId)
        return {}

    def get_paginator(self, operation: str) -> "Athena":
        assert operation == "get_query_results"
        return self

    def paginate(self, QueryExecutionId: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        info = [{"Name": name, "Type": kind} for name, kind in TYPES.items()]
        for page in self.pages:
            rows = [{"Data": [{} if c is None else {"VarCharValue": c} for c in r]} for r in page]
            yield {"ResultSet": {"ResultSetMetadata": {"ColumnInfo": info}, "Rows": rows}}


def rows(athena: Athena, *parameters: str) -> list[dict[str, Any]]:
    warehouse = AthenaWarehouse(athena, "shop", "analysts", patience=5, sleep=lambda _: None)
    return warehouse.rows("select 1", parameters)


def test_a_query_runs_in_its_database_and_workgroup() -> None:
    athena = Athena("SUCCEEDED")
    rows(athena, "2026-01-31", "it's")
    assert athena.started == {
        "QueryString": "select 1",
        "QueryExecutionContext": {"Database": "shop"},
        "WorkGroup": "analysts",
        "ExecutionParameters": ["'2026-01-31'", "'it''s'"],
    }


def test_a_query_without_parameters_sends_none() -> None:
    athena = Athena("SUCCEEDED")
    rows(athena)
    assert "ExecutionParameters" not in athena.started, "Athena takes no empty list"


def test_rows_are_read_from_every_page_into_their_types() -> None:
    nothing: list[str | None] = [None] * len(TYPES)
    athena = Athena("QUEUED", "RUNNING", "SUCCEEDED", pages=[[HEAD, FIRST], [nothing]])
    assert rows(athena) == [
        {
            "name": "TEA",
            "orders": 3,
            "share": 0.5,
            "total": Decimal("12.30"),
            "large": True,
            "day": date(2026, 1, 31),
            "at": datetime.fromisoformat("2026-01-31T12:00:00.250"),
        },
        dict.fromkeys(TYPES),
    ]


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_failed_query_raises_its_reason(state: str) -> None:
    with pytest.raises(WarehouseError, match=f"{state}: SYNTAX_ERROR"):
        rows(Athena("RUNNING", state))


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
def test_a_query_that_takes_too_long_is_stopped(state: str) -> None:
    athena = Athena(state)
    with pytest.raises(WarehouseError, match="took over 5 s and was stopped"):
        rows(athena)
    assert athena.stopped == ["q-1"]


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_a_query_that_ended_is_not_stopped(state: str) -> None:
    athena = Athena("RUNNING", state)
    with suppress(WarehouseError):
        rows(athena)
    assert not athena.stopped


def test_a_refusal_of_aws_is_a_warehouse_error() -> None:
    class Refusing(Athena):
        def start_query_execution(self, **request: Any) -> dict[str, str]:
            raise ClientError({"Error": {"Code": "Throttling"}}, "StartQueryExecution")

    with pytest.raises(WarehouseError, match="Throttling"):
        rows(Refusing("SUCCEEDED"))
