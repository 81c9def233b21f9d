"""The invariants of one order, and of the stock in comparison with all orders.

They hold after every write, so for an order in flight too. Amounts are in hundredths.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from infra.audit.findings import Finding, Invariant
from kernel.idempotency import charge_id, shipment_id
from kernel.money import text
from kernel.order_record import OrderRecord
from kernel.order_status import ChargeStatus, Reservation, ShipmentStatus, Status

Row = Mapping[str, Any]

PAID_BACK = frozenset({None, ChargeStatus.DECLINED, ChargeStatus.REFUNDED, ChargeStatus.VOIDED})
HELD = frozenset({Reservation.RESERVED, Reservation.COMMITTED})
GIVEN_BACK = frozenset({Reservation.RELEASED, Reservation.RESTOCKED})

_CHARGES: Mapping[Status, frozenset[ChargeStatus | None]] = {
    Status.RECEIVED: frozenset({None}),
    Status.RESERVED: frozenset(
        {None, ChargeStatus.PENDING, ChargeStatus.DECLINED, ChargeStatus.VOIDED}
    ),
    Status.CHARGED: frozenset({ChargeStatus.CHARGED}),
    Status.COMPLETED: frozenset({ChargeStatus.CHARGED}),
    Status.WAITING: frozenset({None, *ChargeStatus} - {ChargeStatus.REFUNDED}),
    Status.AWAITING_APPROVAL: frozenset({None}),
    Status.COMPENSATING: frozenset({None, *ChargeStatus}),
    Status.FAILED: PAID_BACK,
    Status.CANCELLED: PAID_BACK,
}
"""States of a charge that an order's status allows."""

_RESERVATIONS: Mapping[Status, frozenset[Reservation | None]] = {
    Status.RECEIVED: frozenset({None}),
    Status.RESERVED: HELD,
    Status.CHARGED: HELD,
    Status.COMPLETED: frozenset({Reservation.COMMITTED}),
    Status.WAITING: HELD | {None},
    Status.AWAITING_APPROVAL: HELD,
    Status.COMPENSATING: HELD | GIVEN_BACK | {None},
    Status.FAILED: GIVEN_BACK | {None},
    Status.CANCELLED: GIVEN_BACK | {None},
}
"""States of a reservation that an order's status allows."""

_SHIPMENTS: Mapping[Status, frozenset[ShipmentStatus | None]] = {
    Status.RECEIVED: frozenset({None}),
    Status.RESERVED: frozenset({None}),
    Status.CHARGED: frozenset({None, ShipmentStatus.CREATED}),
    Status.COMPLETED: frozenset({ShipmentStatus.CREATED}),
    Status.WAITING: frozenset({None, ShipmentStatus.CREATED}),
    Status.AWAITING_APPROVAL: frozenset({None}),
    Status.COMPENSATING: frozenset({None, *ShipmentStatus}),
    Status.FAILED: frozenset({None, ShipmentStatus.VOIDED}),
    Status.CANCELLED: frozenset({None, ShipmentStatus.VOIDED}),
}
"""States of a shipment that its order's status allows."""

_LOOK = "compare `orders show {}` with the {} own record, and restore the last good backup"
_NOTHING: Row = {"status": None, "charge_id": None, "shipment_id": None, "tracking_number": None}


def check_order(record: OrderRecord, charge: Row | None, shipment: Row | None) -> Iterator[Finding]:
    """Return the findings of an order, its charge in the ledger and its shipment.

    ``charge`` has ``charge_id`` and ``status``, perhaps ``amount`` and ``currency``; ``shipment``
    has ``shipment_id``, ``status`` and ``tracking_number``.
    """
    yield from _money(record, charge)
    if record.reservation not in _RESERVATIONS[record.status]:
        problem = f"it is {record.status}, and its units are {record.reservation}"
        remedy = _LOOK.format(record.order_id, "store's")
        yield Finding(Invariant.STOCK, f"order {record.order_id}", problem, remedy)
    yield from _shipment(record, shipment)


def _money(record: OrderRecord, charge: Row | None) -> Iterator[Finding]:
    entered = charge or _NOTHING
    subject = f"order {record.order_id}"
    remedy = _LOOK.format(record.order_id, "gateway's")
    wrong = partial(Finding, Invariant.MONEY, subject, remedy=remedy)
    if entered["status"] != record.charge:
        yield wrong(f"its charge is {record.charge}, and the ledger has {entered['status']}")
    known = charge_id(record.order_id)
    if charge and {entered["charge_id"], record.charge_id} != {known}:
        yield wrong(
            f"its only charge is {known}, its record has {record.charge_id}, and the ledger has"
            f" {entered['charge_id']}"
        )
    amount = entered.get("amount", record.total)
    currency = entered.get("currency", record.currency)
    if (amount, currency) != (record.total, record.currency):
        yield wrong(
            f"its total is {record.currency} {text(record.total)}, and the ledger has"
            f" {currency} {text(amount)}"
        )
    if record.charge not in _CHARGES[record.status]:
        yield wrong(f"it is {record.status}, and its charge is {record.charge}")


