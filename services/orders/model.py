"""The rules of an order's life: pure functions from a record to its change.

The allowed status transitions are in `kernel.order_status.TRANSITIONS`. `claim` decides that an
event is a duplicate.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from zlib import crc32

from kernel.approval import ended_wait
from kernel.errors import (
    CancellationRefused,
    ChangeRefused,
    DuplicateOrder,
    LeaseLost,
    OrderConflict,
    OrderIncomplete,
)
from kernel.lease import require_compensating, require_holder
from kernel.order_record import Change, Entry, Message, OrderRecord
from kernel.order_status import (
    PAUSED,
    UNDOING,
    Approval,
    ChargeStatus,
    Reservation,
    ShipmentStatus,
    Status,
)
from kernel.timestamps import moment, timestamp

CANCELLED = "OrderCancelled"
EXPIRED = "ApprovalExpired"
OUT_OF_STOCK = "OutOfStock"
"""Reason of an order that waits for units."""

UNPAID = "PaymentUnavailable"
FAILURE_CODES = {"PaymentGatewayError": UNPAID}
"""Failure code of an order by the error that a step raised at every retry; other errors stay."""

TRANSIENT = ("Lambda.", "Runtime.", "Sandbox.", "States.", "StoreError", "VersionConflict")
"""Prefixes of the names of platform errors, which do not depend on the order."""

DELAYED = 3_600.0
"""Age in seconds from which an order that waits for the platform again counts as delayed."""

JITTER = 0.2
"""Share by which a wait is lengthened or shortened, so that orders do not resume all at once."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """A run that claims an order.

    ``owner`` is the execution's name, which survives a restart. ``content_hash`` is the hash of
    the event that started the run; it is `None` for a run that resumes an order. ``after`` is a
    run that is known to have ended: its lease is ignored.
    """

    owner: str
    content_hash: str | None
    lease_seconds: float
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """The start of a wait in epoch seconds, and its duration in seconds."""

    since: float
    seconds: int


@dataclass(frozen=True, slots=True)
class Reason:
    """The reason why an order waits or is compensated: an error's name and a sentence."""

    code: str
    message: str

    @classmethod
    def of_step(cls, step: object) -> "Reason":
        """Return the reason in the workflow's result of a step.

        ``step`` is a task's answer (``reason``, ``message``), a caught error (``Error``,
        ``Cause``), or the list of the parallel branches' answers: the first problem counts, and
        one of the order before one of the platform.
        """
        if isinstance(step, list):
            reasons = [cls.of_step(branch) for branch in step]
            problems = [reason for reason in reasons if reason.code != "Unknown"]
            of_order = [reason for reason in problems if not reason.is_transient]
            return [*of_order, *problems, *reasons][0]
        if not isinstance(step, Mapping):
            return cls("Unknown", "the workflow gave no reason")
        if "Error" in step:
            return cls(str(step["Error"]), _cause(step.get("Cause", "")))
        return cls(str(step.get("reason") or "Unknown"), str(step.get("message") or ""))

    @property
    def is_transient(self) -> bool:
        """Whether the platform failed and not the order: a wait for it uses no attempt."""
        return self.code.startswith(TRANSIENT)


def _cause(cause: object) -> str:
    """Return the message in an error's cause, which Lambda sends as JSON."""
    try:
        message = str(json.loads(str(cause))["errorMessage"])
    except (ValueError, KeyError, TypeError, RecursionError):
        message = str(cause)
    return message.encode(errors="replace").decode()  # no store keeps a lone surrogate


def claim(record: OrderRecord, claimant: Claimant, now: float) -> Change:
    """Claim an order for a run: increment the epoch and set the lease.

    Raises
    ------
    OrderConflict
        The order exists with other content.
    DuplicateOrder
        The order has ended, another run holds it, or it waits and is resumed automatically.
    """
    if claimant.content_hash not in (None, record.content_hash):
        raise OrderConflict(
            f"order {record.order_id} exists with other content, which is not changed:"
            " send a new order under a new id"
        )
    if record.ended:
        raise DuplicateOrder(f"order {record.order_id} is {record.status} already")
    free_owners = (None, claimant.owner, claimant.after)
    if record.lease_owner not in free_owners and record.lease_until > now:
        raise DuplicateOrder(f"order {record.order_id} is held by run {record.lease_owner}")
    waits = record.status in PAUSED and record.resume_at > now
    if waits and claimant.content_hash and not record.cancel_requested:
        raise DuplicateOrder(f"order {record.order_id} waits and is resumed automatically")
    return record.change(
        Entry(
            "CLAIMED" if record.version else "RECEIVED",
            now,
            {"run": claimant.owner, "attempt": record.attempts + 1},
        ),
        epoch=record.epoch + 1,
        lease_owner=claimant.owner,
        lease_until=now + claimant.lease_seconds,
    )


