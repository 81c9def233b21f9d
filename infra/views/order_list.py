"""The console's list of orders: that of `orders list`, with presets and an end of each search.

A page reads an index and at most `SEARCHED` orders; its cursor continues the search beyond them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.views.health import PAUSED_SQL
from infra.views.local_story import record_of
from infra.views.order_facts import page_of
from infra.views.order_filter import Condition, OrderFilter, cursor
from infra.views.order_story import OrderSummary
from storage.sqlite.database import Database
from storage.sqlite.records import RECORD

SEARCHED = 10_000
"""Maximum orders that one page searches."""

_DAY = 86_400.0


PRESETS = {
    "in-flight": "in_flight = 1",
    "waiting": f"in_flight = 1 and status in ({PAUSED_SQL})",
    "needs-person": "in_flight = 1 and (status = 'AWAITING_APPROVAL'"
    " or order_id in (select order_id from quarantined_orders where held))",
    "failed-today": "status = 'FAILED' and updated_at >= ?",
    "high-value": "order_id in (select order_id from reviews)",
}
"""Conditions in SQL by the names of the presets; the parameter is the time a day ago."""

_OPEN = ("in-flight", "waiting", "needs-person")
"""Presets of which every order is in flight."""


@dataclass(frozen=True)  # with slots, `super` finds no class
class ListFilter(OrderFilter):
    """The conditions of a page: also a preset; ``now`` is in epoch seconds."""

    preset: str = ""
    now: float = 0.0

    def end_of_search(self, number: int) -> tuple[str, list[object]] | None:
        """Return the SQL of the last of a number of searched orders; None without an end."""
        return None if self._is_of_reviews else super().end_of_search(number)

    @property
    def _is_of_reviews(self) -> bool:
        """Whether the reviews are read, which are few, instead of the orders."""
        return self.preset == "high-value"

    @property
    def _only_open(self) -> bool:
        return self.preset in _OPEN or super()._only_open

    @property
    def _is_selective(self) -> bool:
        return self._is_of_reviews or super()._is_selective

    def _tested(self) -> Iterator[Condition]:
        yield from super()._tested()
        if self.preset:
            condition = PRESETS[self.preset]
            yield condition, [self.now - _DAY] * condition.count("?")


@dataclass(frozen=True, slots=True)
class SearchedPage:
    """A page of orders; ``next`` is the cursor that continues it.

    ``searched_all`` is False if the search ended at `SEARCHED` orders.
    """

    orders: Sequence[OrderSummary]
    next: str | None
    searched_all: bool = True


def order_page(database: Database, wanted: OrderFilter) -> SearchedPage:
    """Return the orders that match a filter, as many as its limit."""
    last = _end_of_search(database, wanted)
    query, values = wanted.query(last)
    rows = database.rows(f"select {RECORD} from orders{query}", *values)
    page = page_of([record_of(row) for row in rows], wanted)
    if page.next is not None or last is None:
        return SearchedPage(page.orders, page.next)
    return SearchedPage(page.orders, cursor(*last), searched_all=False)


def _end_of_search(database: Database, wanted: OrderFilter) -> tuple[float, str] | None:
    """Return the place of the last order that a page searches, if there are more."""
    end = wanted.end_of_search(SEARCHED)
    if end is None:
        return None
    query, values = end
    row = database.row(f"select {wanted.time}, order_id from orders{query}", *values)
    return None if row is None else (row[0], row[1])


def reasons(database: Database) -> list[str]:
    """Return the reasons of the newest failed orders, for a choice."""
    rows = database.rows(
        "select distinct failure from (select failure from orders order by created_at desc"
        " limit 1000) where failure is not null order by failure"
    )
    return [row["failure"] for row in rows]
