"""Orders by filters, page by page: the newest first, with a cursor, for a console.

A page reads an index and at most `SEARCHED` rows; beyond these, its cursor continues the search.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.views.health import PAUSED_SQL
from infra.views.local_story import record_of
from kernel.clock import timestamp
from kernel.money import from_minor
from kernel.order_record import OrderRecord
from kernel.order_status import ENDED, Status
from storage.sqlite.database import Database
from storage.sqlite.records import RECORD

SEARCHED = 10_000
"""Maximum orders that one page searches."""

PRESETS = ("in-flight", "waiting", "failed-today", "high-value")

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """The conditions of a list; empty texts and None are none. Times are in epoch seconds."""

    preset: str = ""
    status: str = ""
    reason: str = ""
    customer: str = ""
    since: float | None = None
    until: float | None = None

    @property
    def selects(self) -> bool:
        """Whether a page may have to search many orders for its rows."""
        return bool(self.status or self.reason or self.preset)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last order of a page."""

    created_at: float
    order_id: str

    def __str__(self) -> str:
        return f"{self.created_at!r}~{self.order_id}"

    @classmethod
    def of(cls, text: str) -> "Cursor | None":
        """Return the cursor in a text, or None."""
        at, separator, order_id = text.partition("~")
        try:
            return cls(float(at), order_id) if separator else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order of a list; times are in epoch seconds."""

    order_id: str
    status: str
    total: float
    currency: str
    customer_id: str
    reason: str | None
    attempts: int
    placed_at: str
    created_at: float
    updated_at: float
    resume_at: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the order for a file."""
        return {
            "order_id": self.order_id,
            "status": self.status,
            "total": self.total,
            "currency": self.currency,
            "customer_id": self.customer_id,
            "reason": self.reason,
            "waits": self.attempts,
            "placed_at": self.placed_at,
            "created_at": timestamp(self.created_at),
            "updated_at": timestamp(self.updated_at),
        }


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A page of orders; ``next`` continues it.

    ``searched_all`` is False if the search ended at `SEARCHED` orders.
    """

    rows: Sequence[OrderRow]
    next: Cursor | None
    searched_all: bool = True


def order_page(
    database: Database, wanted: OrderFilter, after: Cursor | None, limit: int, now: float
) -> OrderPage:
    """Return the orders after a cursor, the newest first; ``now`` is in epoch seconds."""
    if wanted.preset == "high-value":
        return _high_value(database, after, limit)
    in_flight = wanted.preset in ("in-flight", "waiting") or _never_ended(wanted.status)
    tests = {**_bounds(wanted, after, now, in_flight=in_flight), **_conditions(wanted, now)}
    floor = None if in_flight else _end_of_search(database, wanted, after, now)
    if floor is not None and wanted.selects:
        tests["(created_at, order_id) >= (?, ?)"] = (floor.created_at, floor.order_id)
    rows = database.rows(
        f"select {RECORD} from orders where {' and '.join(tests)}"
        f" order by {'+' if in_flight else ''}created_at desc, order_id desc limit ?",
        *(value for values in tests.values() for value in values),
        limit + 1,
    )
    found = [row_of(record_of(row)) for row in rows]
    if len(found) > limit:
        return OrderPage(found[:limit], _cursor_of(found[limit - 1]))
    return OrderPage(found, floor, floor is None)


def row_of(record: OrderRecord) -> OrderRow:
    """Return a record as a row of a list."""
    waits = str(record.status) == Status.WAITING
    return OrderRow(
        order_id=record.order_id,
        status=str(record.status),
        total=from_minor(record.total),
        currency=record.currency,
        customer_id=record.customer_id,
        reason=record.failure or (record.waiting_for if waits else None),
        attempts=record.attempts,
        placed_at=record.placed_at,
        created_at=record.created_at,
        updated_at=record.updated_at,
        resume_at=record.resume_at if waits else None,
    )


def reasons(database: Database) -> list[str]:
    """Return the reasons of the newest failed orders, for a choice."""
    rows = database.rows(
        "select distinct failure from (select failure from orders order by created_at desc"
        " limit 1000) where failure is not null order by failure"
    )
    return [row["failure"] for row in rows]


def _never_ended(status: str) -> bool:
    return bool(status) and status not in ENDED


def _conditions(wanted: OrderFilter, now: float) -> dict[str, tuple[object, ...]]:
    """Return the conditions that no index has, with their values."""
    tests: dict[str, tuple[object, ...]] = {}
    if wanted.preset == "waiting":
        tests[f"status in ({PAUSED_SQL})"] = ()
    if wanted.preset == "failed-today":
        tests["status = ?"] = (str(Status.FAILED),)
        tests["updated_at >= ?"] = (now - _DAY,)
    if wanted.status:
        tests["status = ?"] = (wanted.status,)
    if wanted.reason:
        tests["coalesce(failure, waiting_for) = ?"] = (wanted.reason,)
    return tests


def _bounds(
    wanted: OrderFilter, after: Cursor | None, now: float, *, in_flight: bool
) -> dict[str, tuple[object, ...]]:
    """Return the conditions of the index that is read, with their values.

    A plus before a column keeps SQLite from its index: few orders are in flight.
    """
    plus = "+" if in_flight else ""
    tests: dict[str, tuple[object, ...]] = {}
    if in_flight:
        tests["in_flight = 1"] = ()
    if wanted.customer:
        tests[f"{plus}customer_id = ?"] = (wanted.customer,)
    if wanted.since is not None:
        tests[f"{plus}created_at >= ?"] = (wanted.since,)
    if after is None:
        tests[f"{plus}created_at < ?"] = (now + _DAY if wanted.until is None else wanted.until,)
    else:
        tests[f"{plus}created_at <= ?"] = (after.created_at,)
        tests["(created_at, order_id) < (?, ?)"] = (after.created_at, after.order_id)
    return tests


def _end_of_search(
    database: Database, wanted: OrderFilter, after: Cursor | None, now: float
) -> Cursor | None:
    """Return the last order that a page searches, if there are more; the index alone is read."""
    tests = _bounds(wanted, after, now, in_flight=False)
    row = database.row(
        f"select created_at, order_id from orders where {' and '.join(tests)}"
        f" order by created_at desc, order_id desc limit 1 offset {SEARCHED - 1}",
        *(value for values in tests.values() for value in values),
    )
    return None if row is None else Cursor(row["created_at"], row["order_id"])


def _high_value(database: Database, after: Cursor | None, limit: int) -> OrderPage:
    """Return the orders with a review, the newest first."""
    at = after or Cursor(float("inf"), "")
    columns = ", ".join(f"o.{name.strip()}" for name in RECORD.split(","))
    rows = database.rows(
        f"select {columns} from reviews r join orders o on o.order_id = r.order_id"
        " where (o.created_at, o.order_id) < (?, ?)"
        " order by o.created_at desc, o.order_id desc limit ?",
        at.created_at,
        at.order_id,
        limit + 1,
    )
    found = [row_of(record_of(row)) for row in rows]
    more = len(found) > limit
    return OrderPage(found[:limit], _cursor_of(found[limit - 1]) if more else None)


def _cursor_of(row: OrderRow) -> Cursor:
    return Cursor(row.created_at, row.order_id)