def pause(
    record: OrderRecord, epoch: int, reason: Reason, wait: Wait, messages: tuple[Message, ...]
) -> Change:
    """Set an order WAITING without a lease; send ``messages`` if it waits for a new reason.

    A wait for the platform itself uses no attempt.
    """
    require_holder(record, epoch)
    return record.change(
        Entry("WAITING", wait.since, {"reason": reason.code, "message": reason.message}),
        messages=messages if record.waiting_for != reason.code else (),
        status=Status.WAITING,
        waiting_for=reason.code,
        attempts=record.attempts + (not reason.is_transient),
        resume_at=wait.since + wait.seconds,
        lease_owner=None,
        lease_until=0.0,
    )


def is_delayed(record: OrderRecord, reason: Reason, now: float) -> bool:
    """Return whether an order older than `DELAYED` waits for the platform again."""
    again = reason.is_transient and (record.waiting_for or "").startswith(TRANSIENT)
    return again and now - record.created_at > DELAYED


def is_undone_late(record: OrderRecord, now: float) -> bool:
    """Say whether an order that is an hour old is still being compensated."""
    return record.status in UNDOING and now - record.created_at > DELAYED


def require_unpaid(record: OrderRecord, reason: Reason) -> None:
    """Raise `OrderIncomplete` if an order is paid: a software defect must not compensate it."""
    if record.charge is ChargeStatus.CHARGED:
        raise OrderIncomplete(
            f"order {record.order_id} is paid and has waited {record.attempts} times because of"
            f" {reason.code}: {reason.message}; correct that, the reconciler starts it again"
        )


def spread(seconds: int, order_id: str, epoch: int) -> int:
    """Return a wait made longer or shorter by up to `JITTER`: the same for each call of a run."""
    share = crc32(f"{order_id}-{epoch}".encode()) / 2**32
    return max(1, round(seconds * (1 - JITTER + 2 * JITTER * share)))


def waits_for_stock(record: OrderRecord) -> bool:
    """Return whether an order waits for units of a SKU."""
    return record.status is Status.WAITING and record.waiting_for == OUT_OF_STOCK


def is_paused(record: OrderRecord, epoch: int) -> bool:
    """Return whether the run with this epoch has paused the order already."""
    return record.status is Status.WAITING and record.epoch == epoch and record.lease_owner is None


def compensate(
    record: OrderRecord, epoch: int, reason: Reason, claimant: Claimant, now: float
) -> Change:
    """Set an order COMPENSATING under a new epoch, which fences late writers off."""
    require_holder(record, epoch)
    if record.cancel_requested:
        reason = Reason(CANCELLED, record.cancel_reason or "cancelled on request")
    unpaid = record.charge is ChargeStatus.PENDING and not record.cancel_requested
    code = record.failure or (UNPAID if unpaid else FAILURE_CODES.get(reason.code, reason.code))
    approval, messages = _ended_approval(record, code)
    return record.change(
        Entry("COMPENSATING", now, {"reason": code}),
        messages=messages,
        status=Status.COMPENSATING,
        epoch=record.epoch + 1,
        lease_owner=claimant.owner,
        lease_until=now + claimant.lease_seconds,
        failure=code,
        failure_message=record.failure_message or reason.message,
        **approval,
    )


def _ended_approval(record: OrderRecord, code: str) -> tuple[dict[str, Any], tuple[Message, ...]]:
    """Return the fields and messages that end the wait of an order that is compensated."""
    if record.approval is None:
        return {}, ()
    is_expired = code == EXPIRED and record.approval is Approval.PENDING
    fields = {
        "approval_token": None,
        "approval": Approval.EXPIRED if is_expired else record.approval,
    }
    return fields, ended_wait(record.approval_token, code, None)