def _shipment(record: OrderRecord, shipment: Row | None) -> Iterator[Finding]:
    status, entered = record.status, shipment or _NOTHING
    created = record.shipment is ShipmentStatus.CREATED
    remedy = _LOOK.format(record.order_id, "carrier's")
    wrong = partial(Finding, Invariant.SHIPMENT, f"order {record.order_id}", remedy=remedy)
    if entered["status"] != record.shipment:
        yield wrong(
            f"its shipment is {record.shipment}, and the shipments have {entered['status']}"
        )
    known = shipment_id(record.order_id) if shipment else None
    if shipment and {entered["shipment_id"], record.shipment_id} != {known}:
        yield wrong(
            f"its only shipment is {known}, its record has {record.shipment_id}, and the shipments"
            f" have {entered['shipment_id']}"
        )
    if created and shipment and entered["tracking_number"] != record.tracking_number:
        yield wrong(
            f"its tracking number is {record.tracking_number}, and the shipments have"
            f" {entered['tracking_number']}"
        )
    if created and record.charge is not ChargeStatus.CHARGED:
        yield wrong(f"it is shipped, and its charge is {record.charge}")
    if record.shipment not in _SHIPMENTS[status]:
        yield wrong(f"it is {status}, and its shipment is {record.shipment}")


class Units(NamedTuple):
    """Units of one SKU according to the orders."""

    reserved: int = 0
    shipped: int = 0
    restocked: int = 0


_MOVED: Mapping[Reservation | None, Units] = {
    None: Units(),
    Reservation.RESERVED: Units(reserved=1),
    Reservation.COMMITTED: Units(shipped=1),
    Reservation.RELEASED: Units(),
    Reservation.RESTOCKED: Units(shipped=1, restocked=1),
}


class StockBook:
    """Sums of the orders' units by SKU, for comparison with the counts of the stock."""

    def __init__(self) -> None:
        self._units: dict[str, Units] = defaultdict(Units)

    def add(self, record: OrderRecord) -> None:
        """Count the units of an order."""
        moved = _MOVED[record.reservation]
        if any(moved):
            for sku, units in record.demand.items():
                self.add_units(sku, Units(*(units * each for each in moved)))

    def add_units(self, sku: str, units: Units) -> None:
        """Count units of a SKU, such as those of pruned orders."""
        self._units[sku] = Units(*map(sum, zip(self._units[sku], units, strict=True)))

    def check(self, stock: Iterable[Row], received: int | None) -> Iterator[Finding]:
        """Yield the findings of the counts of all SKUs.

        ``received`` is the number of units in all stock files, if known.
        """
        unmatched, total = dict(self._units), 0
        for counts in stock:
            sku = counts["sku"]
            total += counts["received"]
            yield from _counts(counts)
            yield from _compared(sku, counts, unmatched.pop(sku, Units()))
        for sku, units in unmatched.items():
            yield from _compared(sku, {"reserved": 0, "shipped": 0, "restocked": 0}, units)
        if received is not None and received != total:
            yield Finding(
                Invariant.STOCK,
                "stock",
                f"its counts have received {total} units, and the stock files have {received}",
                "compare the stock files with `received` of each SKU",
            )


def _counts(counts: Row) -> Iterator[Finding]:
    reserved, on_hand = counts["reserved"], counts["on_hand"]
    shipped, restocked = counts["shipped"], counts["restocked"]
    remedy = "count the units in stock, and correct the counts while nothing runs"
    wrong = partial(Finding, Invariant.STOCK, f"SKU {counts['sku']}", remedy=remedy)
    if not 0 <= reserved <= on_hand:
        yield wrong(f"{reserved} units are reserved, and {on_hand} are on hand")
    if on_hand + shipped - restocked != counts["received"] or min(shipped, restocked) < 0:
        yield wrong(
            f"{counts['received']} units were received, and {on_hand} on hand + {shipped} shipped"
            f" - {restocked} restocked are {on_hand + shipped - restocked}"
        )


def _compared(sku: str, counts: Row, by_orders: Units) -> Iterator[Finding]:
    for name, units in by_orders._asdict().items():
        if counts[name] != units:
            problem = f"{counts[name]} units are {name}, and by the orders {units} are"
            remedy = f"set its `{name}` to {units} while nothing runs"
            yield Finding(Invariant.STOCK, f"SKU {sku}", problem, remedy)
