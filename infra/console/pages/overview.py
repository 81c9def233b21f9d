"""The first page: what needs a person, the flow of orders, the backlog, and three ways to begin."""

from collections.abc import Mapping

from infra.console.examples import SCENARIOS, entry_of
from infra.console.page import BadFilter, Page, Redirect, View, Visit, link
from infra.views.overview import RANGES, Need, read_overview
from storage.sqlite.database import Database


def _overview(visit: Visit, database: Database) -> View:
    chosen = visit.filter("range") or "1h"
    if chosen not in RANGES:
        raise BadFilter(f"range {chosen[:20]!r} is none of {', '.join(RANGES)}")
    found = read_overview(database, visit.source.stack, visit.now, RANGES[chosen])
    names = {
        "overview": found,
        "range": chosen,
        "ranges": list(RANGES),
        "addresses": [_address_of(need) for need in found.needs],
        "scenarios": SCENARIOS,
        "directory": visit.source.directory.root,
    }
    return View("overview/overview.html", "Overview", names)


def _address_of(need: Need) -> str:
    """Return the page of what needs a person."""
    match need.kind:
        case "dead-letters":
            return link("/dead-letters", queue=need.subject)
        case "stock":
            return link("/orders", status="WAITING")
        case "overdue":
            return link("/orders", preset="in-flight")
        case "quarantined":
            return link(f"/orders/{need.subject}")
        case _:
            return link("/activity")


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
    key="o",
    icon="overview",
)
