"""The rules of an order's life: pure, from a record to the change that follows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from zlib import crc32

from kernel.errors import (
    CancellationRefused,
    ChangeRefused,
    DuplicateOrder,
    OrderConflict,
    OrderIncomplete,
)
from kernel.order_record import (
    UNDOING,
    Change,
    ChargeStatus,
    Entry,
    Message,
    OrderRecord,
    Reservation,
    ShipmentStatus,
    Status,
)
from kernel.timestamps import moment, timestamp

CANCELLED = "OrderCancelled"
UNPAID = "PaymentUnavailable"
GIVEN_UP = {"PaymentGatewayError": UNPAID}
"""What an order fails of when a step's error outlasted every retry."""

TRANSIENT = ("Lambda.", "Runtime.", "Sandbox.", "States.", "StoreError", "VersionConflict")
"""How the names of errors begin that say nothing of the order: the platform did not get to it."""

DELAYED = 3_600.0
"""Seconds after which an order that waits for the platform is one to look at."""

JITTER = 0.2
"""The share by which a wait is made longer or shorter, so that orders do not come back at once."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """A run that asks for an order.

    ``owner`` is the execution's name, which survives a restart. ``content_hash`` is that of the
    event that started the run; a run that was started to resume an order has none. ``after`` is
    a run that is known to have ended: its lease is ignored.
    """

    owner: str
    content_hash: str | None
    lease_seconds: float
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """From when on an order waits, in epoch seconds, and for how many seconds."""

    since: float
    seconds: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an order waits or is undone: an error's name and a sentence."""

    code: str
    message: str

    @classmethod
    def of_step(cls, step: object) -> "Reason":
        """Return the reason in what a workflow knows of a step.

        ``step`` is a task's answer (``reason``, ``message``), a caught error (``Error``,
        ``Cause``), or the list of the parallel branches' answers, whose first problem counts.
        """
        if isinstance(step, list):
            found = [cls.of_step(branch) for branch in step]
            return next((reason for reason in found if reason.code != "Unknown"), found[0])
        if not isinstance(step, Mapping):
            return cls("Unknown", "the workflow gave no reason")
        if "Error" in step:
            return cls(str(step["Error"]), _cause(step.get("Cause", "")))
        return cls(str(step.get("reason") or "Unknown"), str(step.get("message") or ""))

    @property
    def is_transient(self) -> bool:
        """Whether the platform is to blame and not the order: a wait for it uses no attempt."""
        return self.code.startswith(TRANSIENT)


