"""The statuses of an order, its approval, units, charge and shipment; the allowed transitions."""

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    """An order's status; `TRANSITIONS` has the allowed changes."""

    RECEIVED = "RECEIVED"
    RESERVED = "RESERVED"
    CHARGED = "CHARGED"
    COMPLETED = "COMPLETED"
    WAITING = "WAITING"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    COMPENSATING = "COMPENSATING"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
UNDOING = frozenset({Status.COMPENSATING, Status.FAILED, Status.CANCELLED})

PAUSED = frozenset({Status.WAITING, Status.AWAITING_APPROVAL})
"""Statuses without a run, which a timer or a person ends."""

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.RECEIVED: frozenset({Status.RESERVED, Status.WAITING, Status.COMPENSATING}),
    Status.RESERVED: frozenset(
        {Status.CHARGED, Status.WAITING, Status.AWAITING_APPROVAL, Status.COMPENSATING}
    ),
    Status.CHARGED: frozenset({Status.COMPLETED, Status.WAITING, Status.COMPENSATING}),
    Status.WAITING: frozenset(
        {Status.RESERVED, Status.CHARGED, Status.AWAITING_APPROVAL, Status.COMPENSATING}
    ),
    Status.AWAITING_APPROVAL: frozenset({Status.RESERVED, Status.WAITING, Status.COMPENSATING}),
    Status.COMPENSATING: frozenset({Status.FAILED, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""The statuses that may follow each status; `kernel.order_record.OrderRecord.change` checks it."""


class Approval(StrEnum):
    """The state of the approval of an order of high value."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Reservation(StrEnum):
    """The state of an order's units in stock."""

    RESERVED = "RESERVED"
    COMMITTED = "COMMITTED"
    RELEASED = "RELEASED"
    RESTOCKED = "RESTOCKED"


class ChargeStatus(StrEnum):
    """The status of an order's charge in the ledger."""

    PENDING = "PENDING"
    CHARGED = "CHARGED"
    DECLINED = "DECLINED"
    REFUNDED = "REFUNDED"
    VOIDED = "VOIDED"


class ShipmentStatus(StrEnum):
    """The status of an order's shipment."""

    CREATED = "CREATED"
    VOIDED = "VOIDED"
