"""Contracts: the events with their fields and versions, the check of an event, and sending one."""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from infra.console.page import BadFilter, Download, Page, Redirect, View, Visit, link, order_path
from infra.contracts.examples import Example
from infra.errors import NotFound
from infra.local.template.stack import Rule
from infra.views.contract_catalogue import (
    CatalogueEntry,
    RecentEvents,
    Validation,
    catalogue,
    consumers_of,
    recent_events,
    schema_text,
    validate,
    validate_all,
)
from infra.views.exact_json import Number, read_exact, write_exact
from infra.views.rule_verdicts import matching_rules
from kernel.clock import timestamp
from kernel.events import REQUESTS
from storage.sqlite.database import Database

MAX_PROBLEMS = 20
MAX_EVENTS = 200
"""Events of one check; `orders events validate` takes files of any size."""


def listed(_visit: Visit, database: Database) -> View:
    """Show every contract with the number of its recent events."""
    return list_of(recent_events(database))


def list_of(recent: RecentEvents) -> View:
    """Return the page of every contract; ``recent`` are the recent events of the bus."""
    names = {"entries": list(catalogue().values()), "recent": recent}
    return View("contracts/list.html", "Contracts", names)


def one(visit: Visit, database: Database) -> View:
    """Show one contract."""
    return one_of(visit, recent_events(database))


def one_of(visit: Visit, recent: RecentEvents) -> View:
    """Return the page of one contract; ``recent`` are the recent events of the bus."""
    entry = entry_of(visit)
    names = {
        "entry": entry,
        "example": example_of(visit, entry),
        "consumers": consumers_of(entry, visit.source.stack.rules),
        "recent": recent,
    }
    return View("contracts/one.html", entry.name, names)


def schema(visit: Visit, _: Database) -> Download:
    """Return the JSON Schema of an event."""
    entry = entry_of(visit)
    return Download(
        f"{entry.slug}.schema.json", "application/schema+json", schema_text(entry).encode()
    )


def checker(_visit: Visit, _database: Database) -> View:
    """Show the form of the check."""
    return checked_view("", [])


async def check(visit: Visit, form: Mapping[str, str]) -> View:
    """Check pasted events: each problem with its line and field, and the rules that would match."""
    text = form.get("events", "")
    found = await asyncio.to_thread(validate_all, text, MAX_EVENTS)
    results = await asyncio.to_thread(_results, visit, found.events)
    return checked_view(text, results, found.omitted)


@dataclass(frozen=True, slots=True)
class Result:
    """The check of one event."""

    line: int
    type: str
    order_id: str
    known: str | None
    problems: tuple[tuple[str, str], ...]
    omitted: int
    rules: tuple[str, ...]


def _results(visit: Visit, events: list[tuple[int, Validation]]) -> list[Result]:
    statuses: dict[str, str] = {}
    with closing(visit.source.directory.reader()) as database:
        for _, checked in events:
            order_id = order_id_of(checked.content or {})
            row = order_id and database.row(
                "select status from orders where order_id = ?", order_id
            )
            statuses |= {order_id: str(row["status"])} if row else {}
    return results_of(visit.source.stack.rules, events, statuses)


def results_of(
    rules: Sequence[Rule], events: Sequence[tuple[int, Validation]], statuses: Mapping[str, str]
) -> list[Result]:
    """Return the checks of events; ``statuses`` are those of the known orders."""
    results = []
    for line, checked in events:
        content = checked.content or {}
        order_id = order_id_of(content)
        results.append(
            Result(
                line,
                str(content.get("detail-type", "")),
                order_id,
                statuses.get(order_id),
                tuple((each.field, each.problem) for each in checked.problems[:MAX_PROBLEMS]),
                max(0, len(checked.problems) - MAX_PROBLEMS),
                matching_rules(list(rules), content) if checked.content else (),
            )
        )
    return results


def order_id_of(content: Mapping[str, Any]) -> str:
    """Return the order of an event, or an empty text."""
    detail = content.get("detail")
    order_id = detail.get("order_id") if isinstance(detail, dict) else None
    return order_id if isinstance(order_id, str) else ""


def checked_view(text: str, results: list[Result], omitted: int = 0) -> View:
    """Return the page of a check with its results."""
    names = {"text": text, "results": results, "omitted": omitted, "most": MAX_EVENTS}
    return View("contracts/check.html", "Check events", names)


def composer(visit: Visit, database: Database) -> View:
    """Show an example with a fresh order, ready to be sent."""
    return composer_with(visit, lambda skus: _free(database, skus))


