"""The list of orders: presets, filters, a cursor, and the same orders as a file."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from infra.console.csv_file import csv_file
from infra.console.page import BadFilter, Download, Page, Redirect, View, Visit, link
from infra.views.order_list import PRESETS, Cursor, OrderFilter, order_page, reasons
from infra.views.order_search import find_orders
from kernel import json_text
from kernel.order_status import Status
from storage.sqlite.database import Database

ROWS = 50
MAX_FILE = 10_000
"""Maximum orders of a file; its last line names the rest."""

_TITLES = {
    "": "All",
    "in-flight": "In flight",
    "waiting": "Waiting",
    "failed-today": "Failed in 24 h",
    "high-value": "High value",
}


def _list(visit: Visit, database: Database) -> View:
    wanted, after = _filter_of(visit), visit.filter("after")
    found = order_page(database, wanted, _cursor_in(after), ROWS, visit.now)
    kept = _kept(visit)
    names = {
        "found": found,
        "wanted": wanted,
        "presets": _TITLES,
        "statuses": [str(status) for status in Status],
        "reasons": sorted({*reasons(database), *filter(None, [wanted.reason])}),
        "kept": kept,
        "after": after,
        "next": link("/orders", **kept, after=found.next) if found.next else "",
        "first": link("/orders", **kept),
        "files": {kind: link(f"/orders.{kind}", **kept) for kind in ("csv", "ndjson")},
        "command": _command(wanted),
    }
    return View("orders/list.html", "Orders", names)


def _csv(visit: Visit, database: Database) -> Download:
    rows = _all_of(visit, database)
    columns = list(rows[0]) if rows else ["order_id"]
    body = csv_file(columns, (row.values() for row in rows))
    return Download("orders.csv", "text/csv; charset=utf-8", body)


def _ndjson(visit: Visit, database: Database) -> Download:
    lines = b"".join(json_text.write(row) + b"\n" for row in _all_of(visit, database))
    return Download("orders.ndjson", "application/x-ndjson", lines)


def _all_of(visit: Visit, database: Database) -> list[dict[str, Any]]:
    """Return the orders of a filter, up to `MAX_FILE`."""
    wanted, after = _filter_of(visit), None
    rows: list[dict[str, Any]] = []
    while len(rows) < MAX_FILE:
        page = order_page(database, wanted, after, 1_000, visit.now)
        rows += [row.to_json() for row in page.rows]
        after = page.next
        if after is None:
            break
    return rows[:MAX_FILE]


def _search(visit: Visit, database: Database) -> View | Redirect:
    """Find an order by any of its ids; a single one is opened."""
    text = visit.filter("q")[:200]
    hits = find_orders(database, text) if text else []
    if len(hits) == 1:
        return Redirect(link(f"/orders/{quote(hits[0].order_id or text, safe='')}"))
    return View("orders/search.html", "Search", {"text": text, "hits": hits})


def _filter_of(visit: Visit) -> OrderFilter:
    preset, status = visit.filter("preset"), visit.filter("status")
    if preset and preset not in PRESETS:
        raise BadFilter(f"preset {preset[:40]!r} is none of {', '.join(PRESETS)}")
    if status and status not in set(Status):
        raise BadFilter(f"status {status[:40]!r} is none of {', '.join(Status)}")
    return OrderFilter(
        preset=preset,
        status=status,
        reason=visit.filter("reason")[:200],
        customer=visit.filter("customer")[:200],
        since=_day(visit, "from", 0),
        until=_day(visit, "to", 1),
    )


def _day(visit: Visit, name: str, later: int) -> float | None:
    """Return the begin of a day in UTC, in epoch seconds, some days ``later``."""
    text = visit.filter(name)
    if not text:
        return None
    try:
        day = date.fromisoformat(text) + timedelta(days=later)
        return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        raise BadFilter(f"{name} {text[:40]!r} is no date; write 2026-01-31") from None


def _cursor_in(text: str) -> Cursor | None:
    cursor = Cursor.of(text)
    if text and cursor is None:
        raise BadFilter("after is no cursor of this list; go to its first page")
    return cursor


def _kept(visit: Visit) -> dict[str, str]:
    names = ("preset", "status", "reason", "customer", "from", "to")
    return {name: visit.filter(name) for name in names}


def _command(wanted: OrderFilter) -> str:
    """Return the command that lists about the same."""
    parts = ["orders list"]
    status = wanted.status or {"waiting": "WAITING", "failed-today": "FAILED"}.get(wanted.preset)
    if status:
        parts.append(f"--status {status}")
    if wanted.customer:
        parts.append(f"--customer {wanted.customer}")
    return " ".join(parts)


PAGE = Page(
    name="orders",
    title="Orders",
    gets={
        "/orders": _list,
        "/orders.csv": _csv,
        "/orders.ndjson": _ndjson,
        "/search": _search,
    },
    key="o",
    icon="orders",
)
