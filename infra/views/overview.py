"""The state of a data directory at one moment: what needs a person, what flows, what waits.

Every query reads an index or at most `NEWEST` rows, so a page stays fast with 100,000 orders.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.dead_letters.reading import letters
from infra.local.template.stack import Stack
from infra.views.unfinished import SLACK
from storage.sqlite.database import Database

RANGES = {"15m": 15, "1h": 60, "24h": 1_440}
"""Minutes of the ranges that a person chooses."""

COLUMNS = 60
"""Columns of a chart of ended orders."""

NEWEST = 2_000
"""Maximum orders whose failures are counted, and orders in flight that are counted one by one."""

SAMPLE = 200
"""Maximum dead letters of a queue whose reasons are read."""

_OUTCOMES = {
    "OrdersCompleted": "completed",
    "OrdersFailed": "failed",
    "OrdersCancelled": "cancelled",
}
"""Metrics of the orders' functions, by the outcome that they count."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a person has to decide or mend; ``since`` is in epoch seconds.

    ``kind`` is dead-letters, overdue, stock, failure or quarantined; ``subject`` names the queue,
    SKU or item.
    """

    kind: str
    subject: str
    count: int
    text: str
    detail: str
    since: float | None

    @property
    def is_bad(self) -> bool:
        """Whether something has failed, and does not go on by itself."""
        return self.kind in ("dead-letters", "failure", "quarantined")


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
    needs: Sequence[Need]
    columns: Sequence[Column]
    in_flight: Mapping[str, int]
    capped: bool
    waiting: WaitingOrder | None
    backlog: Sequence[Backlog]
    failures: Mapping[str, int]

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
        needs=list(_needs(database, stack, now)),
        columns=_columns(database, now, minutes),
        in_flight=in_flight,
        capped=capped,
        waiting=_waiting(database),
        backlog=list(_backlog(database, stack)),
        failures=_failures(database, now - minutes * 60),
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


def _failures(database: Database, since: float) -> dict[str, int]:
    """Return the failed orders by reason, among the newest orders since a time."""
    rows = database.rows(
        "select failure, count(*) as count from (select failure, status from orders"
        " where created_at >= ? order by created_at desc limit ?) where status = 'FAILED'"
        " group by failure order by count desc",
        since,
        NEWEST,
    )
    return {row["failure"] or "unknown": row["count"] for row in rows}


def _needs(database: Database, stack: Stack, now: float) -> Iterator[Need]:
    yield from _dead_letters(database, stack)
    yield from _overdue(database, now)
    yield from _for_stock(database)
    yield from _failed_items(database)
    yield from _quarantined(database)


def _dead_letters(database: Database, stack: Stack) -> Iterator[Need]:
    for queue in stack.dead_letter_queues:
        row = database.row(
            "select count(*) as count, min(sent_at) as oldest from messages where queue = ?", queue
        )
        if not row or not row["count"]:
            continue
        query = "select id from messages where queue = ? order by visible_at, id limit ?"
        ids = [each["id"] for each in database.rows(query, queue, SAMPLE)]
        reasons = Counter(
            each["reason"].partition(";")[0] for each in letters(database, [queue], ids)
        )
        common = [f"{count} x {reason}" for reason, count in reasons.most_common(2)]
        noun = "dead letter" if row["count"] == 1 else "dead letters"
        text = f"{row['count']:,} {noun} in {queue}"
        yield Need("dead-letters", queue, row["count"], text, "; ".join(common), row["oldest"])


def _overdue(database: Database, now: float) -> Iterator[Need]:
    """Yield the orders whose lease has expired, and that no run holds."""
    rows = database.rows(
        "select order_id, lease_until from orders where in_flight = 1 and lease_until < ?"
        " and status <> 'WAITING' and not exists (select 1 from executions x"
        " where x.order_id = orders.order_id and x.status = 'RUNNING')"
        " order by lease_until limit 100",
        now - SLACK,
    )
    if rows:
        some = ", ".join(row["order_id"] for row in rows[:3])
        noun = "order is past its lease" if len(rows) == 1 else "orders are past their lease"
        detail = f"{some}: the reconciler starts a new run"
        yield Need(
            "overdue",
            rows[0]["order_id"],
            len(rows),
            f"{len(rows)} {noun}",
            detail,
            rows[0]["lease_until"],
        )


def _for_stock(database: Database) -> Iterator[Need]:
    rows = database.rows(
        "select w.sku, count(*) as count, min(w.created_at) as oldest from (select * from"
        f" waiting_orders limit {NEWEST}) w join orders o on o.order_id = w.order_id"
        " where o.status = 'WAITING' group by w.sku order by count desc limit 5"
    )
    for row in rows:
        stock = database.row("select on_hand - reserved from stock where sku = ?", row["sku"])
        noun = "order waits" if row["count"] == 1 else "orders wait"
        text = f"{row['count']:,} {noun} for {row['sku']}"
        detail = f"{stock[0] if stock else 0} available; received stock resumes them"
        yield Need("stock", row["sku"], row["count"], text, detail, row["oldest"])


def _failed_items(database: Database) -> Iterator[Need]:
    row = database.row(
        "select kind, item, error, message, at, (select count(*) from failures) as count"
        " from failures order by id desc limit 1"
    )
    if row is not None:
        noun = "item was" if row["count"] == 1 else "items were"
        text = f"{row['count']:,} {noun} not handled"
        detail = f"{row['kind']} {row['item']}: {row['error']}: {row['message']}"
        yield Need("failure", row["item"], row["count"], text, detail[:300], row["at"])


def _quarantined(database: Database) -> Iterator[Need]:
    row = database.row(
        "select count(*) as count, min(at) as oldest, min(order_id) as one from quarantined_orders"
        " where held"
    )
    if row and row["count"]:
        noun = "order is" if row["count"] == 1 else "orders are"
        text = f"{row['count']:,} {noun} quarantined"
        yield Need(
            "quarantined",
            row["one"],
            row["count"],
            text,
            f"{row['one']} ended the process",
            row["oldest"],
        )
