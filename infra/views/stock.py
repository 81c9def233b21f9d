"""The stock of a data directory or a stack, and the orders that wait for a SKU."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inventory.model import Stock
from storage.sqlite.database import Database


@dataclass(frozen=True, slots=True)
class StockRow:
    """The counts of a SKU, and the ids of the orders that wait for it, the oldest first."""

    sku: str
    available: int
    reserved: int
    on_hand: int
    received: int
    shipped: int
    restocked: int
    waiting: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the row as ``--json`` prints it."""
        return asdict(self)


def stock_row(stock: Stock, waiting: Sequence[str] = ()) -> StockRow:
    """Return the row of a SKU's stock."""
    counts = stock._asdict()
    return StockRow(available=stock.available, waiting=tuple(waiting), **counts)


def orders_that_wait(database: Database, sku: str, limit: int) -> list[str]:
    """Return the ids of orders that wait for units of a SKU, the oldest order first."""
    rows = database.rows(
        "select w.order_id from waiting_orders w join orders o on o.order_id = w.order_id"
        " where w.sku = ? and o.status = 'WAITING' and o.waiting_for = 'OutOfStock'"
        " order by w.created_at, w.order_id limit ?",
        sku,
        limit,
    )
    return [row["order_id"] for row in rows]
