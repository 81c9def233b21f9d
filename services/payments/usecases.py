"""Charge an order once, and pay it back once.

The ledger says PENDING before the gateway is asked. Whatever is found PENDING later is looked up
at the gateway before anything is asked of it again: a key may have been forgotten there.

PENDING itself may be lost in a power cut of the one machine, but never what the order was before,
when this was asked for. So an order that has rested is looked up as well, and one that could have
been charged is undone at the gateway whatever the ledger says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kernel.clock import timestamp
from kernel.errors import LeaseLost, OrderCancelled, PaymentDeclined, PaymentGatewayError
from kernel.events import Metadata, PaymentRefunded, to_entry
from kernel.idempotency import charge_id, published_event_id
from kernel.lease import require_active, require_compensating, require_holder
from kernel.money import smallest_units
from kernel.order_record import (
    Change,
    Entry,
    Message,
    OrderRecord,
    Records,
    retry_on_conflict,
    retry_on_conflict_from,
)
from kernel.order_status import UNDOING, ChargeStatus, Status
from payments.model import Charge, GatewayRecord, LedgerEntry

RESTED = 3_600.0
"""Seconds without a write after which PENDING may have been lost: far less than the time for which
a gateway remembers a key."""


class Ledger(Records, Protocol):
    """Records together with the ledger of their charges."""

    def enter(self, change: Change, entry: LedgerEntry) -> OrderRecord:
        """Write a change and its ledger entry in one transaction, or raise `VersionConflict`."""


class Gateway(Protocol):
    """Who moves the money; every call raises `PaymentGatewayError` for want of a usable answer."""

    def charge(self, charge: Charge) -> GatewayRecord:
        """Charge once under a key; a key known to the gateway answers as it did before."""

    def find(self, key: str) -> GatewayRecord | None:
        """Return the gateway's own record of a key, however old."""

    def refund(self, key: str) -> GatewayRecord:
        """Pay a charge back, once."""

    def void(self, key: str) -> GatewayRecord:
        """Make sure that nothing will be charged under a key; CHARGED if something already was."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the use cases need."""

    store: Ledger
    gateway: Gateway
    now: Callable[[], float]


class Outcome(NamedTuple):
    """How a step ended."""

    outcome: str
    charge_id: str | None


