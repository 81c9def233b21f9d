"""The flow of a data directory's orders in a range of time, and the articles that orders wait for.

`infra.views.health` has the needs, and the open work by stage.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from storage.sqlite.database import Database

RANGES = {"15m": 15, "1h": 60, "24h": 1_440}
"""Minutes of the ranges that a person chooses."""

COLUMNS = 60
"""Columns of a chart of ended orders."""

MOST = 5
"""Maximum articles that are named, of those with the most waiting orders."""

_OUTCOMES = ("completed", "failed", "cancelled")
"""The measures of ended orders (`infra.local.engine.measures`)."""


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
class Overview:
    """A data directory at one moment, and its orders of a range of minutes."""

    is_empty: bool
    minutes: int
    shortages: Sequence[Shortage]
    columns: Sequence[Column]

    @property
    def ended(self) -> Column:
        """The ended orders of the range."""
        sums = [sum(getattr(each, name) for each in self.columns) for name in _OUTCOMES]
        return Column(self.columns[0].at if self.columns else 0.0, *sums)


def read_overview(database: Database, now: float, minutes: int) -> Overview:
    """Return the state at a time, in epoch seconds."""
    return Overview(
        is_empty=database.row("select 1 from events limit 1") is None
        and database.row("select 1 from orders limit 1") is None,
        minutes=minutes,
        shortages=list(_shortages(database)),
        columns=_columns(database, now, minutes),
    )


def _columns(database: Database, now: float, minutes: int) -> list[Column]:
    """Return the ended orders of a range, in `COLUMNS` parts or one for each minute."""
    parts = min(COLUMNS, minutes)
    width = minutes * 60 // parts
    end = (int(now) // 60 + 1) * 60
    first = end - width * parts
    counts = [Counter[str]() for _ in range(parts)]
    rows = database.rows(
        "select minute, name, sum(count) as ended from measures where minute >= ? and minute < ?"
        f" and name in ({', '.join('?' * len(_OUTCOMES))}) group by minute, name",
        first,
        end,
        *_OUTCOMES,
    )
    for row in rows:
        counts[(row["minute"] - first) // width][row["name"]] += row["ended"]
    return [
        Column(first + at * width, each["completed"], each["failed"], each["cancelled"])
        for at, each in enumerate(counts)
    ]


def _shortages(database: Database) -> Iterator[Shortage]:
    """Yield the articles that most orders wait for.

    An entry of ``waiting_orders`` may be older than the order's present wait.
    """
    rows = database.rows(
        "select w.sku, count(*) as count, min(w.created_at) as oldest,"
        " (select on_hand - reserved from stock s where s.sku = w.sku) as available"
        " from waiting_orders w join orders o using (order_id)"
        " where o.status = 'WAITING' and o.waiting_for = 'OutOfStock'"
        " group by w.sku order by count desc limit ?",
        MOST,
    )
    for row in rows:
        yield Shortage(row["sku"], row["count"], row["available"] or 0, row["oldest"])
