"""The first page of a stack: alarms and needs, the flow of orders, and the backlog."""

from dataclasses import replace
from pathlib import PurePosixPath

from infra.console.page import View, Visit
from infra.console.pages import overview as shared
from infra.console.stack.source import HEALTH_KEPT, MAX_OPEN, StackSource
from infra.views.overview import RANGES, Overview


def _overview(visit: Visit, source: StackSource) -> View:
    minutes = RANGES[shared.range_of(visit)]
    health = source.health()
    found = Overview(is_empty=False, minutes=minutes, shortages=(), columns=source.ended(minutes))
    number = len(source.open_orders())
    some = f" Only the first {MAX_OPEN:,} open orders were read." if number == MAX_OPEN else ""
    names = {
        "scenarios": (),
        "directory": PurePosixPath(source.name),
        "foot": f"Figures are CloudWatch's, read at {health.at[11:19]} UTC; they are read again"
        f" after {HEALTH_KEPT:.0f} s at the earliest.{some}",
    }
    return shared.view_of(visit, found, health, names)


PAGE = replace(shared.PAGE, gets={"/": _overview}, posts={})
