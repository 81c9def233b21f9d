"""The first page: needs, the flow of orders, the backlog, and three ways to begin."""

from collections.abc import Mapping
from typing import Any

from infra.console.examples import SCENARIOS, entry_of
from infra.console.page import BadFilter, Page, Redirect, View, Visit, link, order_path
from infra.views.health import Health, Need, Workers
from infra.views.local_health import health_in
from infra.views.overview import RANGES, Overview, read_overview
from storage.sqlite.database import Database

_OF_AN_ORDER = ("unpaid refunds", "past their lease", "past their wait", "approvals")
_BAD = ("dead letters", "unpaid refunds", "failed items", "disk", "server", "alarm")
"""Kinds of needs that do not mend themselves."""


_READY = Workers("", ready=True, problem=None, alive=None, wanted=None, replaced=None)
"""The state of a server that does not tell its own."""


def _overview(visit: Visit, database: Database) -> View:
    source = visit.source
    found = read_overview(database, visit.now, RANGES[range_of(visit)])
    health = health_in(source.directory, database, visit.now, source.workers() or _READY)
    names = {"scenarios": SCENARIOS, "directory": source.directory.root}
    return view_of(visit, found, health, names)


def range_of(visit: Visit) -> str:
    """Return the name of the time that the flow of orders is of, or raise `BadFilter`."""
    chosen = visit.filter("range") or "1h"
    if chosen not in RANGES:
        raise BadFilter(f"range {chosen[:20]!r} is none of {', '.join(RANGES)}")
    return chosen


def view_of(visit: Visit, found: Overview, health: Health, more: Mapping[str, Any]) -> View:
    """Return the first page; ``more`` are names of its template."""
    names = {
        "overview": found,
        "health": health,
        "range": range_of(visit),
        "ranges": list(RANGES),
        "addresses": [_address_of(need) for need in health.needs],
        "bad": _BAD,
        **more,
    }
    return View("overview/overview.html", "Overview", names)


def _address_of(need: Need) -> str:
    """Return the page of a need; an empty text if there is none."""
    if need.kind == "dead letters":
        return link("/dead-letters")
    if need.kind == "approvals" and need.count > 1:
        return link("/orders", status="AWAITING_APPROVAL")
    if need.kind in _OF_AN_ORDER and need.subject:
        return link(order_path(need.subject))
    return link("/activity") if need.kind == "failed items" else ""


async def _send_example(visit: Visit, form: Mapping[str, str]) -> Redirect:
    """Send an example order to the bus, and follow it on its page."""
    name = form.get("example", "")
    if name not in {scenario.name for scenario in SCENARIOS}:
        names = ", ".join(scenario.name for scenario in SCENARIOS)
        raise BadFilter(f"example {name[:40]!r} is none of {names}")
    order_id, entry = entry_of(name, visit.source.stack.bus, visit.now)
    answer = await visit.source.operate("AWSEvents.PutEvents", {"Entries": [entry]})
    refused = answer["Entries"][0].get("ErrorMessage")
    if refused:
        return Redirect(link("/"), f"The example was refused: {refused}", "bad")
    return Redirect(link(f"/orders/{order_id}"), f"Sent {order_id}: follow it here")


PAGE = Page(
    name="overview",
    title="Overview",
    gets={"/": _overview},
    posts={"/examples": _send_example},
    key="h",
    icon="overview",
)
