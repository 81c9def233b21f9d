"""Stock and records in memory (see `inventory.usecases.InventoryStore`)."""

from collections.abc import Mapping

from inventory.model import Adjustment, Move, OutOfStock, Receipt, Stock, shortages
from kernel.order_record import Change, OrderRecord
from tests.fakes.records import FakeRecords

MOVES = {Move.RESERVE: (0, 1), Move.COMMIT: (1, -1), Move.RELEASE: (0, -1), Move.RESTOCK: (-1, 0)}
"""By move: the units taken from ``on_hand`` and added to ``reserved``, per unit."""


class FakeInventory(FakeRecords):
    """An inventory store in memory; ``on_hand`` is the stock by SKU."""

    def __init__(self, *records: OrderRecord, **on_hand: int) -> None:
        super().__init__(*records)
        self.stock = {sku: Stock(sku, units, units) for sku, units in on_hand.items()}
        self.moves: list[tuple[Move, dict[str, int]]] = []
        self.receipts: dict[str, float] = {}

    def move(self, change: Change, move: Move, units: Mapping[str, int]) -> OrderRecord:
        self.check(change)
        if move is Move.RESERVE and (missing := shortages(units, self.stock)):
            raise OutOfStock(missing)
        self.stock |= {sku: moved(self.stock[sku], move, number) for sku, number in units.items()}
        self.moves.append((move, dict(units)))
        return self.write(change)

    def receive(self, receipt: Receipt, at: float) -> bool:
        if self.received_at(receipt) is not None:
            return False
        self.receipts[receipt.digest] = at
        for sku, units in receipt.units.items():
            known = self.stock.get(sku, Stock(sku))
            self.stock[sku] = known._replace(
                received=known.received + units, on_hand=known.on_hand + units
            )
        return True

    def adjust(self, adjustment: Adjustment, at: float) -> Stock:
        raise NotImplementedError("a store's own transaction: see the tests of the stores")

    def received_at(self, receipt: Receipt) -> float | None:
        known = (self.receipts.get(digest) for digest in (receipt.digest, *receipt.earlier))
        return min((at for at in known if at is not None), default=None)


def moved(stock: Stock, move: Move, units: int) -> Stock:
    """Return the stock after a move, and check its invariants."""
    taken, reserved = MOVES[move]
    after = stock._replace(
        on_hand=stock.on_hand - taken * units,
        reserved=stock.reserved + reserved * units,
        shipped=stock.shipped + max(taken, 0) * units,
        restocked=stock.restocked + max(-taken, 0) * units,
    )
    assert 0 <= after.reserved <= after.on_hand
    assert after.on_hand + after.shipped - after.restocked == after.received
    return after
