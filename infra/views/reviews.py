"""The reviews of high-value orders in a data directory."""

from dataclasses import asdict, dataclass
from typing import Any

from kernel.clock import timestamp
from kernel.money import from_minor
from storage.sqlite.database import Database


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A review; amounts are in units of the currency."""

    order_id: str
    customer_id: str
    currency: str
    total: float
    threshold: float
    status: str
    flagged_at: str

    def to_json(self) -> dict[str, Any]:
        """Return the review as ``--json`` prints it."""
        return asdict(self)


def read_reviews(database: Database, limit: int, *, closed: bool) -> list[ReviewRow]:
    """Return the open reviews, and the ``closed`` ones if asked for, the oldest first."""
    rows = database.rows(
        "select * from reviews where ? or status = 'OPEN' order by flagged_at, order_id limit ?",
        closed,
        limit,
    )
    return [
        ReviewRow(
            row["order_id"],
            row["customer_id"],
            row["currency"],
            from_minor(row["total"]),
            from_minor(row["threshold"]),
            row["status"],
            timestamp(row["flagged_at"]),
        )
        for row in rows
    ]
