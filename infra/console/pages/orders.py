"""The list of orders: presets, filters, a cursor, and the same orders as a file."""

from dataclasses import asdict, fields, replace
from datetime import UTC, date, datetime, timedelta
from shlex import quote as shell_quoted
from typing import Any

from infra.console.csv_file import csv_file
from infra.console.page import BadFilter, Download, Page, Redirect, View, Visit, link, order_path
from infra.console.pages import saved_views
from infra.views.order_filter import InvalidCursor
from infra.views.order_list import PRESETS, ListFilter, order_page, reasons
from infra.views.order_search import find_orders
from infra.views.order_story import OrderSummary
from kernel import json_text
from kernel.clock import timestamp
from kernel.order_status import ENDED, PAUSED, Status
from storage.sqlite.database import Database

ROWS = 50
MAX_FILE = 10_000
"""Maximum orders of a file; its last line names the rest."""

_TITLES = {
    "": "All",
    "in-flight": "In flight",
    "waiting": "Waiting",
    "needs-person": "Needs a person",
    "failed-today": "Failed in 24 h",
    "high-value": "High value",
}


def _list(visit: Visit, database: Database) -> View:
    wanted = filter_of(visit)
    try:
        found = order_page(database, wanted)
    except InvalidCursor:
        raise bad_cursor() from None
    kept = kept_filters(visit)
    names = {
        "found": found,
        "presets": _TITLES,
        "statuses": [str(status) for status in Status],
        "reasons": sorted({*reasons(database), *filter(None, [wanted.reason])}),
        "kept": kept,
        "after": wanted.after,
        "next": link("/orders", **kept, after=found.next) if found.next else "",
        "first": link("/orders", **kept),
        "files": {kind: link(f"/orders.{kind}", **kept) for kind in ("csv", "ndjson")},
        "command": command_of(wanted),
        **saved_views.names_of(visit, database, "orders"),
    }
    return View("orders/list.html", "Orders", names)


def _csv(visit: Visit, database: Database) -> Download:
    rows = _all_of(visit, database)
    columns = [field.name for field in fields(OrderSummary)]
    body = csv_file(columns, (row.values() for row in rows))
    return Download("orders.csv", "text/csv; charset=utf-8", body)


def _ndjson(visit: Visit, database: Database) -> Download:
    lines = b"".join(json_text.write(row) + b"\n" for row in _all_of(visit, database))
    return Download("orders.ndjson", "application/x-ndjson", lines)


def _all_of(visit: Visit, database: Database) -> list[dict[str, Any]]:
    """Return the orders of a filter as `orders list --json` prints them, up to `MAX_FILE`."""
    wanted = replace(filter_of(visit), after=None, limit=1_000)
    rows: list[dict[str, Any]] = []
    while len(rows) < MAX_FILE:
        page = order_page(database, wanted)
        rows += map(asdict, page.orders)
        if page.next is None:
            break
        wanted = replace(wanted, after=page.next)
    return rows[:MAX_FILE]


def _search(visit: Visit, database: Database) -> View | Redirect:
    """Find an order by any of its ids; a single one is opened."""
    text = visit.filter("q")[:200]
    hits = find_orders(database, text) if text else []
    if len(hits) == 1:
        return Redirect(link(order_path(hits[0].order_id or text)))
    return View("orders/search.html", "Search", {"text": text, "hits": hits})


def bad_cursor() -> BadFilter:
    """Return the refusal of a cursor that no list has given."""
    return BadFilter("after is no cursor of this list; go to its first page")


def filter_of(visit: Visit) -> ListFilter:
    """Return the filter of a query, or raise `BadFilter`."""
    preset, status = visit.filter("preset"), visit.filter("status")
    if preset and preset not in PRESETS:
        raise BadFilter(f"preset {preset[:40]!r} is none of {', '.join(PRESETS)}")
    if status and status not in set(Status):
        raise BadFilter(f"status {status[:40]!r} is none of {', '.join(Status)}")
    return ListFilter(
        preset=preset,
        statuses=frozenset([status] if status else []),
        reason=visit.filter("reason")[:200] or None,
        customer=visit.filter("customer")[:200] or None,
        since=_day(visit, "from", 0),
        until=_day(visit, "to", 1),
        after=visit.filter("after") or None,
        limit=ROWS,
        now=visit.now,
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


def kept_filters(visit: Visit) -> dict[str, str]:
    """Return the filters of a query, without its cursor."""
    names = ("preset", "status", "reason", "customer", "from", "to")
    return {name: visit.filter(name) for name in names}


def command_of(wanted: ListFilter) -> str:
    """Return the command that lists about the same."""
    statuses = wanted.statuses or _STATUSES_OF.get(wanted.preset, frozenset())
    options = [("--status", status.lower()) for status in sorted(statuses)]
    options += [(f"--{name}", getattr(wanted, name) or "") for name in ("reason", "customer")]
    bounds = (("--since", wanted.since), ("--until", wanted.until))
    options += [(name, timestamp(at)[:10]) for name, at in bounds if at is not None]
    shown = [f"{name} {shell_quoted(value)}" for name, value in options if value]
    return " ".join(["orders list", *shown])


_STATUSES_OF = {
    "in-flight": frozenset(map(str, Status)) - frozenset(map(str, ENDED)),
    "waiting": frozenset(map(str, PAUSED)),
    "needs-person": frozenset([str(Status.AWAITING_APPROVAL)]),
    "failed-today": frozenset([str(Status.FAILED)]),
}
"""The statuses of a preset, for `orders list`."""


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