def composer_with(visit: Visit, free: Callable[[Iterable[str]], Mapping[str, int]]) -> View:
    """Show an example with a fresh order; ``free`` returns the free units of known SKUs."""
    entry = entry_of(visit)
    _require_request(entry)
    example = example_of(visit, entry)
    order_id = visit.filter("order") or _fresh_id(entry, example)
    text = write_exact(_plain(_fresh(example, order_id, visit.now)))
    ordered = _ordered_units(example)
    known = free(ordered)
    stock = [(sku, units, known.get(sku, 0)) for sku, units in ordered.items()]
    return _composer_view(entry, example.name, text, stock, None)


async def send(visit: Visit, form: Mapping[str, str]) -> View | Redirect:
    """Put the event on the bus, and go to its order."""
    entry = entry_of(visit)
    _require_request(entry)
    text = form.get("event", "")
    checked = validate(text)
    name = form.get("example", "")
    problems = [(each.field, each.problem) for each in checked.problems[:MAX_PROBLEMS]]
    content = checked.content or {}
    if not problems and content.get("detail-type") not in REQUESTS:
        allowed = ", ".join(sorted(REQUESTS))
        problems = [("detail-type", f"is a fact that the platform publishes; send {allowed}")]
    if problems:
        return _composer_view(entry, name, text, [], problems)
    exact = read_exact(text)
    detail = exact.get("detail", exact.get("Detail"))
    request = {
        "EventBusName": visit.source.stack.bus,
        "Source": content["source"],
        "DetailType": content["detail-type"],
        "Detail": detail if isinstance(detail, str) else write_exact(detail),
    }
    answer = await visit.source.operate("AWSEvents.PutEvents", {"Entries": [request]})
    [result] = answer["Entries"]
    if "ErrorCode" in result:
        problem = [(result["ErrorCode"], result.get("ErrorMessage", ""))]
        return _composer_view(entry, name, text, [], problem)
    order_id = order_id_of(content)
    notice = f"The event is accepted as {result['EventId']}; this page follows its order."
    return Redirect(link(order_path(order_id)), notice)


def example_of(visit: Visit, entry: CatalogueEntry) -> Example:
    """Return the example that the query names, or the first."""
    chosen = visit.filter("example")
    return next((each for each in entry.examples if each.name == chosen), entry.examples[0])


def entry_of(visit: Visit) -> CatalogueEntry:
    """Return the contract of a page, or raise `NotFound`."""
    slug = visit.path["slug"]
    entry = catalogue().get(slug)
    if entry is None:
        raise NotFound(f"no event is named {slug[:80]!r}; see the list of contracts")
    return entry


def _require_request(entry: CatalogueEntry) -> None:
    if not entry.is_request:
        raise BadFilter(
            f"{entry.name} is a fact that the platform publishes; only"
            f" {', '.join(sorted(REQUESTS))} are sent"
        )


def _fresh_id(entry: CatalogueEntry, example: Example) -> str:
    """Return a new order id, or the example's for an event about an earlier order."""
    if entry.slug != "order-created":
        return str(example.envelope["detail"]["order_id"])
    return f"TRY-{secrets.token_hex(3).upper()}"


def _fresh(example: Example, order_id: str, now: float) -> dict[str, Any]:
    """Return an example for another order, now; without metadata its content identifies it."""
    envelope = example.envelope
    detail = {**envelope["detail"], "order_id": order_id, "timestamp": timestamp(now)}
    detail.pop("metadata", None)
    return {"source": envelope["source"], "detail-type": envelope["detail-type"], "detail": detail}


def _plain(value: Any) -> Any:
    """Return a value with its numbers as text of JSON."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Number(repr(value))
    return value


def _ordered_units(example: Example) -> dict[str, int]:
    """Return the units of each SKU of an example."""
    ordered: dict[str, int] = {}
    for each in example.envelope["detail"].get("items") or []:
        ordered[each["sku"]] = ordered.get(each["sku"], 0) + each["quantity"]
    return ordered


def _free(database: Database, skus: Iterable[str]) -> dict[str, int]:
    """Return the free units of the known SKUs among these."""
    query = "select on_hand - reserved as free from stock where sku = ?"
    rows = ((sku, database.row(query, sku)) for sku in skus)
    return {sku: row["free"] for sku, row in rows if row}


def _composer_view(
    entry: CatalogueEntry,
    example: str,
    text: str,
    stock: list[tuple[str, int, int]],
    problems: list[tuple[str, str]] | None,
) -> View:
    names = {
        "entry": entry,
        "example": example,
        "text": text,
        "stock": stock,
        "problems": problems or [],
    }
    return View("contracts/send.html", f"Send {entry.name}", names, 422 if problems else 200)


PAGE = Page(
    name="contracts",
    title="Contracts",
    key="c",
    icon="contracts",
    gets={
        "/contracts": listed,
        "/contracts/check": checker,
        "/contracts/{slug}": one,
        "/contracts/{slug}/schema.json": schema,
        "/contracts/{slug}/send": composer,
    },
    posts={"/contracts/check": check, "/contracts/{slug}/send": send},
)
