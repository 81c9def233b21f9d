"""Stock in SQLite, in the database of the orders."""

import sqlite3
from collections.abc import Mapping

from inventory.model import (
    Adjustment,
    Move,
    OutOfStock,
    Receipt,
    Stock,
    adjusted,
    mark_of,
    other_units,
    shortages,
)
from kernel.clock import timestamp
from kernel.order_record import Change, OrderRecord
from kernel.stock_events import Supply, messages
from storage.sqlite.database import Database
from storage.sqlite.records import (
    SQLiteRecords,
    add_message,
    require_unchanged,
    write_change,
)
from storage.sqlite.schema import INVENTORY
from storage.sqlite.waiting import waiting_for

_INSERT_RECEIPT = "insert into receipts values (?, ?, ?) on conflict do nothing"

_COLUMNS = ", ".join(Stock._fields)

_MOVES = {
    Move.RESERVE: "reserved = reserved + :units",
    Move.COMMIT: "reserved = reserved - :units, on_hand = on_hand - :units,"
    " shipped = shipped + :units",
    Move.RELEASE: "reserved = reserved - :units",
    Move.RESTOCK: "on_hand = on_hand + :units, restocked = restocked + :units",
}


class SQLiteInventory(SQLiteRecords):
    """The inventory's store (see `inventory.usecases.InventoryStore`)."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        database.define(INVENTORY)

    def stock(self, skus: Mapping[str, int]) -> dict[str, Stock]:
        """Return the stock of these SKUs, by SKU; unknown SKUs are left out."""
        placeholders = ", ".join("?" * len(skus))
        query = f"select {_COLUMNS} from stock where sku in ({placeholders})"
        return {row[0]: Stock._make(row) for row in self.database.rows(query, *skus)}

    def move(self, change: Change, move: Move, units: Mapping[str, int]) -> OrderRecord:
        """Write a change and move its units in one transaction."""
        with self.database.write() as connection:
            if move is Move.RESERVE:
                missing = shortages(units, self.stock(units))
                if missing:
                    require_unchanged(connection, change.before)
                    raise OutOfStock(missing)
            write_change(connection, change)
            connection.executemany(
                f"update stock set {_MOVES[move]} where sku = :sku",
                [{"sku": sku, "units": number} for sku, number in units.items()],
            )
        return change.after

    def receive(self, receipt: Receipt, at: float) -> bool:
        """Add a receipt's units; return false, and add none, if it was received before.

        The units of a numbered delivery have a mark as well, so that the same units are not
        received again without the number.
        """
        with self.database.write() as connection:
            if self.received_at(receipt) is not None:
                return False
            self._require_same_units(receipt)
            connection.execute(_INSERT_RECEIPT, (receipt.digest, at, sum(receipt.units.values())))
            if receipt.delivery:
                connection.execute(_INSERT_RECEIPT, (receipt.content, at, 0))
            connection.executemany(
                "insert into stock (sku, received, on_hand) values (:sku, :units, :units)"
                " on conflict do update set received = received + :units,"
                " on_hand = on_hand + :units",
                [{"sku": sku, "units": units} for sku, units in receipt.units.items()],
            )
            self._publish(connection, receipt.units, at)
        return True

    def _publish(self, connection: sqlite3.Connection, units: Mapping[str, int], at: float) -> None:
        """Put `Stock Received` into the outbox, in the transaction that adds the units.

        It has the SKUs that orders wait for; without one there is no event.
        """
        supplies = [
            Supply(sku, number, self.stock({sku: 0})[sku].available)
            for sku, number in units.items()
            if number > 0 and waiting_for(self.database, sku, 1)
        ]
        for message in messages(supplies, at):
            add_message(connection, message, at)

    def adjust(self, adjustment: Adjustment, at: float) -> Stock:
        """Add or remove units of a SKU, once for each key; return its stock."""
        with self.database.write() as connection:
            # the sum of the receipts is the sum of the units received
            mark = (adjustment.digest, at, adjustment.units)
            known = self.stock({adjustment.sku: 0})
            if not connection.execute(_INSERT_RECEIPT, mark).rowcount:
                return known[adjustment.sku]
            stock = adjusted(known, adjustment)
            connection.execute(
                "update stock set received = received + :units, on_hand = on_hand + :units"
                " where sku = :sku",
                {"sku": adjustment.sku, "units": adjustment.units},
            )
            self._publish(connection, {adjustment.sku: adjustment.units}, at)
        return stock

    def received_at(self, receipt: Receipt) -> float | None:
        """Return the time of a receipt, in epoch seconds; ``None`` if it was not received."""
        digests = (receipt.digest, *receipt.earlier)
        placeholders = ", ".join("?" * len(digests))
        row = self.database.row(
            f"select min(received_at) from receipts where digest in ({placeholders})", *digests
        )
        return None if row is None else row[0]

    def _require_same_units(self, receipt: Receipt) -> None:
        """Raise `InvalidStock` if the delivery's number was received with other units."""
        if not receipt.delivery:
            return
        mark = mark_of(receipt.digest)
        row = self.database.row(
            "select received_at from receipts where digest > ? and digest < ?",
            f"{mark} ",
            f"{mark}!",  # the character after the blank
        )
        if row is not None:
            raise other_units(mark, timestamp(row["received_at"]))
