"""Stock in DynamoDB, moved in one transaction with the order's item.

An item of a SKU, or of a shard of it (`inventory.dynamodb_shards`), has the counts ``available``
and ``reserved``, whose sum is the number of units on hand: a DynamoDB condition
cannot subtract ``reserved`` from that number.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial

from inventory.dynamodb_shards import (
    COUNTS,
    ROUNDS,
    SPLIT_AFTER,
    Shards,
    read_stock,
    stock_key,
)
from inventory.model import (
    Adjustment,
    Move,
    OutOfStock,
    Receipt,
    Shortage,
    Stock,
    adjusted,
    mark_of,
    other_units,
)
from kernel.clock import timestamp
from kernel.errors import InvalidStock, VersionConflict
from kernel.order_record import Change, OrderRecord
from kernel.stock_events import Supply, messages
from storage.dynamodb.order_item import is_order, order_key, to_message, to_record
from storage.dynamodb.records import DynamoRecords, add_outbox
from storage.dynamodb.table import ConditionFailed, Contended, Item, Table, Update
from storage.dynamodb.waiting import waiting_for

RECEIPT = "receipt"
HELD = "shd"
"""Attribute of an order's item: the shard of each split SKU that has its reserved units."""

TRANSACTION = 100
"""Items of one transaction (Service quotas)."""

_MOVES = {
    Move.RESERVE: ("available", "reserved"),
    Move.COMMIT: ("reserved", "shipped"),
    Move.RELEASE: ("reserved", "available"),
}
"""The source and the target count of each move."""


def receipt_key(digest: str, part: int = 0) -> tuple[str, str]:
    """Return the key of a part of a receipt's mark; a numbered delivery's units are not in it."""
    return f"{RECEIPT}#{mark_of(digest)}", f"{RECEIPT}#{part}"


def digest_of(item: Item) -> str:
    """Return the digest of the receipt that an item marks."""
    return str(item.get("digest") or str(item["pk"]).partition("#")[2])


