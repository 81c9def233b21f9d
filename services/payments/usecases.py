"""Charge an order once, and refund it once.

The idempotency key of a charge is `kernel.idempotency.charge_id`. The ledger is PENDING before
the gateway charges. A charge that is PENDING already is looked up at the gateway before it is
charged again: the gateway may have forgotten the key.

PENDING can be lost in a power cut (see `payments.lost_pending`). So compensation queries the
gateway for every order that may have been charged, regardless of the ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kernel.approval import Thresholds, require_approved
from kernel.clock import timestamp
from kernel.errors import LeaseLost, OrderCancelled, PaymentDeclined, PaymentGatewayError
from kernel.events import PaymentRefunded
from kernel.idempotency import charge_id
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
from kernel.published_events import event_message, published_metadata
from payments.lost_pending import may_have_lost_pending
from payments.model import Charge, GatewayRecord, LedgerEntry


class Ledger(Records, Protocol):
    """Records, and the ledger of their charges."""

    def enter(self, change: Change, entry: LedgerEntry) -> OrderRecord:
        """Write a change and its ledger entry in one transaction, or raise `VersionConflict`."""


class Gateway(Protocol):
    """A payment gateway; a call without a usable answer raises `PaymentGatewayError`."""

    def charge(self, charge: Charge) -> GatewayRecord:
        """Charge once under an idempotency key; a known key gets the first answer again."""

    def find(self, key: str) -> GatewayRecord | None:
        """Return the gateway's own record of a key, of any age."""

    def refund(self, key: str) -> GatewayRecord:
        """Refund a charge, once."""

    def void(self, key: str) -> GatewayRecord:
        """Prevent a later charge under a key; return CHARGED if there is a charge already."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the use cases."""

    store: Ledger
    gateway: Gateway
    now: Callable[[], float]
    approved: Thresholds | None = None
    """Lowest totals that need an approval; None if no order does."""


class Outcome(NamedTuple):
    """Result of a step."""

    outcome: str
    charge_id: str | None


