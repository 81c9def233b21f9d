"""The first page of a stack: alarms and needs, the flow of orders, and the backlog."""

from pathlib import PurePosixPath

from infra.console.page import BadFilter, Page, View, Visit, link, order_path
from infra.console.stack.source import HEALTH_KEPT, MAX_OPEN, StackSource
from infra.views.health import Need
from infra.views.overview import RANGES, Overview

_OF_AN_ORDER = ("unpaid refunds", "past their lease", "past their wait", "approvals")
_BAD = ("dead letters", "unpaid refunds", "alarm")
"""Kinds of needs that do not mend themselves."""


def _overview(visit: Visit, source: StackSource) -> View:
    chosen = visit.filter("range") or "1h"
    if chosen not in RANGES:
        raise BadFilter(f"range {chosen[:20]!r} is none of {', '.join(RANGES)}")
    health = source.health()
    found = Overview(
        is_empty=False,
        minutes=RANGES[chosen],
        shortages=(),
        columns=source.ended(RANGES[chosen]),
    )
    number = len(source.open_orders())
    some = f" Only the first {MAX_OPEN:,} open orders were read." if number == MAX_OPEN else ""
    names = {
        "overview": found,
        "health": health,
        "range": chosen,
        "ranges": list(RANGES),
        "addresses": [_address_of(need) for need in health.needs],
        "bad": _BAD,
        "scenarios": (),
        "directory": PurePosixPath(source.name),
        "foot": f"Figures are CloudWatch's, read at {health.at[11:19]} UTC; they are read again"
        f" after {HEALTH_KEPT:.0f} s at the earliest.{some}",
    }
    return View("overview/overview.html", "Overview", names)


def _address_of(need: Need) -> str:
    """Return the page of a need; an empty text if there is none."""
    if need.kind == "dead letters":
        return link("/dead-letters")
    if need.kind in _OF_AN_ORDER and need.subject:
        return link(order_path(need.subject))
    return ""


PAGE = Page(name="overview", title="Overview", key="h", icon="overview", gets={"/": _overview})
