"""The index of the orders that wait for a SKU: the table ``waiting_orders``.

An entry is written with the pause of its order and deleted when a receipt has looked at it. An
order that went on in another way leaves its entry until then, so a reader checks the record.
"""

import sqlite3
from collections.abc import Sequence

from kernel.order_record import Change, OrderRecord
from storage.sqlite.database import Database


def add_waiting(connection: sqlite3.Connection, change: Change, skus: Sequence[str]) -> None:
    """Write an order's entry under each SKU, in the caller's transaction."""
    order = change.after
    connection.executemany(
        "insert into waiting_orders (sku, created_at, order_id) values (?, ?, ?)"
        " on conflict do nothing",
        [(sku, order.created_at, order.order_id) for sku in skus],
    )


def waiting_for(database: Database, sku: str, limit: int) -> list[str]:
    """Return the ids of the orders with an entry under a SKU, the oldest order first."""
    rows = database.rows(
        "select order_id from waiting_orders where sku = ? order by created_at, order_id limit ?",
        sku,
        limit,
    )
    return [row["order_id"] for row in rows]


def forget_waiting(database: Database, sku: str, records: Sequence[OrderRecord]) -> None:
    """Delete the entries of these orders under a SKU."""
    with database.write() as connection:
        connection.executemany(
            "delete from waiting_orders where sku = ? and created_at = ? and order_id = ?",
            [(sku, record.created_at, record.order_id) for record in records],
        )