def _cause(cause: object) -> str:
    """Return the sentence in an error's cause: Lambda sends it as JSON."""
    try:
        return str(json.loads(str(cause))["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return str(cause)


def claim(record: OrderRecord, claimant: Claimant, now: float) -> Change:
    """Give an order to a run: raise the epoch and set the lease.

    Raises
    ------
    OrderConflict
        The order is known with other content.
    DuplicateOrder
        It has ended, another run holds it, or it waits and will be resumed by itself.
    """
    if claimant.content_hash not in (None, record.content_hash):
        raise OrderConflict(
            f"order {record.order_id} is known with other content; the first stands:"
            " send a new order under a new id"
        )
    if record.ended:
        raise DuplicateOrder(f"order {record.order_id} is {record.status} already")
    free = (None, claimant.owner, claimant.after)
    if record.lease_owner not in free and record.lease_until > now:
        raise DuplicateOrder(f"order {record.order_id} is held by run {record.lease_owner}")
    rests = record.status is Status.WAITING and record.resume_at > now
    if rests and claimant.content_hash and not record.cancel_requested:
        raise DuplicateOrder(f"order {record.order_id} waits and is resumed by itself")
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
    """Let an order wait, held by nobody; ``messages`` tell what it waits for now, once.

    A wait for the platform itself uses no attempt.
    """
    record.require_holder(epoch)
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
    """Say whether the platform keeps an order waiting again that it has had for an hour."""
    again = reason.is_transient and (record.waiting_for or "").startswith(TRANSIENT)
    return again and now - record.created_at > DELAYED


def require_unpaid(record: OrderRecord, reason: Reason) -> None:
    """Raise `OrderIncomplete` if an order is paid, so that no defect of ours undoes it."""
    if record.charge is ChargeStatus.CHARGED:
        raise OrderIncomplete(
            f"order {record.order_id} is paid and has waited {record.attempts} times because of"
            f" {reason.code}: {reason.message}; correct that, the reconciler starts it again"
        )


def spread(seconds: int, order_id: str, epoch: int) -> int:
    """Return a wait made longer or shorter by up to `JITTER`: the same for each call of a run."""
    share = crc32(f"{order_id}-{epoch}".encode()) / 2**32
    return max(1, round(seconds * (1 - JITTER + 2 * JITTER * share)))


def is_paused(record: OrderRecord, epoch: int) -> bool:
    """Say whether the run with this epoch has paused the order already."""
    return record.status is Status.WAITING and record.epoch == epoch and record.lease_owner is None


def compensate(
    record: OrderRecord, epoch: int, reason: Reason, claimant: Claimant, now: float
) -> Change:
    """Move an order to COMPENSATING under a new epoch, so that late writers are fenced off."""
    record.require_holder(epoch)
    if record.cancel_requested:
        reason = Reason(CANCELLED, record.cancel_reason or "cancelled on request")
    unpaid = record.charge is ChargeStatus.PENDING and not record.cancel_requested
    code = record.failure or (UNPAID if unpaid else GIVEN_UP.get(reason.code, reason.code))
    return record.change(
        Entry("COMPENSATING", now, {"reason": code}),
        status=Status.COMPENSATING,
        epoch=record.epoch + 1,
        lease_owner=claimant.owner,
        lease_until=now + claimant.lease_seconds,
        failure=code,
        failure_message=record.failure_message or reason.message,
    )


def is_compensating(record: OrderRecord, epoch: int, owner: str) -> bool:
    """Say whether this very run has moved the order to COMPENSATING already."""
    return (
        record.status is Status.COMPENSATING
        and record.epoch == epoch + 1
        and record.lease_owner == owner
    )


def complete(record: OrderRecord, epoch: int, now: float, messages: tuple[Message, ...]) -> Change:
    """End an order as COMPLETED.

    Raises
    ------
    OrderIncomplete
        A step is missing: completing it would be a lie.
    """
    record.require_holder(epoch)
    done = (
        record.charge is ChargeStatus.CHARGED
        and record.reservation is Reservation.COMMITTED
        and record.shipment is ShipmentStatus.CREATED
    )
    if not done:
        raise OrderIncomplete(
            f"order {record.order_id} has charge {record.charge}, stock {record.reservation},"
            f" shipment {record.shipment}"
        )
    return _end(record, Status.COMPLETED, now, messages)


def fail(record: OrderRecord, epoch: int, now: float, messages: tuple[Message, ...]) -> Change:
    """End a compensated order: CANCELLED if that was asked for, else FAILED.

    Raises
    ------
    OrderIncomplete
        Something is still reserved, charged or shipped.
    """
    record.require_compensating(epoch)
    open_still = (
        record.charge in (ChargeStatus.PENDING, ChargeStatus.CHARGED)
        or record.reservation in (Reservation.RESERVED, Reservation.COMMITTED)
        or record.shipment is ShipmentStatus.CREATED
    )
    if open_still:
        raise OrderIncomplete(
            f"order {record.order_id} still has charge {record.charge}, stock"
            f" {record.reservation}, shipment {record.shipment}"
        )
    return _end(record, ending(record), now, messages)


def ending(record: OrderRecord) -> Status:
    """Return how a compensated order ends."""
    return Status.CANCELLED if record.cancel_requested else Status.FAILED


def _end(record: OrderRecord, status: Status, now: float, messages: tuple[Message, ...]) -> Change:
    detail = {"reason": record.failure} if record.failure else {}
    token = None if status is Status.COMPLETED else _marked(record, record.payment_token)
    return record.change(
        Entry(status, now, detail),
        messages=messages,
        status=status,
        lease_owner=None,
        lease_until=0.0,
        payment_token=token,
    )


def _marked(record: OrderRecord, token: str | None) -> str | None:
    """Return what is kept of the token of an order that ended unpaid: enough to know it again."""
    if token is None:
        return None
    return f"sha256:{sha256(f'{record.order_id}|{token}'.encode()).hexdigest()}"


def is_paid_otherwise(record: OrderRecord, token: str | None) -> bool:
    """Say whether an order that is placed again names another payment than it had.

    A completed order is paid: nothing of its payment is kept to compare with.
    """
    if record.status is Status.COMPLETED:
        return False
    return record.payment_token not in (token, _marked(record, token))


def has_ended(record: OrderRecord, epoch: int, *statuses: Status) -> bool:
    """Say whether the run with this epoch has ended the order so already."""
    return record.epoch == epoch and record.status in statuses


def cancel(
    record: OrderRecord, reason: str | None, event_id: str | None, now: float
) -> Change | None:
    """Ask for an order's cancellation; nothing to write if that was done before.

    Raises
    ------
    CancellationRefused
        The shipment exists, or the order ended otherwise.
    """
    if record.status is Status.CANCELLED or (record.cancel_requested and not record.ended):
        return None
    if record.ended:
        raise CancellationRefused(f"order {record.order_id} is {record.status} already")
    if record.shipment is ShipmentStatus.CREATED and record.status not in UNDOING:
        raise CancellationRefused(f"order {record.order_id} is shipped already")
    held = record.lease_owner is not None and record.lease_until > now
    return record.change(
        Entry("CANCEL_REQUESTED", now, {"reason": reason} if reason else {}),
        messages=() if held else (resume(record, now, "c"),),
        cancel_requested=True,
        cancel_reason=reason,
        cancel_event_id=event_id,
    )


CLOCK_SKEW = 60.0
"""Seconds that a sender's clock may be ahead of ours; a time beyond that counts as now."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """Where an order is to go.

    ``at`` is the RFC 3339 time as of which that is asked for, and ``sent`` the time that the sender
    wrote. A request without a time is asked for now and is the latest.
    """

    address: Mapping[str, Any] | None
    email: str | None
    at: str | None = None
    sent: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What is asked for, by the names of the record."""
        asked = {"shipping_address": self.address, "email": self.email}
        return {name: value for name, value in asked.items() if value is not None}


def counted(sent: str, now: float, heard: float) -> str:
    """Return a sender's time as it counts.

    A time far ahead of our clock counts as the one at which the request was heard of: the same for
    each delivery.
    """
    ahead = moment(sent).timestamp() > now + CLOCK_SKEW
    return timestamp(min(heard, now)) if ahead else sent


def amend(
    record: OrderRecord, wanted: Amendment, now: float, *, unconfirmed: bool = False
) -> Change | None:
    """Change where an order goes, field by field; nothing to write if all of it is known.

    An update is compared with the last update of the same field. The e-mail address of a shipped
    order can still be corrected while it is ``unconfirmed``: no mail could be sent there.

    Raises
    ------
    ChangeRefused
        The order is shipped, being undone, or has ended; or each field was changed as of a later
        time.
    """
    if is_closed(record) and not (unconfirmed and may_be_corrected(record, wanted)):
        state = "shipped" if record.shipment is ShipmentStatus.CREATED else record.status
        raise ChangeRefused(f"order {record.order_id} is {state} already")
    return _amended(record, wanted, now)


def is_closed(record: OrderRecord) -> bool:
    """Say whether it is too late to change where an order goes."""
    return record.ended or record.status in UNDOING or record.shipment is not None


def may_be_corrected(record: OrderRecord, wanted: Amendment) -> bool:
    """Say whether nothing but the e-mail address of an order that goes to its customer changes."""
    return record.status not in UNDOING and list(wanted.fields) == ["email"]


def _amended(record: OrderRecord, wanted: Amendment, now: float) -> Change | None:
    fields: dict[str, Any] = {}
    changed, late = [], []
    for name, value in sorted(wanted.fields.items()):
        known = _as_of(record, name, now)
        at = wanted.at or _after(known, now)
        if known is not None and moment(at) < moment(known):
            late.append(f"{name} was changed as of {known}, which is later")
            continue
        if value != getattr(record, name):
            fields[name] = value
            changed.append(name)
        if at != known:
            fields[f"{name}_as_of"] = at
    if late and not fields:
        raise ChangeRefused(f"order {record.order_id}: {'; '.join(late)}")
    entries = []
    if changed:
        sent = {"as_of": wanted.sent} if wanted.sent else {}
        entries.append(Entry("CHANGED", now, {"fields": changed, **sent}))
    if late:
        entries.append(Entry("CHANGE_IGNORED", now, {"reason": "; ".join(late)}))
    return record.change(*entries, **fields) if fields else None


def _as_of(record: OrderRecord, name: str, now: float) -> str | None:
    """Return as of when a field was changed; a time ahead of ours, which 0.1.0 kept, is none."""
    known: str | None = getattr(record, f"{name}_as_of")
    if known is None or moment(known).timestamp() > now + CLOCK_SKEW:
        return None
    return known


def _after(known: str | None, now: float) -> str:
    """Return now, or the first moment after a time that is ahead of it."""
    latest = moment(known).timestamp() if known else 0.0
    return timestamp(max(now, latest + 0.001))


def resume(record: OrderRecord, now: float, why: str) -> Message:
    """Return the message that starts a run for an order that nobody holds."""
    # at most 80 characters: an order id has up to 64
    name = f"{record.order_id}-{record.epoch}-{why}{int(now) // 60:x}"
    return Message("run", {"name": name, "input": {"resume": {"order_id": record.order_id}}})
