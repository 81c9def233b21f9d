"""Stock in DynamoDB: one item for each SKU, moved in one transaction with the order's item.

An item has the counts ``available`` and ``reserved``, whose sum is the number of units on hand: a
DynamoDB condition cannot subtract ``reserved`` from that number.
"""

from collections.abc import Mapping
from contextlib import suppress

from inventory.model import Move, OutOfStock, Receipt, Shortage, mark_of, other_units
from kernel.clock import timestamp
from kernel.order_record import Change, OrderRecord
from storage.dynamodb.records import DynamoRecords
from storage.dynamodb.table import ConditionFailed, Item, Update

STOCK, RECEIPT = "stock", "receipt"
COUNTS = ("received", "available", "reserved", "shipped", "restocked")

TRANSACTION = 100
"""Items of one transaction (Service quotas)."""

_MOVES = {
    Move.RESERVE: ("available", "reserved"),
    Move.COMMIT: ("reserved", "shipped"),
    Move.RELEASE: ("reserved", "available"),
}
"""The source and the target count of each move."""


def stock_key(sku: str) -> tuple[str, str]:
    """Return the key of a SKU's item."""
    return f"{STOCK}#{sku}", STOCK


def receipt_key(digest: str, part: int = 0) -> tuple[str, str]:
    """Return the key of a part of a receipt's mark; a numbered delivery's units are not in it."""
    return f"{RECEIPT}#{mark_of(digest)}", f"{RECEIPT}#{part}"


def digest_of(item: Item) -> str:
    """Return the digest of the receipt that an item marks."""
    return str(item.get("digest") or str(item["pk"]).partition("#")[2])


class DynamoInventory(DynamoRecords):
    """The inventory's store (see `inventory.usecases.InventoryStore`)."""

    def move(self, change: Change, move: Move, units: Mapping[str, int]) -> OrderRecord:
        """Write a change and move its units in one transaction."""
        skus = [_moved(sku, move, number) for sku, number in units.items()]
        try:
            return self.write(change, others=skus)
        except ConditionFailed as failed:
            if move is Move.RESERVE:
                raise OutOfStock(_shortages(units, failed.stored)) from None
            raise ValueError(
                f"order {change.before.order_id} has too few units reserved to {move} them"
            ) from None

    def receive(self, receipt: Receipt, at: float) -> bool:
        """Add a receipt's units; return false, and add none, if it was received before.

        A receipt of more SKUs than a transaction takes is received in parts, each with a mark of
        its own: a repetition of an interrupted receipt adds the missing parts. A receipt that was
        imported is marked ``whole``. The units of a numbered delivery have a mark as well, so that
        the same units are not received again without the number.
        """
        negative = [sku for sku, number in receipt.units.items() if number < 0]
        if negative:
            raise ValueError(f"a receipt cannot remove units of {negative[0]}")
        skus = sorted(receipt.units)
        size = TRANSACTION - 1
        parts = [skus[start : start + size] for start in range(0, len(skus), size)]
        known = self._mark(receipt)
        if len(parts) > 1 and known and known.get("whole"):
            return False
        digest = receipt.digest if known is None else digest_of(known)
        if mark_of(digest) == mark_of(receipt.digest) and digest != receipt.digest:
            raise other_units(mark_of(digest), timestamp((known or {})["at"]))
        received = [
            self._receive(Receipt(digest, {sku: receipt.units[sku] for sku in part}), number, at)
            for number, part in enumerate(parts)
        ]
        if receipt.delivery:
            self._mark_units(receipt.content, at)
        return any(received)

    def received_at(self, receipt: Receipt) -> float | None:
        """Return the time of a receipt, in epoch seconds; ``None`` if it was not received."""
        known = self._mark(receipt)
        return None if known is None else known["at"]

    def _mark(self, receipt: Receipt) -> Item | None:
        """Return the first part of a receipt's mark; earlier versions had other digests."""
        for digest in dict.fromkeys((receipt.digest, *receipt.earlier)):
            known = self.table.get(*receipt_key(digest))
            if known is not None:
                return known
        return None

    def _mark_units(self, content: str, at: float) -> None:
        """Mark the units of a numbered delivery, unless they are marked already."""
        mark = Update(*receipt_key(content))
        mark.if_absent()
        mark.put(at=at, units=0, whole=True)
        with suppress(ConditionFailed):
            self.table.write(mark)

    def _receive(self, receipt: Receipt, part: int, at: float) -> bool:
        mark = Update(*receipt_key(receipt.digest, part))
        mark.if_absent()
        mark.put(at=at, units=sum(receipt.units.values()))
        others = [_received(sku, number) for sku, number in receipt.units.items()]
        if receipt.delivery:
            mark.put(digest=receipt.digest)
        try:
            self.table.write(mark, *others)
        except ConditionFailed as failed:
            stored = failed.stored.get(0) or {}
            if receipt.delivery and stored.get("digest") != receipt.digest:
                raise other_units(mark_of(receipt.digest), timestamp(stored["at"])) from None
            return False
        return True


def _moved(sku: str, move: Move, units: int) -> Update:
    update = Update(*stock_key(sku))
    if move is Move.RESTOCK:
        update.if_present()
        for count in ("available", "restocked"):
            update.add(count, units)
        return update
    source, target = map(update.name, _MOVES[move])
    number = update.value(units)
    update.when(f"{source} >= {number}")
    update.set(source, f"{source} - {number}")
    update.set(target, f"{target} + {number}")
    return update


def _received(sku: str, units: int) -> Update:
    update = Update(*stock_key(sku))
    for count in COUNTS:
        update.add(count, units if count in ("received", "available") else 0)
    return update


def _shortages(units: Mapping[str, int], stored: Mapping[int, Item | None]) -> list[Shortage]:
    """Return the lines that stock does not cover; the order's own update has position 0."""
    shortages = []
    for position, (sku, number) in enumerate(units.items(), 1):
        if position in stored:
            item = stored[position]
            available = 0 if item is None else int(item["available"])
            shortages.append(Shortage(sku, number, available, item is not None))
    return shortages