def is_compensating(record: OrderRecord, epoch: int, owner: str) -> bool:
    """Return whether this run has set the order COMPENSATING already."""
    return (
        record.status is Status.COMPENSATING
        and record.epoch == epoch + 1
        and record.lease_owner == owner
    )


def complete(record: OrderRecord, epoch: int, now: float, messages: tuple[Message, ...]) -> Change:
    """End an order as COMPLETED.

    Raises
    ------
    LeaseLost
        A newer run holds the order, or the order waits: a late call of the run that paused it.
    OrderIncomplete
        The order is not charged, not taken from stock, or not shipped.
    """
    require_holder(record, epoch)
    if record.status is Status.WAITING:
        raise LeaseLost(f"order {record.order_id} waits; its next run completes it")
    is_done = (
        record.charge is ChargeStatus.CHARGED
        and record.reservation is Reservation.COMMITTED
        and record.shipment is ShipmentStatus.CREATED
    )
    if not is_done:
        raise OrderIncomplete(
            f"order {record.order_id} has charge {record.charge}, stock {record.reservation},"
            f" shipment {record.shipment}"
        )
    return _end(record, Status.COMPLETED, now, messages)


def fail(record: OrderRecord, epoch: int, now: float, messages: tuple[Message, ...]) -> Change:
    """End a compensated order: as CANCELLED if its cancellation was requested, else as FAILED.

    Raises
    ------
    OrderIncomplete
        A reservation, charge or shipment is not undone yet.
    """
    require_compensating(record, epoch)
    is_open = (
        record.charge in (ChargeStatus.PENDING, ChargeStatus.CHARGED)
        or record.reservation in (Reservation.RESERVED, Reservation.COMMITTED)
        or record.shipment is ShipmentStatus.CREATED
    )
    if is_open:
        raise OrderIncomplete(
            f"order {record.order_id} still has charge {record.charge}, stock"
            f" {record.reservation}, shipment {record.shipment}"
        )
    return _end(record, ending(record), now, messages)


def ending(record: OrderRecord) -> Status:
    """Return the last status of a compensated order."""
    return Status.CANCELLED if record.cancel_requested else Status.FAILED


def _end(record: OrderRecord, status: Status, now: float, messages: tuple[Message, ...]) -> Change:
    detail = {"reason": record.failure} if record.failure else {}
    token = None if status is Status.COMPLETED else _token_digest(record, record.payment_token)
    return record.change(
        Entry(status, now, detail),
        messages=messages,
        status=status,
        lease_owner=None,
        lease_until=0.0,
        payment_token=token,
    )


def _token_digest(record: OrderRecord, token: str | None) -> str | None:
    """Return the digest that replaces the payment token of an order that ended unpaid.

    It is enough to recognize the same token again.
    """
    if token is None:
        return None
    return f"sha256:{sha256(f'{record.order_id}|{token}'.encode()).hexdigest()}"


def has_other_payment(record: OrderRecord, token: str | None) -> bool:
    """Return whether an order was placed before with another payment token.

    A completed order is paid: its token is deleted, so there is none to compare with.
    """
    if record.status is Status.COMPLETED:
        return False
    return record.payment_token not in (token, _token_digest(record, token))


def has_ended(record: OrderRecord, epoch: int, *statuses: Status) -> bool:
    """Return whether the run with this epoch has ended the order in one of these statuses."""
    return record.epoch == epoch and record.status in statuses


def cancel(
    record: OrderRecord, reason: str | None, event_id: str | None, now: float
) -> Change | None:
    """Request an order's cancellation; return `None` if it was requested before.

    Raises
    ------
    CancellationRefused
        The shipment exists, or the order ended in another status.
    """
    if record.status is Status.CANCELLED or (record.cancel_requested and not record.ended):
        return None
    if record.ended:
        raise CancellationRefused(f"order {record.order_id} is {record.status} already")
    if record.shipment is ShipmentStatus.CREATED and record.status not in UNDOING:
        raise CancellationRefused(f"order {record.order_id} is shipped already")
    is_held, token = (
        record.lease_owner is not None and record.lease_until > now,
        record.approval_token,
    )
    return record.change(
        Entry("CANCEL_REQUESTED", now, {"reason": reason} if reason else {}),
        messages=() if is_held else ended_wait(token, CANCELLED, resume(record, now, "c")),
        cancel_requested=True,
        cancel_reason=reason,
        cancel_event_id=event_id,
        **({"approval_token": None} if token is not None and not is_held else {}),
    )