def pay(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Charge an order's total, once.

    Raises
    ------
    OrderCancelled
        Asked for before the charge or while it was made.
    PaymentDeclined
        For good.
    PaymentGatewayError
        The outcome is unknown; ask again.
    LeaseLost
        A newer run holds the order.
    """
    record, known = _open(order_id, epoch, ports)
    if record.charge in (ChargeStatus.DECLINED, ChargeStatus.REFUNDED, ChargeStatus.VOIDED):
        raise PaymentDeclined(f"the payment of order {order_id} is {record.charge}")
    if record.charge is not ChargeStatus.CHARGED:
        found = _ask(record, ports, known=known)
        record = retry_on_conflict_from(
            record, lambda one: _settle(one, epoch, found, ports), ports.store
        )
    if record.cancel_requested:
        raise OrderCancelled(f"order {order_id} was cancelled while it was charged")
    return Outcome("CHARGED", record.charge_id)


def pay_back(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Refund what a compensated order was charged, or see to it that nothing will be.

    Raises
    ------
    PaymentGatewayError
        It cannot be confirmed yet; ask again.
    LeaseLost
        A newer run holds the order.
    """
    record = require_compensating(ports.store.read(order_id), epoch)
    if not _may_be_charged(record):
        return Outcome("NOTHING_TO_PAY_BACK", record.charge_id)
    key = charge_id(order_id)
    if record.charge is ChargeStatus.CHARGED:
        found = ports.gateway.refund(key)
    else:
        found = ports.gateway.void(key)
        if found.status is ChargeStatus.CHARGED:
            found = ports.gateway.refund(key)
        elif record.charge is None:
            return Outcome("NOTHING_TO_PAY_BACK", None)
    return _close(order_id, epoch, found, ports)


def _may_be_charged(record: OrderRecord) -> bool:
    if record.charge is None:
        return record.reservation is not None  # nothing is charged that was not reserved before
    return record.charge in (ChargeStatus.PENDING, ChargeStatus.CHARGED)


@retry_on_conflict
def _open(order_id: str, epoch: int, ports: Ports) -> tuple[OrderRecord, bool]:
    """Enter PENDING into the ledger; say whether there may have been a charge before."""
    record, now = require_active(ports.store.read(order_id), epoch), ports.now()
    if record.charge is ChargeStatus.CHARGED and record.status is Status.WAITING:
        return ports.store.save(record.change(status=Status.CHARGED)), True
    if record.charge is not None:
        return record, True
    change = record.change(
        Entry("CHARGE_PENDING", now, {"amount": record.total}),
        charge=ChargeStatus.PENDING,
        charge_id=charge_id(order_id),
    )
    rested = now - record.updated_at > RESTED
    return ports.store.enter(change, _entry(record, ChargeStatus.PENDING, None)), rested


def _ask(record: OrderRecord, ports: Ports, *, known: bool) -> GatewayRecord:
    """Have the gateway charge, or tell what it did under this key before."""
    key = charge_id(record.order_id)
    if known:
        found = ports.gateway.find(key)
        if found is not None:
            return found
    try:
        amount = smallest_units(record.total, record.currency)
    except ValueError as error:  # contracts of before took it; nobody can charge it
        raise PaymentDeclined(f"order {record.order_id} cannot be charged: {error}") from None
    return ports.gateway.charge(
        Charge(key, record.order_id, amount, record.currency, record.payment_token)
    )


def _settle(record: OrderRecord, epoch: int, found: GatewayRecord, ports: Ports) -> OrderRecord:
    """Enter the gateway's answer; a run that was overtaken leaves no charge behind."""
    try:
        require_holder(record, epoch)
    except LeaseLost:
        if record.status in UNDOING:
            _undo(found, ports)
        raise
    if record.charge is ChargeStatus.CHARGED:
        return record  # a twin of this very run was quicker
    if found.status is not ChargeStatus.CHARGED:
        if record.charge is not found.status:
            entry = Entry(f"CHARGE_{found.status}", ports.now())
            change = record.change(entry, charge=found.status)
            ports.store.enter(change, _entry(record, found.status, found.reference))
        raise PaymentDeclined(
            f"the payment of order {record.order_id} is {found.status} at the gateway"
        )
    change = record.change(
        Entry("CHARGED", ports.now(), {"amount": record.total, "reference": found.reference}),
        status=Status.CHARGED,
        charge=ChargeStatus.CHARGED,
    )
    return ports.store.enter(change, _entry(record, ChargeStatus.CHARGED, found.reference))


def _undo(found: GatewayRecord, ports: Ports) -> None:
    """Pay back what a late twin of a compensated run charged."""
    if found.status is ChargeStatus.CHARGED:
        ports.gateway.refund(found.key)


@retry_on_conflict
def _close(order_id: str, epoch: int, found: GatewayRecord, ports: Ports) -> Outcome:
    record = require_compensating(ports.store.read(order_id), epoch)
    if found.status not in (ChargeStatus.REFUNDED, ChargeStatus.VOIDED, ChargeStatus.DECLINED):
        raise PaymentGatewayError(f"the gateway still has {found.key} as {found.status}")
    if record.charge is found.status:
        return Outcome(found.status, record.charge_id)  # a twin of this very run was quicker
    refunded = found.status is ChargeStatus.REFUNDED
    now = ports.now()
    change = record.change(
        Entry(f"CHARGE_{found.status}", now, {"amount": record.total} if refunded else {}),
        charge=found.status,
        charge_id=charge_id(order_id),
        messages=(_refunded_event(record, now),) if refunded else (),
    )
    ports.store.enter(change, _entry(record, found.status, found.reference))
    return Outcome(found.status, charge_id(order_id))


def _entry(record: OrderRecord, status: ChargeStatus, reference: str | None) -> LedgerEntry:
    return LedgerEntry(
        charge_id(record.order_id),
        record.order_id,
        record.total,
        record.currency,
        status,
        reference,
    )


def _refunded_event(record: OrderRecord, at: float) -> Message:
    detail = PaymentRefunded.model_construct(
        order_id=record.order_id,
        timestamp=timestamp(at),
        customer_id=record.customer_id,
        currency=record.currency,
        amount=record.total,
        charge_id=charge_id(record.order_id),
        reason=record.failure or "OrderCancelled",
        metadata=Metadata(
            event_id=published_event_id(record.order_id, PaymentRefunded.name, record.version + 1),
            schema_version=PaymentRefunded.version,
            correlation_id=record.correlation_id,
            causation_id=record.event_id,
        ),
    )
    return Message("event", to_entry(detail))
