"""Stock of a data directory, by its server or here, and of a deployed stack."""

import time
from collections.abc import Iterable
from typing import Any, Protocol
from uuid import uuid4

from infra.cli.local_operations import operate
from infra.cli.operator import operator
from infra.deployed.stack import DeployedStack
from infra.errors import NotFound
from infra.local.directory.data_directory import DataDirectory
from infra.views.stock import StockRow, orders_that_wait, stock_row
from inventory.model import Adjustment, Stock
from kernel.order_record import OrderRecord
from orders import model

LISTED = 100
"""Waiting orders that ``orders stock show`` lists."""


class StockPlace(Protocol):
    """Where stock is."""

    def rows(self) -> list[StockRow]:
        """Return the stock of every SKU, in their order."""

    def row(self, sku: str) -> StockRow:
        """Return the stock of a SKU with the orders that wait for it; raise `NotFound`."""

    def adjust(self, sku: str, units: int, reason: str) -> dict[str, Any]:
        """Add or remove units; return the counts ``before`` and ``after``."""


class LocalStock:
    """The stock of a data directory."""

    def __init__(self, where: DataDirectory) -> None:
        self.where = where

    def rows(self) -> list[StockRow]:
        """Return the stock of every SKU, in their order."""
        names = ", ".join(Stock._fields)
        rows = self.where.reader().rows(f"select {names} from stock order by sku")
        return [stock_row(Stock._make(row)) for row in rows]

    def row(self, sku: str) -> StockRow:
        """Return the stock of a SKU with the orders that wait for it."""
        reader, names = self.where.reader(), ", ".join(Stock._fields)
        row = reader.row(f"select {names} from stock where sku = ?", sku)
        if row is None:
            raise unknown(sku)
        return stock_row(Stock._make(row), orders_that_wait(reader, sku, LISTED))

    def adjust(self, sku: str, units: int, reason: str) -> dict[str, Any]:
        """Add or remove units, by the directory's server if it has one."""
        key = str(uuid4())
        answer, _ = operate(
            self.where, "AdjustStock", sku=sku, change=units, key=key, reason=reason
        )
        return answer


class DeployedStock:
    """The stock of a deployed stack."""

    def __init__(self, stack: DeployedStack) -> None:
        from inventory.dynamodb import DynamoInventory
        from orders.dynamodb import DynamoOrders

        self.table = stack.table()
        self.stock, self.orders = DynamoInventory(self.table), DynamoOrders(self.table)

    def rows(self) -> list[StockRow]:
        """Return the stock of every SKU, in their order; this reads the whole table."""
        from inventory.dynamodb_shards import SHARD, STOCK, stock_of, whole

        items = (item for item in self.table.scan() if item["sk"] in (STOCK, SHARD))
        return sorted((stock_row(stock_of(item)) for item in whole(items)), key=_sku)

    def row(self, sku: str) -> StockRow:
        """Return the stock of a SKU with the orders that wait for it."""
        known = self.stock.stock_of([sku])
        if sku not in known:
            raise unknown(sku)
        records = map(self.orders.find, self.orders.waiting_for(sku, LISTED))
        return stock_row(known[sku], list(_that_wait(records)))

    def adjust(self, sku: str, units: int, reason: str) -> dict[str, Any]:
        """Add or remove units; the mark has the operator's name and the reason."""
        before = self.stock.stock_of([sku]).get(sku, Stock(sku))
        key = f"{uuid4()} {operator()}: {reason}"[:200]  # a key has at most 2,048 bytes
        after = self.stock.adjust(Adjustment(sku, units, key), time.time())
        return {"subject": sku, "before": before._asdict(), "after": after._asdict()}


def unknown(sku: str) -> NotFound:
    """Return the error of a SKU that was never received."""
    return NotFound(f"no stock of {sku!r} was ever received; see `orders stock list`")


def _sku(row: StockRow) -> str:
    return row.sku


def _that_wait(records: Iterable[OrderRecord | None]) -> Iterable[str]:
    return (each.order_id for each in records if each and model.waits_for_stock(each))
