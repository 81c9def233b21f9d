"""The index of the orders that wait for a SKU: items of the orders' table, by the order's age.

The key of an entry is ``wait#SKU`` and ``wait#TIME#ORDER_ID``, so one query of the table returns
the oldest orders of a SKU first, consistently. An entry is written with the pause of its order and
deleted when a receipt has looked at it. An order that went on in another way leaves its entry until
then, so a reader checks the record.
"""

from collections.abc import Sequence

from kernel.order_record import OrderRecord
from storage.dynamodb.order_item import sort_key
from storage.dynamodb.table import Table, Update

WAIT = "wait"


def waiting_key(sku: str, record: OrderRecord) -> tuple[str, str]:
    """Return the key of an order's entry under a SKU."""
    return f"{WAIT}#{sku}", f"{WAIT}#{sort_key(record.created_at)}#{record.order_id}"


def waiting_entries(record: OrderRecord, skus: Sequence[str]) -> list[Update]:
    """Return the writes of an order's entries, for the transaction that pauses it."""
    entries = []
    for sku in skus:
        entry = Update(*waiting_key(sku, record))
        entry.put(order=record.order_id)
        entries.append(entry)
    return entries


def waiting_for(table: Table, sku: str, limit: int) -> list[str]:
    """Return the ids of the orders with an entry under a SKU, the oldest order first."""
    items = table.collection(f"{WAIT}#{sku}", limit=limit)
    return [str(item["order"]) for item in items]


def forget_waiting(table: Table, sku: str, records: Sequence[OrderRecord]) -> None:
    """Delete the entries of these orders under a SKU."""
    for record in records:
        table.delete(*waiting_key(sku, record))
