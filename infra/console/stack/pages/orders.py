"""The orders of a stack: open ones by the index of due items, and those of one customer.

The table has no index by time, so a list of all orders would scan it: a query reads the files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from infra.console.csv_file import csv_file
from infra.console.page import (
    Absent,
    Download,
    Feature,
    Redirect,
    View,
    Visit,
    link,
    order_path,
)
from infra.console.pages import orders as shared
from infra.console.stack.missing import MISSING
from infra.console.stack.source import MAX_OPEN, StackSource
from infra.views.order_facts import page_of, summary_of
from infra.views.order_filter import InvalidCursor
from infra.views.order_list import ListFilter, SearchedPage
from infra.views.order_search import Hit
from infra.views.order_story import OrderSummary
from kernel import json_text
from kernel.order_record import OrderRecord
from kernel.order_status import ENDED, PAUSED, Status
from lambda_support.athena import quoted

SEARCHED = 200
"""Orders of a customer that one page reads."""

HITS = 20
DAY = 86_400.0

PRESETS = {"": "Open", "waiting": "Waiting"}


def _list(visit: Visit, source: StackSource) -> View:
    wanted = shared.filter_of(visit)
    found = _found(wanted, source)
    kept = shared.kept_filters(visit)
    records = _records(wanted, source)
    names = {
        "found": found,
        "presets": PRESETS,
        "statuses": [str(status) for status in Status],
        "reasons": sorted({*_reasons(records), *filter(None, [wanted.reason])}),
        "kept": kept,
        "after": wanted.after,
        "next": link("/orders", **kept, after=found.next) if found.next else "",
        "first": link("/orders", **kept),
        "files": {kind: link(f"/orders.{kind}", **kept) for kind in ("csv", "ndjson")},
        "command": shared.command_of(wanted),
        "note": source.missing[Feature.LIST],
        "note_link": link("/queries/sql", q=_sql(wanted)),
    }
    return View("orders/list.html", "Orders", names)


def _found(wanted: ListFilter, source: StackSource) -> SearchedPage:
    """Return the orders of a filter; of many of a customer, those from its cursor on."""
    try:
        place = wanted.place()
    except InvalidCursor:
        raise shared.bad_cursor() from None
    if wanted.customer is None:
        page = page_of(_sorted(wanted, source.open_orders()), wanted)
        complete = len(source.open_orders()) < MAX_OPEN
        return SearchedPage(page.orders, page.next, searched_all=complete)
    records = source.of_customer(wanted.customer, SEARCHED, place[1] if place else None)
    page = page_of(_sorted(wanted, records), wanted)
    if page.next is None and len(records) == SEARCHED:
        return SearchedPage(page.orders, wanted.cursor_of(records[-1]), searched_all=False)
    return SearchedPage(page.orders, page.next)


def _records(wanted: ListFilter, source: StackSource) -> Sequence[OrderRecord]:
    if wanted.customer is None:
        return source.open_orders()
    return source.of_customer(wanted.customer, SEARCHED, None)


def _sorted(wanted: ListFilter, records: Sequence[OrderRecord]) -> list[OrderRecord]:
    matching = [record for record in records if wanted.matches(record) and _is_of(wanted, record)]
    return sorted(matching, key=wanted.key, reverse=True)


def _is_of(wanted: ListFilter, record: OrderRecord) -> bool:
    """Return whether an order is in the preset of a filter."""
    match wanted.preset:
        case "waiting":
            return record.status in PAUSED
        case "in-flight":
            return record.status not in ENDED
        case "failed-today":
            return record.status == Status.FAILED and record.updated_at >= wanted.now - DAY
        case "high-value":
            raise Absent(MISSING[Feature.LIST])
        case _:
            return True


def _reasons(records: Sequence[OrderRecord]) -> set[str]:
    return {reason for record in records if (reason := summary_of(record).reason)}


def _sql(wanted: ListFilter) -> str:
    """Return a query of the files that finds the orders of a filter."""
    conditions = [f"status = {quoted(status)}" for status in sorted(wanted.statuses)]
    if wanted.customer:
        conditions.append(f"customer_id = {quoted(wanted.customer)}")
    where = f" where {' and '.join(conditions)}" if conditions else ""
    return f"select * from orders{where} limit 100"


def _all(visit: Visit, source: StackSource) -> list[dict[str, Any]]:
    """Return the orders of a filter that were read, as `orders list --json` prints them."""
    wanted = shared.filter_of(visit)
    return [asdict(summary_of(each)) for each in _sorted(wanted, _records(wanted, source))]


def _csv(visit: Visit, source: StackSource) -> Download:
    columns = [field.name for field in fields(OrderSummary)]
    body = csv_file(columns, (row.values() for row in _all(visit, source)))
    return _saved(visit, source, Download("orders.csv", "text/csv; charset=utf-8", body))


def _ndjson(visit: Visit, source: StackSource) -> Download:
    lines = b"".join(json_text.write(row) + b"\n" for row in _all(visit, source))
    return _saved(visit, source, Download("orders.ndjson", "application/x-ndjson", lines))


def _saved(visit: Visit, source: StackSource, file: Download) -> Download:
    command = shared.command_of(shared.filter_of(visit))
    return source.limits.saved(file, f"{command} --json{source.options}")


def _search(visit: Visit, source: StackSource) -> View | Redirect:
    """Find an order by its id, or the orders of a customer."""
    text = visit.filter("q")[:200]
    hits = _hits(text, source) if text else []
    if len(hits) == 1:
        return Redirect(link(order_path(hits[0].order_id or text)))
    names: Mapping[str, Any] = {
        "text": text,
        "hits": hits,
        "note": source.missing[Feature.SEARCH],
    }
    return View("orders/search.html", "Search", names)


def _hits(text: str, source: StackSource) -> list[Hit]:
    from orders.dynamodb import DynamoOrders

    record = DynamoOrders(source.deployed.table()).find(text)
    if record is not None:
        return [Hit(text, str(record.status), "order id")]
    found = source.of_customer(text, HITS, None)
    return [Hit(each.order_id, str(each.status), "customer") for each in found]


PAGE = replace(
    shared.PAGE,
    gets={
        "/orders": _list,
        "/orders.csv": _csv,
        "/orders.ndjson": _ndjson,
        "/search": _search,
    },
)