CLOCK_SKEW = 60.0
"""Seconds that a sender's clock may be ahead of ours; a later time counts as now."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """A requested change of an order's shipping address and e-mail address.

    ``at`` is the RFC 3339 time from which the change is effective, and ``sent`` the time that the
    sender wrote. A request without a time is effective now and is the latest.
    """

    address: Mapping[str, Any] | None
    email: str | None
    at: str | None = None
    sent: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """The requested values by the field names of the record."""
        values = {"shipping_address": self.address, "email": self.email}
        return {name: value for name, value in values.items() if value is not None}


def effective_time(sent: str, now: float, arrived_at: float) -> str:
    """Return the time from which a request is effective: the sender's, unless it is in the future.

    A time more than `CLOCK_SKEW` ahead of our clock is replaced by the arrival of the request,
    which is the same for each delivery.
    """
    is_ahead = moment(sent).timestamp() > now + CLOCK_SKEW
    return timestamp(min(arrived_at, now)) if is_ahead else sent


def amend(
    record: OrderRecord, amendment: Amendment, now: float, *, unconfirmed: bool = False
) -> Change | None:
    """Change the addresses of an order, field by field; return `None` without a difference.

    A request is compared with the last request for the same field. The e-mail address of a
    shipped order can still be corrected while it is ``unconfirmed``: no mail could be sent to it.

    Raises
    ------
    ChangeRefused
        The order is shipped, is being compensated, or has ended; or a later request changed each
        field.
    """
    if is_closed(record) and not (unconfirmed and corrects_email_only(record, amendment)):
        state = "shipped" if record.shipment is ShipmentStatus.CREATED else record.status
        raise ChangeRefused(f"order {record.order_id} is {state} already")
    return _amended(record, amendment, now)


def is_closed(record: OrderRecord) -> bool:
    """Return whether it is too late to change the addresses of an order."""
    return record.ended or record.status in UNDOING or record.shipment is not None


def corrects_email_only(record: OrderRecord, amendment: Amendment) -> bool:
    """Return whether an amendment has only an e-mail address, of an order not compensated."""
    return record.status not in UNDOING and list(amendment.fields) == ["email"]


def _amended(record: OrderRecord, amendment: Amendment, now: float) -> Change | None:
    fields: dict[str, Any] = {}
    changed, late = [], []
    for name, value in sorted(amendment.fields.items()):
        last = _last_change(record, name, now)
        at = amendment.at or _after(last, now)
        if last is not None and moment(at) < moment(last):
            late.append(f"{name} was changed as of {last}, which is later")
            continue
        if value != getattr(record, name):
            fields[name] = value
            changed.append(name)
        if at != last:
            fields[f"{name}_as_of"] = at
    if late and not fields:
        raise ChangeRefused(f"order {record.order_id}: {'; '.join(late)}")
    entries = []
    if changed:
        sent = {"as_of": amendment.sent} if amendment.sent else {}
        entries.append(Entry("CHANGED", now, {"fields": changed, **sent}))
    if late:
        entries.append(Entry("CHANGE_IGNORED", now, {"reason": "; ".join(late)}))
    return record.change(*entries, **fields) if fields else None


def _last_change(record: OrderRecord, name: str, now: float) -> str | None:
    """Return the effective time of a field's last change.

    A time ahead of our clock, which version 0.1.0 stored, is ignored.
    """
    last: str | None = getattr(record, f"{name}_as_of")
    if last is None or moment(last).timestamp() > now + CLOCK_SKEW:
        return None
    return last


def _after(last: str | None, now: float) -> str:
    """Return now, or the first millisecond after ``last`` if that is ahead of now."""
    latest = moment(last).timestamp() if last else 0.0
    return timestamp(max(now, latest + 0.001))


def resume(record: OrderRecord, now: float, why: str) -> Message:
    """Return the message that starts a run for an order without a lease."""
    # at most 80 characters: an order id has up to 64
    name = f"{record.order_id}-{record.epoch}-{why}{int(now) // 60:x}"
    return Message("run", {"name": name, "input": {"resume": {"order_id": record.order_id}}})
