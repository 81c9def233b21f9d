"""The record of an order, and the change that each step writes to it.

A step reads the record, decides by pure rules, and saves a `Change` on the condition that the
record still has the ``version`` that was read. `kernel.lease` checks that the step's run holds the
order, and `kernel.order_status` has the allowed transitions.

The classes are named tuples: each order makes many of them, and a frozen dataclass takes ten times
as long to make.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from kernel.errors import VersionConflict
from kernel.order_status import (
    ENDED,
    TRANSITIONS,
    Approval,
    ChargeStatus,
    Reservation,
    ShipmentStatus,
    Status,
)

P = ParamSpec("P")
R = TypeVar("R")

CONFLICT_RETRIES = 20
"""Maximum retries of a step: each conflict means that another write to the record succeeded."""


class Line(NamedTuple):
    """One line of an order; ``unit_price`` in hundredths."""

    sku: str
    quantity: int
    unit_price: int


MAX_TEXT = 1_000
"""Maximum characters of a text in an entry's detail: an item of DynamoDB has 400 KB at most."""


class Entry(NamedTuple):
    """An entry of an order's timeline: ``what`` is a word such as CLAIMED."""

    what: str
    at: float
    detail: Mapping[str, object] = {}


class Message(NamedTuple):
    """A message of the outbox, sent after the commit of the write that contains it.

    ``kind`` is ``event`` (body: a PutEvents entry), ``run`` (body: ``name`` and ``input`` of an
    order_processing execution), ``message`` (body: ``queue`` and ``body``) or ``answer`` (body:
    ``token`` of a waiting task, its ``output``, and ``run``: started if the task has ended).
    """

    kind: str
    body: Mapping[str, object]


class OrderRecord(NamedTuple):
    """The state of one order; amounts in hundredths, times in epoch seconds.

    ``payment_token`` is ``None`` for a completed order, and a digest for one that ended unpaid.
    ``approval_token`` is the task token of the workflow that waits for a decision.
    """

    order_id: str
    customer_id: str
    currency: str
    total: int
    items: tuple[Line, ...]
    placed_at: str
    content_hash: str
    event_id: str
    correlation_id: str
    created_at: float
    updated_at: float
    status: Status = Status.RECEIVED
    epoch: int = 0
    version: int = 0
    lease_owner: str | None = None
    lease_until: float = 0.0
    attempts: int = 0
    resume_at: float = 0.0
    waiting_for: str | None = None
    cancel_requested: bool = False
    cancel_reason: str | None = None
    cancel_event_id: str | None = None
    shipping_address: Mapping[str, Any] | None = None
    shipping_address_as_of: str | None = None
    email: str | None = None
    email_as_of: str | None = None
    payment_token: str | None = None
    reservation: Reservation | None = None
    charge: ChargeStatus | None = None
    charge_id: str | None = None
    shipment: ShipmentStatus | None = None
    shipment_id: str | None = None
    tracking_number: str | None = None
    failure: str | None = None
    failure_message: str | None = None
    approval: Approval | None = None
    approval_token: str | None = None
    approve_by: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the order has a final status."""
        return self.status in ENDED

    @property
    def demand(self) -> dict[str, int]:
        """Units by SKU, summed over the lines."""
        units: dict[str, int] = {}
        for line in self.items:
            units[line.sku] = units.get(line.sku, 0) + line.quantity
        return units

    def change(
        self, *entries: Entry, messages: tuple[Message, ...] = (), **fields: Any
    ) -> "Change":
        """Return the change of these fields.

        Raises
        ------
        ValueError
            `TRANSITIONS` does not allow the new status.
        """
        status = fields.get("status", self.status)
        if status is not self.status and status not in TRANSITIONS[self.status]:
            raise ValueError(f"order {self.order_id} cannot go from {self.status} to {status}")
        fields |= {"version": self.version + 1}
        if entries:
            fields["updated_at"] = entries[-1].at
        values = list(self)  # `_replace` takes three times as long for so many fields
        for name, value in fields.items():
            values[_PLACES[name]] = value
        return Change(self, fields, entries, messages, tuple.__new__(OrderRecord, values))


_PLACES = {name: place for place, name in enumerate(OrderRecord._fields)}


class Change(NamedTuple):
    """An atomic write to one record, on the condition that it still has ``before.version``."""

    before: OrderRecord
    fields: Mapping[str, Any]
    entries: tuple[Entry, ...]
    messages: tuple[Message, ...]
    after: OrderRecord


class Records(Protocol):
    """The store of the records, which each service's own store extends."""

    def find(self, order_id: str) -> OrderRecord | None:
        """Return the record of an order, or ``None``."""

    def read(self, order_id: str) -> OrderRecord:
        """Return the record of an order, or raise `OrderNotFound`."""

    def save(self, change: Change) -> OrderRecord:
        """Write a change with its timeline entries and messages, or raise `VersionConflict`."""

    def note(self, order_id: str, entry: Entry) -> None:
        """Add an entry to an order's timeline without changing the order."""


def retry_on_conflict(step: Callable[P, R]) -> Callable[P, R]:
    """Make a step, including its read, repeat after a `VersionConflict`."""

    @wraps(step)
    def again(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(CONFLICT_RETRIES):
            try:
                return step(*args, **kwargs)
            except VersionConflict:
                continue
        return step(*args, **kwargs)

    return again


def retry_on_conflict_from(
    record: OrderRecord, step: Callable[[OrderRecord], R], records: Records
) -> R:
    """Run a step on a record that was just read or written.

    Only after a `VersionConflict` is the record read again.
    """
    for _ in range(CONFLICT_RETRIES):
        try:
            return step(record)
        except VersionConflict:
            record = records.read(record.order_id)
    return step(record)
