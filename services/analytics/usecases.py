"""Transform events into rows for the sink, and write the daily report of the rows."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from analytics import report
from analytics.flatten import flatten
from kernel.errors import InvalidEvent, InvalidInput


class Warehouse(Protocol):
    """The rows of events; the view ``order_events`` has each event once."""

    def rows(self, sql: str, parameters: Sequence[str]) -> list[dict[str, Any]]:
        """Return a query's rows, with values by column name, or raise `WarehouseError`."""


class ReportStore(Protocol):
    """A store for reports."""

    def put(self, name: str, content: str) -> str:
        """Write a page of HTML, or replace the page of the same name; return its address."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the daily report."""

    warehouse: Warehouse
    reports: ReportStore
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Transformed:
    """Firehose's records after the transformation, and the problems of the failed ones."""

    records: list[dict[str, str]]
    problems: list[str]


def to_rows(records: Sequence[Mapping[str, Any]]) -> Transformed:
    """Transform each record of a Firehose batch into a row; an invalid event fails alone."""
    transformed: list[dict[str, str]] = []
    problems: list[str] = []
    for record in records:
        data, result = record["data"], "Ok"
        try:
            data = _to_row(data, record["approximateArrivalTimestamp"] / 1000)
        except InvalidEvent as error:
            result = "ProcessingFailed"
            problems.append(str(error))
        transformed.append({"recordId": record["recordId"], "result": result, "data": data})
    return Transformed(transformed, problems)


def daily_report(day: date, ports: Ports) -> str:
    """Write the report of a day, or replace it; return its address."""
    last, since = day.isoformat(), _first_day(day, ports.warehouse).isoformat()
    answers = [
        ports.warehouse.rows(sql, (since, last, last))
        for sql in (report.FACTS, report.TOP_SKUS, report.HIGH_VALUE)
    ]
    page = report.render(report.Day(day, *answers))
    return ports.reports.put(report_name(day), page)


def _first_day(day: date, warehouse: Warehouse) -> date:
    """Return the first day whose files may have an earlier arrival of a day's events."""
    before = day - timedelta(days=1)
    window = (before.isoformat(), day.isoformat())
    [row] = warehouse.rows(report.FIRST_REPLAYED, window)
    if row["first_day"] is None:
        return before
    return min(before, date.fromisoformat(row["first_day"]) - timedelta(days=1))


def report_name(day: date) -> str:
    """Return the name of a day's report in its store."""
    return f"dt={day.isoformat()}/report.html"


def day_of(event: Mapping[str, Any], now: float) -> date:
    """Return the day to report: the event's ``date``, else the day before its ``time`` or now.

    Raises
    ------
    InvalidInput
        The event's ``date`` or ``time`` is malformed.
    """
    field = "date" if "date" in event else "time"
    value = event.get(field)
    try:
        if field == "date":
            return date.fromisoformat(str(value))
        moment = datetime.fromisoformat(value) if value else datetime.fromtimestamp(now, UTC)
    except (TypeError, ValueError):
        raise InvalidInput(
            field, f"{value!r} cannot be read; send one such as 2026-01-31"
        ) from None
    return moment.astimezone(UTC).date() - timedelta(days=1)


def _to_row(data: str, arrived_at: float) -> str:
    try:
        envelope = json.loads(base64.b64decode(data))
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("record", f"is not JSON: {error}") from None
    if not isinstance(envelope, dict):
        raise InvalidEvent("record", "is not a JSON object")
    row = json.dumps(flatten(envelope, arrived_at), separators=(",", ":"))
    return base64.b64encode(row.encode() + b"\n").decode()