def pay(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Charge an order's total, once.

    Raises
    ------
    OrderCancelled
        The cancellation was requested before or during the charge.
    PaymentDeclined
        The payment was refused; a retry is refused too.
    PaymentGatewayError
        The outcome is unknown; retry.
    ApprovalRequired, ApprovalRejected, ApprovalExpired
        The order is of high value and is not approved (`kernel.approval.require_approved`).
    LeaseLost
        A newer run holds the order.
    """
    record, is_look_up_due = _open(order_id, epoch, ports)
    if record.charge in (ChargeStatus.DECLINED, ChargeStatus.REFUNDED, ChargeStatus.VOIDED):
        raise PaymentDeclined(f"the payment of order {order_id} is {record.charge}")
    if record.charge is not ChargeStatus.CHARGED:
        answer = _charge(record, ports, look_up=is_look_up_due)
        record = retry_on_conflict_from(
            record, lambda latest: _settle(latest, epoch, answer, ports), ports.store
        )
    if record.cancel_requested:
        raise OrderCancelled(f"order {order_id} was cancelled while it was charged")
    return Outcome("CHARGED", record.charge_id)


def refund(order_id: str, epoch: int, ports: Ports) -> Outcome:
    """Refund the charge of a compensated order, or void it before it is made.

    Raises
    ------
    PaymentGatewayError
        The gateway has not confirmed it yet; retry.
    LeaseLost
        A newer run holds the order.
    """
    record = require_compensating(ports.store.read(order_id), epoch)
    if not _may_be_charged(record):
        return Outcome("NOTHING_TO_PAY_BACK", record.charge_id)
    key = charge_id(order_id)
    if record.charge is ChargeStatus.CHARGED:
        answer = ports.gateway.refund(key)
    else:
        answer = ports.gateway.void(key)
        if answer.status is ChargeStatus.CHARGED:
            answer = ports.gateway.refund(key)
        elif record.charge is None:
            return Outcome("NOTHING_TO_PAY_BACK", None)
    return _close(order_id, epoch, answer, ports)


def _may_be_charged(record: OrderRecord) -> bool:
    if record.charge is None:
        return record.reservation is not None  # stock is reserved before the charge
    return record.charge in (ChargeStatus.PENDING, ChargeStatus.CHARGED)


@retry_on_conflict
def _open(order_id: str, epoch: int, ports: Ports) -> tuple[OrderRecord, bool]:
    """Enter PENDING into the ledger; return whether the gateway may have a charge already."""
    record, now = require_active(ports.store.read(order_id), epoch), ports.now()
    if record.charge is ChargeStatus.CHARGED and record.status is Status.WAITING:
        return ports.store.save(record.change(status=Status.CHARGED)), True
    if record.charge is not None:
        return record, True
    require_approved(record, ports.approved, now)
    change = record.change(
        Entry("CHARGE_PENDING", now, {"amount": record.total}),
        charge=ChargeStatus.PENDING,
        charge_id=charge_id(order_id),
    )
    is_look_up_due = may_have_lost_pending(record.updated_at, now)
    return ports.store.enter(change, _entry(record, ChargeStatus.PENDING, None)), is_look_up_due


def _charge(record: OrderRecord, ports: Ports, *, look_up: bool) -> GatewayRecord:
    """Charge at the gateway, unless ``look_up`` finds the gateway's record of an earlier charge."""
    key = charge_id(record.order_id)
    if look_up:
        earlier = ports.gateway.find(key)
        if earlier is not None:
            return earlier
    try:
        amount = smallest_units(record.total, record.currency)
    except ValueError as error:  # earlier contracts accepted such an amount
        raise PaymentDeclined(f"order {record.order_id} cannot be charged: {error}") from None
    return ports.gateway.charge(
        Charge(key, record.order_id, amount, record.currency, record.payment_token)
    )


def _settle(record: OrderRecord, epoch: int, answer: GatewayRecord, ports: Ports) -> OrderRecord:
    """Enter the gateway's answer into the ledger.

    If the run has lost the order to a compensation, the charge is refunded.
    """
    try:
        require_holder(record, epoch)
    except LeaseLost:
        if record.status in UNDOING:
            _refund_late_charge(answer, ports)
        raise
    if record.charge is ChargeStatus.CHARGED:
        return record  # another invocation of this step was faster
    if answer.status is not ChargeStatus.CHARGED:
        if record.charge is not answer.status:
            entry = Entry(f"CHARGE_{answer.status}", ports.now())
            change = record.change(entry, charge=answer.status)
            ports.store.enter(change, _entry(record, answer.status, answer.reference))
        raise PaymentDeclined(
            f"the payment of order {record.order_id} is {answer.status} at the gateway"
        )
    change = record.change(
        Entry("CHARGED", ports.now(), {"amount": record.total, "reference": answer.reference}),
        status=Status.CHARGED,
        charge=ChargeStatus.CHARGED,
    )
    return ports.store.enter(change, _entry(record, ChargeStatus.CHARGED, answer.reference))


def _refund_late_charge(answer: GatewayRecord, ports: Ports) -> None:
    """Refund a charge that a late invocation made after the order's compensation had started."""
    if answer.status is ChargeStatus.CHARGED:
        ports.gateway.refund(answer.key)


@retry_on_conflict
def _close(order_id: str, epoch: int, answer: GatewayRecord, ports: Ports) -> Outcome:
    """Enter the gateway's answer to a refund or a void into the ledger."""
    record = require_compensating(ports.store.read(order_id), epoch)
    if answer.status not in (ChargeStatus.REFUNDED, ChargeStatus.VOIDED, ChargeStatus.DECLINED):
        raise PaymentGatewayError(f"the gateway still has {answer.key} as {answer.status}")
    if record.charge is answer.status:
        return Outcome(answer.status, record.charge_id)  # another invocation was faster
    is_refunded = answer.status is ChargeStatus.REFUNDED
    now = ports.now()
    change = record.change(
        Entry(f"CHARGE_{answer.status}", now, {"amount": record.total} if is_refunded else {}),
        charge=answer.status,
        charge_id=charge_id(order_id),
        messages=(_refunded_event(record, now),) if is_refunded else (),
    )
    ports.store.enter(change, _entry(record, answer.status, answer.reference))
    return Outcome(answer.status, charge_id(order_id))


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
        metadata=published_metadata(
            PaymentRefunded,
            record.order_id,
            record.version + 1,
            correlation_id=record.correlation_id,
            causation_id=record.event_id,
        ),
    )
    return event_message(detail)
