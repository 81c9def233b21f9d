"""Reserve all lines or none, take them out of stock, put them back, and receive units."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from inventory.model import Move, OutOfStock, Receipt
from kernel.errors import OrderCancelled, OrderIncomplete
from kernel.lease import require_active, require_compensating
from kernel.order_record import Change, Entry, OrderRecord, Records, retry_on_conflict
from kernel.order_status import Reservation, Status

HELD = frozenset({Reservation.RESERVED, Reservation.COMMITTED})


class InventoryStore(Records, Protocol):
    """Records together with the stock that they move."""

    def move(self, change: Change, move: Move, units: Mapping[str, int]) -> OrderRecord:
        """Write a change and move its units in one transaction.

        Raises
        ------
        OutOfStock
            Reserving more than is available: nothing is written.
        VersionConflict
            The record has changed meanwhile: nothing is written.
        """

    def receive(self, receipt: Receipt, at: float) -> bool:
        """Add a receipt's units; return false, adding nothing, if it was received before.

        Raises
        ------
        InvalidStock
            Its delivery's number was received with other units: nothing is added.
        """

    def received_at(self, receipt: Receipt) -> float | None:
        """Return when a receipt was received, in seconds since 1970; None if it was not."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the use cases need."""

    store: InventoryStore
    now: Callable[[], float]


class Outcome(NamedTuple):
    """How a step ended: ``outcome`` is what the workflow branches on."""

    outcome: str
    reason: str = ""
    message: str = ""
    missing: tuple[dict[str, object], ...] = ()


@retry_on_conflict
def reserve(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Reserve every line of an order, or none; an order reserved before stays so."""
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
    except OutOfStock as short:
        return _short(short)
    return Outcome("RESERVED")


@retry_on_conflict
def commit(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Take an order's reserved units out of stock.

    Raises
    ------
    OrderIncomplete
        Nothing is reserved for it.
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
def give_back(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Release what a compensated order reserved, or restock what it took."""
    record = require_compensating(ports.store.read(order_id), epoch)
    if record.reservation in HELD:
        taken = record.reservation is Reservation.COMMITTED
        after = Reservation.RESTOCKED if taken else Reservation.RELEASED
        change = record.change(
            Entry(f"STOCK_{after}", ports.now(), {"units": sum(record.demand.values())}),
            reservation=after,
        )
        ports.store.move(change, Move.RESTOCK if taken else Move.RELEASE, record.demand)
    return Outcome("GIVEN_BACK")


def receive(receipt: Receipt, ports: Ports) -> bool:
    """Add a receipt's units to stock, once; return whether it was new."""
    return ports.store.receive(receipt, ports.now())


def _short(short: OutOfStock) -> Outcome:
    unknown = [shortage.sku for shortage in short.missing if not shortage.known]
    missing = tuple(
        {"sku": one.sku, "requested": one.requested, "available": one.available}
        for one in short.missing
    )
    if unknown:
        message = f"nobody stocks {', '.join(unknown)}; receive it first or correct the order"
        return Outcome("UNDO", "UnknownSku", message, missing)
    message = ", ".join(
        f"{one.sku}: {one.requested} ordered, {one.available} available" for one in short.missing
    )
    return Outcome("OUT_OF_STOCK", "OutOfStock", message, missing)