class DynamoInventory(DynamoRecords):
    """The inventory's store (see `inventory.usecases.InventoryStore`)."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self._shards = Shards(table)
        self._last_read: tuple[str, int, Mapping[str, int]] = ("", 0, {})

    def find(self, order_id: str) -> OrderRecord | None:
        """Return the record of an order, or ``None``; remember the shards that it uses."""
        item = self.table.get(*order_key(order_id))
        if item is None or not is_order(item):
            return None
        self._last_read = (order_id, item["v"], item.get(HELD, {}))
        return to_record(item)

    def move(self, change: Change, move: Move, units: Mapping[str, int]) -> OrderRecord:
        """Write a change and move its units in one transaction."""
        if move is Move.RESERVE:
            return self._reserve(change, units)
        held = {} if move is Move.RESTOCK else self._held(change.before)
        skus = [_moved(sku, move, number, held.get(sku, 0)) for sku, number in units.items()]
        try:
            return self.write(change, _forget if held else _keep, others=skus)
        except ConditionFailed:
            raise ValueError(
                f"order {change.before.order_id} has too few units reserved to {move} them"
            ) from None

    def _reserve(self, change: Change, units: Mapping[str, int]) -> OrderRecord:
        """Reserve each SKU's units at one place; another shard is tried after a conflict."""
        places = {sku: self._shards.choose(sku) for sku in units}
        conflicts = dict.fromkeys(units, 0)
        for attempt in range(ROUNDS):
            skus = [_moved(sku, Move.RESERVE, number, places[sku]) for sku, number in units.items()]
            try:
                return self.write(change, partial(_hold, places), skus, attempt)
            except Contended as contended:
                for position, sku in enumerate(units, 1):
                    if position in contended.positions:
                        conflicts[sku] += 1
                        if places[sku] == 0 and conflicts[sku] >= SPLIT_AFTER:
                            self._shards.split(sku, attempt)
                        places[sku] = self._shards.choose(sku)
            except ConditionFailed as failed:
                missing = self._supply(units, places, failed.stored)
                if missing:
                    raise OutOfStock(missing) from None
        raise VersionConflict(f"other orders keep taking the units of {change.before.order_id}")

    def _supply(
        self, units: Mapping[str, int], places: dict[str, int], stored: Mapping[int, Item | None]
    ) -> list[Shortage]:
        """Choose supplied shards for the SKUs whose condition failed; return the shortages.

        The order's own update has position 0.
        """
        shortages = []
        for position, (sku, number) in enumerate(units.items(), 1):
            if position not in stored:
                continue
            item = stored[position]
            if places[sku] == 0:
                if self._shards.learn(sku, item):
                    places[sku] = self._shards.choose(sku)
                else:
                    available = 0 if item is None else int(item["available"])
                    shortages.append(Shortage(sku, number, available, item is not None))
                continue
            found = self._shards.supply(sku, number)
            if isinstance(found, Shortage):
                shortages.append(found)
            else:
                places[sku] = found
        return shortages

    def _held(self, record: OrderRecord) -> Mapping[str, int]:
        """Return the shards that have an order's units; the write requires the same version."""
        order_id, version, held = self._last_read
        if (order_id, version) == (record.order_id, record.version):
            return held
        item = self.table.get(*order_key(record.order_id)) or {}
        known: Mapping[str, int] = item.get(HELD, {})
        return known

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

    def _publish(self, mark: Update, units: Mapping[str, int], at: float) -> None:
        """Put `Stock Received` into the mark's outbox, from which the relay sends it.

        It has the SKUs that orders wait for; without one there is no event. Orders that reserve
        meanwhile make ``available`` an estimate: it chooses the orders to resume, and each of them
        reserves by a condition.
        """
        awaited = {
            sku: number
            for sku, number in units.items()
            if number > 0 and waiting_for(self.table, sku, 1)
        }
        known = read_stock(self.table, awaited)
        supplies = [
            Supply(sku, number, number + (known[sku].available if sku in known else 0))
            for sku, number in awaited.items()
        ]
        stored = {
            str(number): to_message(message, at)
            for number, message in enumerate(messages(supplies, at))
        }
        if stored:
            add_outbox(mark, stored, min(units), at)

    def stock_of(self, skus: Iterable[str]) -> dict[str, Stock]:
        """Return the stock of these SKUs, by SKU; unknown SKUs are left out."""
        return read_stock(self.table, skus)

    def adjust(self, adjustment: Adjustment, at: float) -> Stock:
        """Add or remove units of a SKU, once for each key; return its stock.

        Only the units of the SKU's first item can be removed, not those of its shards.
        """
        sku = adjustment.sku
        known = read_stock(self.table, [sku])
        if self.table.get(*receipt_key(adjustment.digest)) is not None:
            return known[sku]
        stock = adjusted(known, adjustment)
        mark = Update(*receipt_key(adjustment.digest))
        mark.if_absent()
        mark.put(at=at, units=adjustment.units)
        self._publish(mark, {sku: adjustment.units}, at)
        try:
            self.table.write(mark, _adjustment(adjustment))
        except ConditionFailed as failed:
            if 0 in failed.stored:
                return read_stock(self.table, [sku])[sku]
            raise InvalidStock(
                sku,
                f"{-adjustment.units} units cannot be removed: orders have reserved some of them,"
                " or they are in the SKU's shards; remove fewer units",
            ) from None
        return stock

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
        self._publish(mark, receipt.units, at)
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


def _adjustment(adjustment: Adjustment) -> Update:
    update = Update(*stock_key(adjustment.sku))
    available = update.name("available")
    update.when(f"{available} >= {update.value(max(-adjustment.units, 0))}")
    for count in ("received", "available"):
        update.add(count, adjustment.units)
    return update


def _moved(sku: str, move: Move, units: int, place: int = 0) -> Update:
    update = Update(*stock_key(sku, place))
    if move is Move.RESTOCK:
        update.if_present()
        for count in ("available", "restocked"):
            update.add(count, units)
        return update
    source, target = map(update.name, _MOVES[move])
    number = update.value(units)
    update.when(f"{source} >= {number}")
    if move is Move.RESERVE and place == 0:
        update.when(f"attribute_not_exists({update.name('shards')})")
    update.set(source, f"{source} - {number}")
    update.set(target, f"{target} + {number}")
    return update


def _hold(places: Mapping[str, int], update: Update) -> None:
    """Store the shards that have an order's units."""
    held = {sku: place for sku, place in places.items() if place}
    if held:
        update.put(**{HELD: held})


def _forget(update: Update) -> None:
    """Remove the shards of an order whose units are no longer reserved."""
    update.remove(HELD)


def _keep(_: Update) -> None:
    """Change nothing: the order uses no shard."""


def _received(sku: str, units: int) -> Update:
    update = Update(*stock_key(sku))
    for count in COUNTS:
        update.add(count, units if count in ("received", "available") else 0)
    return update
