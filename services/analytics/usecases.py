"""Make rows of events for the sink, and the daily report of what they say."""

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
    """Where the rows are; its view ``order_events`` has each event once."""

    def rows(self, sql: str, parameters: Sequence[str]) -> list[dict[str, Any]]:
        """Return a query's rows by column name, or raise `WarehouseError`."""


class ReportStore(Protocol):
    """Where reports are kept."""

    def put(self, name: str, content: str) -> str:
        """Keep a page of HTML under a name, in place of an older one; return where it is."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the daily report needs."""

    warehouse: Warehouse
    shelf: ReportStore
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Transformed:
    """Firehose's records after the transformation, and what was wrong with those that failed."""

    records: list[dict[str, str]]
    problems: list[str]


def to_rows(records: Sequence[Mapping[str, Any]]) -> Transformed:
    """Make a row of each record of a Firehose batch; what is no valid event fails alone."""
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
    """Render the report of a day and return where it is; again, it takes the older one's place."""
    answers = [
        ports.warehouse.rows(sql, (day.isoformat(),))
        for sql in (report.FACTS, report.TOP_SKUS, report.HIGH_VALUE)
    ]
    page = report.render(report.Day(day, *answers))
    return ports.shelf.put(report_name(day), page)


def report_name(day: date) -> str:
    """Return the name of a day's report on its shelf."""
    return f"dt={day.isoformat()}/report.html"


def day_of(event: Mapping[str, Any], now: float) -> date:
    """Return the day to report: ``date`` where it is given, else the one before ``time`` or now.

    Raises
    ------
    InvalidInput
        What is given as ``date`` or ``time`` cannot be read.
    """
    field = "date" if "date" in event else "time"
    given = event.get(field)
    try:
        if field == "date":
            return date.fromisoformat(str(given))
        moment = datetime.fromisoformat(given) if given else datetime.fromtimestamp(now, UTC)
    except (TypeError, ValueError):
        raise InvalidInput(
            field, f"{given!r} cannot be read; send one such as 2026-01-31"
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
