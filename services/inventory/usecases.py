"""Reserve an order's units, take them out of stock, and release or restock them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from inventory.model import Adjustment, Move, OutOfStock, Receipt, Stock
from kernel.errors import OrderCancelled, OrderIncomplete
from kernel.lease import require_active, require_compensating
from kernel.order_record import Change, Entry, OrderRecord, Records, retry_on_conflict
from kernel.order_status import Reservation, Status

HELD = frozenset({Reservation.RESERVED, Reservation.COMMITTED})
"""States of a reservation in which an order has units."""


class InventoryStore(Records, Protocol):
    """Records, and the stock whose units they move."""

    def move(self, change: Change, move: Move, units: Mapping[str, int]) -> OrderRecord:
        """Write a change and move its units in one transaction; an error writes nothing.

        Raises
        ------
        OutOfStock
            The units to reserve are not available.
        VersionConflict
            The record has changed meanwhile.
        """

    def receive(self, receipt: Receipt, at: float) -> bool:
        """Add a receipt's units; return false and add nothing if it was received before.

        Raises
        ------
        InvalidStock
            The delivery's number was received with other units: nothing is added.
        """

    def adjust(self, adjustment: Adjustment, at: float) -> Stock:
        """Add or remove units of a SKU, once for each key; return its stock.

        Raises
        ------
        InvalidStock
            The units to remove are not there, or are reserved by orders.
        """

    def received_at(self, receipt: Receipt) -> float | None:
        """Return the epoch seconds at which a receipt was received, or `None` if it was not."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the use cases."""

    store: InventoryStore
    now: Callable[[], float]


class Outcome(NamedTuple):
    """Result of a step; the workflow branches on ``outcome``."""

    outcome: str
    reason: str = ""
    message: str = ""
    missing: tuple[dict[str, object], ...] = ()


@retry_on_conflict
def reserve(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Reserve every line of an order, or none; keep an existing reservation."""
    record = ports.store.read(order_id)
    try:
        require_active(record, epoch)
    except OrderCancelled as error:
        return Outcome("UNDO", record.failure or "OrderCancelled", str(error))
    if record.reservation in HELD:
        return Outcome("RESERVED")
    change = record.change(
        Entry("STOCK_RESERVED", ports.now(), {"units": sum(record.demand.values())}),
        status=Status.RESERVED,
        reservation=Reservation.RESERVED,
    )
    try:
        ports.store.move(change, Move.RESERVE, record.demand)
    except OutOfStock as error:
        return _out_of_stock(error)
    return Outcome("RESERVED")


@retry_on_conflict
def commit(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Take an order's reserved units out of stock.

    Raises
    ------
    OrderIncomplete
        The order has no reservation.
    """
    record = require_active(ports.store.read(order_id), epoch)
    if record.reservation not in HELD:
        raise OrderIncomplete(f"order {order_id} has reserved nothing: {record.reservation}")
    if record.reservation is Reservation.RESERVED:
        change = record.change(
            Entry("STOCK_COMMITTED", ports.now(), {"units": sum(record.demand.values())}),
            reservation=Reservation.COMMITTED,
        )
        ports.store.move(change, Move.COMMIT, record.demand)
    return Outcome("COMMITTED")


@retry_on_conflict
def release(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Release the reserved units of a compensated order, or restock its committed units."""
    record = require_compensating(ports.store.read(order_id), epoch)
    if record.reservation in HELD:
        is_committed = record.reservation is Reservation.COMMITTED
        after = Reservation.RESTOCKED if is_committed else Reservation.RELEASED
        change = record.change(
            Entry(f"STOCK_{after}", ports.now(), {"units": sum(record.demand.values())}),
            reservation=after,
        )
        ports.store.move(change, Move.RESTOCK if is_committed else Move.RELEASE, record.demand)
    return Outcome("GIVEN_BACK")


def _out_of_stock(error: OutOfStock) -> Outcome:
    unknown = [shortage.sku for shortage in error.missing if not shortage.known]
    missing = tuple(
        {"sku": shortage.sku, "requested": shortage.requested, "available": shortage.available}
        for shortage in error.missing
    )
    if unknown:
        message = f"no stock is known of {', '.join(unknown)}; receive it or correct the order"
        return Outcome("UNDO", "UnknownSku", message, missing)
    message = ", ".join(
        f"{shortage.sku}: {shortage.requested} ordered, {shortage.available} available"
        for shortage in error.missing
    )
    return Outcome("OUT_OF_STOCK", "OutOfStock", message, missing)
