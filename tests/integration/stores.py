"""The stores under test, with direct reads of their tables.

`dynamo_stores.DynamoStores` is the second adapter; both are parameters of the fixture ``stores``.
"""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from inventory.model import Stock
from inventory.store import SQLiteInventory
from inventory.usecases import InventoryStore
from kernel.order_record import Entry, Message
from orders.store import SQLiteEventJournal, SQLiteOrders
from orders.usecases import OrderStore
from payments.store import SQLiteLedger
from payments.usecases import Ledger
from shipping.store import SQLiteShipments
from shipping.usecases import ShipmentStore
from storage.sqlite.database import Database


class Stores(Protocol):
    """The stores of the services; each call opens a store again, as another process would."""

    broken: tuple[type[Exception], ...]
    """The errors of a write with invalid values."""

    def orders(self) -> OrderStore: ...
    def inventory(self) -> InventoryStore: ...
    def ledger(self) -> Ledger: ...
    def shipments(self) -> ShipmentStore: ...

    def timeline(self, order_id: str) -> list[tuple[int | None, Entry]]:
        """Return an order's timeline, each entry with the epoch that wrote it."""

    def outbox(self) -> list[tuple[Message, float]]:
        """Return the messages of the outbox with their times, the oldest first."""

    def charges(self) -> dict[str, tuple[str, int, str | None]]:
        """Return status, amount and the gateway's reference of every charge, by order."""

    def parcels(self) -> dict[str, tuple[str, str]]:
        """Return status and tracking number of every shipment, by order."""

    def stock(self) -> dict[str, Stock]:
        """Return all stock by SKU."""

    def everything(self) -> Mapping[str, Any]:
        """Return the content of all tables, for comparisons."""

    def close(self) -> None: ...


class SQLiteStores:
    """The stores on one SQLite file."""

    broken: tuple[type[Exception], ...] = (sqlite3.Error, TypeError)

    def __init__(self, folder: Path) -> None:
        self.path = folder / "orders.db"
        self.opened: list[Database] = []
        self.behind = self._open()
        for service in (self.orders, self.inventory, self.ledger, self.shipments):
            service()

    def orders(self) -> SQLiteOrders:
        return SQLiteOrders(self._open())

    def journal(self) -> SQLiteEventJournal:
        return SQLiteEventJournal(self._open())

    def inventory(self) -> SQLiteInventory:
        return SQLiteInventory(self._open())

    def ledger(self) -> SQLiteLedger:
        return SQLiteLedger(self._open())

    def shipments(self) -> SQLiteShipments:
        return SQLiteShipments(self._open())

    def timeline(self, order_id: str) -> list[tuple[int | None, Entry]]:
        rows = self.behind.rows("select * from timeline where order_id = ? order by seq", order_id)
        return [
            (row["epoch"], Entry(row["what"], row["at"], json.loads(row["detail"]))) for row in rows
        ]

    def outbox(self) -> list[tuple[Message, float]]:
        rows = self.behind.rows("select * from outbox order by id")
        return [(Message(row["kind"], json.loads(row["body"])), row["created_at"]) for row in rows]

    def charges(self) -> dict[str, tuple[str, int, str | None]]:
        rows = self.behind.rows("select order_id, status, amount, reference from charges")
        return {row[0]: (row[1], row[2], row[3]) for row in rows}

    def parcels(self) -> dict[str, tuple[str, str]]:
        rows = self.behind.rows("select order_id, status, tracking_number from shipments")
        return {row[0]: (row[1], row[2]) for row in rows}

    def stock(self) -> dict[str, Stock]:
        return {row["sku"]: Stock(**dict(row)) for row in self.behind.rows("select * from stock")}

    def everything(self) -> Mapping[str, Any]:
        tables = ("orders", "timeline", "outbox", "stock", "receipts", "charges", "shipments")
        return {
            table: [tuple(row) for row in self.behind.rows(f"select * from {table}")]
            for table in tables
        }

    def await_restart(self, *order_ids: str | None) -> None:
        """Put orders into the retry queue; the message of `None` has no order."""
        with self.behind.write() as connection:
            rows = [(order_id,) for order_id in order_ids]
            connection.executemany("insert into awaiting_restart values (?)", rows)

    def sink(self, envelope: Mapping[str, Any], arrived_at: float) -> None:
        """Put an event into the sink of events."""
        with self.behind.write() as connection:
            connection.execute(
                "create table if not exists events (detail_type, order_id, envelope, arrived_at)"
            )
            connection.execute("create view if not exists sink as select * from events")
            connection.execute("create table if not exists awaiting_restart (order_id)")
            connection.execute(
                "insert into events values (?, ?, ?, ?)",
                (
                    envelope["detail-type"],
                    envelope["detail"].get("order_id"),
                    json.dumps(envelope),
                    arrived_at,
                ),
            )

    def close(self) -> None:
        for database in self.opened:
            database.close()

    def _open(self) -> Database:
        self.opened.append(Database(str(self.path)))
        return self.opened[-1]
