"""The flow of a data directory's orders at one moment: ended and waiting orders, and their causes.

`infra.views.health` has the needs.

Every query reads an index or at most `NEWEST` rows, so a page stays fast with 100,000 orders.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.local.template.stack import Stack
from storage.sqlite.database import Database

RANGES = {"15m": 15, "1h": 60, "24h": 1_440}
"""Minutes of the ranges that a person chooses."""

COLUMNS = 60
"""Columns of a chart of ended orders."""

NEWEST = 2_000
"""Maximum items of a kind that are counted one by one."""

_OUTCOMES = {
    "OrdersCompleted": "completed",
    "OrdersFailed": "failed",
    "OrdersCancelled": "cancelled",
}
"""Metrics of the orders' functions, by the outcome that they count."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """Orders that wait for a SKU; ``since`` is in epoch seconds."""

    sku: str
    count: int
    available: int
    since: float


@dataclass(frozen=True, slots=True)
class Column:
    """The orders that ended in a part of the range, which begins ``at`` (epoch seconds)."""

    at: float
    completed: int
    failed: int
    cancelled: int

    @property
    def total(self) -> int:
        """All ended orders."""
        return self.completed + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """The order that waits longest; ``waiting_for`` is the error before its wait."""

    order_id: str
    since: float
    waiting_for: str
    resume_at: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """Items that wait in one stage; ``oldest`` is in epoch seconds."""

    stage: str
    count: int
    oldest: float | None
    capped: bool = False


@dataclass(frozen=True, slots=True)
class Overview:
    """A data directory at one moment, and its orders of a range of minutes."""

    is_empty: bool
    minutes: int
    shortages: Sequence[Shortage]
    columns: Sequence[Column]
    in_flight: Mapping[str, int]
    capped: bool
    waiting: WaitingOrder | None
    backlog: Sequence[Backlog]

    @property
    def ended(self) -> Column:
        """The ended orders of the range."""
        sums = [sum(getattr(each, name) for each in self.columns) for name in _OUTCOMES.values()]
        return Column(self.columns[0].at if self.columns else 0.0, *sums)


def read_overview(database: Database, stack: Stack, now: float, minutes: int) -> Overview:
    """Return the state at a time, in epoch seconds."""
    in_flight, capped = _in_flight(database)
    return Overview(
        is_empty=database.row("select 1 from events limit 1") is None
        and database.row("select 1 from orders limit 1") is None,
        minutes=minutes,
        shortages=list(_shortages(database)),
        columns=_columns(database, now, minutes),
        in_flight=in_flight,
        capped=capped,
        waiting=_waiting(database),
        backlog=list(_backlog(database, stack)),
    )


def _in_flight(database: Database) -> tuple[dict[str, int], bool]:
    """Return the orders in flight by status, and whether there are more than were counted."""
    rows = database.rows("select status from orders where in_flight = 1 limit ?", NEWEST + 1)
    counts = Counter(row["status"] for row in rows[:NEWEST])
    return dict(counts.most_common()), len(rows) > NEWEST


def _columns(database: Database, now: float, minutes: int) -> list[Column]:
    """Return the ended orders of a range, in `COLUMNS` parts or one for each minute."""
    parts = min(COLUMNS, minutes)
    width = minutes * 60 // parts
    end = (int(now) // 60 + 1) * 60
    first = end - width * parts
    counts = [Counter[str]() for _ in range(parts)]
    rows = database.rows(
        "select minute, name, sum(sum) as ended from metrics where minute >= ? and minute < ?"
        f" and name in ({', '.join('?' * len(_OUTCOMES))}) group by minute, name",
        first,
        end,
        *_OUTCOMES,
    )
    for row in rows:
        counts[(row["minute"] - first) // width][_OUTCOMES[row["name"]]] += int(row["ended"])
    return [
        Column(first + at * width, each["completed"], each["failed"], each["cancelled"])
        for at, each in enumerate(counts)
    ]


def _waiting(database: Database) -> WaitingOrder | None:
    row = database.row(
        "select order_id, created_at, waiting_for, resume_at from (select * from orders"
        f" where in_flight = 1 limit {NEWEST}) where status = 'WAITING' order by created_at limit 1"
    )
    if row is None:
        return None
    cause = row["waiting_for"] or ""
    return WaitingOrder(row["order_id"], row["created_at"], cause, row["resume_at"])


def _backlog(database: Database, stack: Stack) -> Iterator[Backlog]:
    """Yield the stages of an order's way with waiting items, in its order."""
    row = database.row("select count(*) as count, min(created_at) as oldest from outbox")
    if row and row["count"]:
        yield Backlog("outbox", row["count"], row["oldest"])
    targets = database.rows("select distinct target from deliveries")
    for target in targets:
        query = "select event_seq from deliveries where target = ? limit ?"
        rows = database.rows(query, target["target"], NEWEST + 1)
        first = database.row("select arrived_at from events where seq = ?", rows[0]["event_seq"])
        oldest = None if first is None else float(first["arrived_at"])
        count = min(len(rows), NEWEST)
        yield Backlog(f"target {target['target']}", count, oldest, len(rows) > NEWEST)
    for consumer in stack.consumers:
        row = database.row(
            "select count(*) as count, min(sent_at) as oldest from messages where queue = ?",
            consumer.queue,
        )
        if row and row["count"]:
            yield Backlog(f"queue {consumer.queue}", row["count"], row["oldest"])
    row = database.row(
        "select count(*) as count, min(started_at) as oldest from executions"
        " where status = 'RUNNING'"
    )
    if row and row["count"]:
        yield Backlog("runs", row["count"], row["oldest"])


def _shortages(database: Database) -> Iterator[Shortage]:
    """Yield the SKUs that most orders wait for."""
    rows = database.rows(
        "select w.sku, count(*) as count, min(w.created_at) as oldest from (select * from"
        f" waiting_orders limit {NEWEST}) w join orders o on o.order_id = w.order_id"
        " where o.status = 'WAITING' group by w.sku order by count desc limit 5"
    )
    for row in rows:
        stock = database.row("select on_hand - reserved from stock where sku = ?", row["sku"])
        yield Shortage(row["sku"], row["count"], stock[0] if stock else 0, row["oldest"])
