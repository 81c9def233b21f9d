"""Use cases of an order's life, a function each, and the ports that they need.

The use cases of `Order Updated` and `Order Cancelled` events are in `orders.change_requests`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

from kernel.errors import (
    CancellationRefused,
    ChangeRefused,
    DuplicateOrder,
    InvalidEvent,
    OrderConflict,
    VersionConflict,
)
from kernel.events import Event, OrderCreated, parse
from kernel.lease import require_holder
from kernel.order_record import (
    CONFLICT_RETRIES,
    Change,
    Entry,
    Line,
    Message,
    OrderRecord,
    Records,
    retry_on_conflict,
)
from kernel.order_status import UNDOING, Status
from orders import early_requests, model, outgoing_events
from orders.early_requests import EarlyRequest, RequestedBefore
from orders.event_history import EventHistory
from orders.idempotency_key import Key, Keys
from orders.model import Amendment, Claimant, Reason, Wait
from orders.rejections import rejection

SINK_GRACE = 900.0
"""Age in seconds from which an event without an order is lost; a younger one may be in transit."""


class OrderStore(Records, Protocol):
    """Records, early requests, and the queries over them."""

    def open(
        self, change: Change, requests: Sequence[EarlyRequest] = (), key: Key | None = None
    ) -> OrderRecord:
        """Write a new order, and delete the early requests that its record takes into account.

        The idempotency ``key`` that placed the order is part of the same write.

        Raises
        ------
        RequestedBefore
            Other requests than these are stored for the order.
        VersionConflict
            The order exists, or the key was used meanwhile.
        """

    def keep_request(self, request: EarlyRequest) -> None:
        """Store a request for an order that does not exist yet, once.

        Raises
        ------
        VersionConflict
            The order was written meanwhile.
        OrderNotFound
            Too many requests are stored for it already.
        """

    def expired_requests(self, before: float, limit: int) -> list[list[EarlyRequest]]:
        """Return the requests of each order whose last request arrived before this time."""

    def give_up(
        self, requests: Sequence[EarlyRequest], messages: Sequence[Message], at: float
    ) -> None:
        """Replace an order's requests by dead letters in the outbox, in one transaction.

        Raises
        ------
        VersionConflict
            The order or another request was written meanwhile.
        """

    def send(self, message: Message, at: float) -> None:
        """Put a message into the outbox without a change of a record."""

    def send_all(self, messages: Sequence[Message], at: float) -> None:
        """Put messages into the outbox without a change of a record, all or none."""

    def save_waiting(self, change: Change, skus: Sequence[str]) -> OrderRecord:
        """Write a change as `save` does, with an index entry under each SKU it waits for."""

    def waiting_for(self, sku: str, limit: int) -> list[str]:
        """Return the ids of orders that waited for a SKU, the oldest order first."""

    def forget_waiting(self, sku: str, records: Sequence[OrderRecord]) -> None:
        """Delete the index entries of these orders under a SKU."""

    def by_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        """Return a customer's orders, newest first, from the one after the order ``after``."""

    def is_unconfirmed(self, order_id: str) -> bool:
        """Return whether the confirmation of an order failed and was not sent since."""

    def stranded(self, now: float, grace: float, limit: int) -> list[OrderRecord]:
        """Return the orders that have not ended and that no run or timer will continue."""


class EventJournal(Protocol):
    """The events that the bus of one machine has accepted; on AWS, see `orders.lost_events`."""

    def events_without_order(self, since: float, before: float) -> Iterable[Mapping[str, Any]]:
        """Yield the `Order Created` events accepted between two times that opened no order.

        The oldest is the first; they are read lazily.
        """


@dataclass(frozen=True, slots=True)
class Policy:
    """Durations in seconds, and the number of attempts."""

    lease_seconds: float = 300.0
    recovery_delay: int = 300
    max_attempts: int = 12
    approval_seconds: int = 86_400


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the use cases."""

    store: OrderStore
    now: Callable[[], float]
    policy: Policy
    quarantine_queue: str = ""
    keys: Keys | None = None
    journal: EventJournal | None = None
    history: EventHistory | None = None


class ClaimedOrder(NamedTuple):
    """An order that a run holds: the input of the workflow's next states.

    ``delayed``: it is over an hour old and waits for the platform again.
    """

    order_id: str
    epoch: int
    outcome: str = "CLAIMED"
    wait_seconds: int = 0
    delayed: bool = False


class Reconciled(NamedTuple):
    """The outcome of one reconciliation.

    ``started`` counts the runs, ``delayed`` the runs of orders whose compensation is an hour late.
    """

    started: int
    delayed: int


def claim(event: object, owner: str, ports: Ports) -> ClaimedOrder:
    """Claim the order of an `Order Created` event, or the order to resume.

    ``resume.after`` is a run that has ended but may still hold the lease of the order. A refused
    event is told to its producer (`orders.rejections`); the workflow quarantines it.

    Raises
    ------
    InvalidEvent
        The event breaks its contract.
    OrderConflict, DuplicateOrder
        As in `orders.model.claim`; also noted in the order's timeline.
    OrderNotFound
        The order to resume does not exist.
    """
    envelope = _object(event, "input")
    try:
        return _claim_order_of(envelope, owner, ports)
    except (InvalidEvent, OrderConflict) as error:
        now = ports.now()
        refusal = rejection(envelope, error, now)
        if refusal is not None:
            ports.store.send(refusal, now)
        raise


def _claim_order_of(envelope: Mapping[str, Any], owner: str, ports: Ports) -> ClaimedOrder:
    if envelope.get("resume") is not None:
        resume = _object(envelope["resume"], "resume")
        order_id, after = resume.get("order_id"), resume.get("after")
        if not isinstance(order_id, str) or not isinstance(after, str | None):
            raise InvalidEvent("resume", "needs order_id as text, and after as text or null")
        claimant = Claimant(owner, None, ports.policy.lease_seconds, after)
        return _claim(order_id, None, claimant, ports)
    parsed = parse(envelope)
    if not isinstance(parsed.detail, OrderCreated):
        raise InvalidEvent("detail-type", f"{parsed.name!r} does not begin an order")
    claimant = Claimant(owner, parsed.detail.content_hash, ports.policy.lease_seconds)
    return _claim(parsed.detail.order_id, parsed, claimant, ports)


def _object(value: object, place: str) -> Mapping[str, Any]:
    """Return a JSON object, or raise `InvalidEvent`: no retry makes one of another value."""
    if not isinstance(value, Mapping):
        raise InvalidEvent(place, "is not a JSON object; send an event in its envelope")
    return value


@retry_on_conflict
def _claim(
    order_id: str, event: Event[Any] | None, claimant: Claimant, ports: Ports
) -> ClaimedOrder:
    now = ports.now()
    record = ports.store.find(order_id) if event else ports.store.read(order_id)
    if record is None:
        assert event is not None
        opened = _open(event, now, lambda new: model.claim(new, claimant, now), ports)
        return ClaimedOrder(order_id, opened.epoch)
    try:
        saved = ports.store.save(model.claim(record, claimant, now))
    except (OrderConflict, DuplicateOrder) as error:
        if event:
            kind = "CONFLICT" if isinstance(error, OrderConflict) else "DUPLICATE"
            detail = {"event_id": event.event_id, "reason": str(error)}
            ports.store.note(order_id, Entry(f"{kind}_IGNORED", now, detail))
        raise
    return ClaimedOrder(order_id, saved.epoch)


def _open(
    event: Event[OrderCreated],
    now: float,
    first_change: Callable[[OrderRecord], Change],
    ports: Ports,
    key: Key | None = None,
) -> OrderRecord:
    """Write a new order with its first change and with its early requests.

    Early requests need no read: the write is refused if some are stored, and returns them.
    """
    requests: Sequence[EarlyRequest] = ()
    for _ in range(early_requests.MAX_KEPT + CONFLICT_RETRIES):
        record, entries = early_requests.applied(_new_record(event, now), requests)
        change = first_change(record)
        change = change._replace(entries=(*entries, *change.entries))
        try:
            return ports.store.open(change, requests, key)
        except RequestedBefore as refused:
            requests = refused.requests
    raise VersionConflict(f"requests for order {event.detail.order_id} keep arriving")


def _new_record(event: Event[OrderCreated], at: float) -> OrderRecord:
    """Return the record that an `Order Created` event opens, not written yet (version 0)."""
    detail = event.detail
    return OrderRecord(
        order_id=detail.order_id,
        customer_id=detail.customer_id,
        currency=detail.currency,
        total=detail.total,
        items=tuple(Line(item.sku, item.quantity, item.unit_price) for item in detail.items),
        placed_at=detail.timestamp,
        content_hash=detail.content_hash,
        event_id=event.event_id,
        correlation_id=event.correlation_id,
        created_at=at,
        updated_at=at,
        shipping_address=detail.address,
        email=detail.email,
        payment_token=detail.payment_token,
    )


@retry_on_conflict
def pause(order_id: str, epoch: int, because: object, ports: Ports) -> ClaimedOrder:
    """Set an order WAITING until it is resumed.

    ``outcome`` is UNDO if the order must be compensated instead: it was cancelled, is being
    compensated, or has waited ``max_attempts`` times.

    Raises
    ------
    OrderIncomplete
        It has waited ``max_attempts`` times, and is paid: only a business reason undoes that.
    """
    record = ports.store.read(order_id)
    reason = Reason.of_step(because)
    delay = ports.policy.recovery_delay
    if reason.is_transient:
        delay = model.spread(delay, order_id, epoch)
    if model.is_paused(record, epoch):
        return ClaimedOrder(order_id, epoch, "WAITING", delay)
    require_holder(record, epoch)
    if record.cancel_requested or record.status in UNDOING:
        return ClaimedOrder(order_id, epoch, "UNDO")
    if record.attempts >= ports.policy.max_attempts and not reason.is_transient:
        model.require_unpaid(record, reason)
        return ClaimedOrder(order_id, epoch, "UNDO")
    now = ports.now()
    missing = because.get("missing") if isinstance(because, Mapping) else None
    messages = (outgoing_events.backordered(record, missing, now),) if missing else ()
    change = model.pause(record, epoch, reason, Wait(now, delay), messages)
    if missing and reason.code == model.OUT_OF_STOCK:
        skus = sorted({str(shortage["sku"]) for shortage in missing})
        ports.store.save_waiting(change, skus)
    else:
        ports.store.save(change)
    delayed = model.is_delayed(record, reason, now)
    return ClaimedOrder(order_id, epoch, "WAITING", delay, delayed=delayed)


@retry_on_conflict
def compensate(
    order_id: str, epoch: int, because: object, owner: str, ports: Ports
) -> ClaimedOrder:
    """Set an order COMPENSATING under a new epoch."""
    record = ports.store.read(order_id)
    if not model.is_compensating(record, epoch, owner):
        claimant = Claimant(owner, None, ports.policy.lease_seconds)
        reason = Reason.of_step(because)
        record = ports.store.save(model.compensate(record, epoch, reason, claimant, ports.now()))
    return ClaimedOrder(order_id, record.epoch, "COMPENSATING")


@retry_on_conflict
def complete(order_id: str, epoch: int, ports: Ports) -> Status:
    """End an order as COMPLETED."""
    record = ports.store.read(order_id)
    if not model.has_ended(record, epoch, Status.COMPLETED):
        now = ports.now()
        messages = (outgoing_events.completed(record, now),)
        ports.store.save(model.complete(record, epoch, now, messages))
    return Status.COMPLETED


@retry_on_conflict
def fail(order_id: str, epoch: int, ports: Ports) -> Status:
    """End a compensated order as FAILED or CANCELLED."""
    record = ports.store.read(order_id)
    if not model.has_ended(record, epoch, Status.FAILED, Status.CANCELLED):
        now = ports.now()
        messages = (outgoing_events.compensated(record, model.ending(record), now),)
        record = ports.store.save(model.fail(record, epoch, now, messages))
    return record.status


@retry_on_conflict
def place(event: Event[OrderCreated], ports: Ports) -> tuple[OrderRecord, bool]:
    """Place an order over HTTP; return its record, and whether it is new.

    The record and its event are one write.

    Raises
    ------
    OrderConflict
        The order id exists with other content, or with another payment.
    """
    now = ports.now()
    existing = ports.store.find(event.detail.order_id)
    if existing is not None:
        require_same_order(existing, event.detail)
        return existing, False
    return write_placed_order(event, now, ports, None), True


def require_same_order(existing: OrderRecord, detail: OrderCreated) -> None:
    """Raise `OrderConflict` if an order exists with other content or another payment."""
    if existing.content_hash != detail.content_hash:
        raise OrderConflict(
            f"order {existing.order_id} exists with other content; use another order_id"
        )
    if model.has_other_payment(existing, detail.payment_token):
        raise OrderConflict(
            f"order {existing.order_id} is {existing.status} and was placed with another"
            " payment_token, which is final; a new payment is a new order: use another order_id"
        )


def write_placed_order(
    event: Event[OrderCreated], now: float, ports: Ports, key: Key | None
) -> OrderRecord:
    """Write an order that was placed over HTTP, its event, and its idempotency key if it has one.

    The event has the content of the HTTP request, without the changes of early requests.
    """
    messages = (outgoing_events.created(_new_record(event, now), now),)
    placed = Entry("RECEIVED", now)
    return _open(event, now, lambda record: record.change(placed, messages=messages), ports, key)


@retry_on_conflict
def cancel(order_id: str, reason: str | None, event_id: str | None, ports: Ports) -> OrderRecord:
    """Request an order's cancellation, which a run carries out.

    Raises
    ------
    CancellationRefused
        The request is too late; also noted in the order's timeline.
    OrderNotFound
        No order has this id.
    """
    record = ports.store.read(order_id)
    now = ports.now()
    try:
        change = model.cancel(record, reason, event_id, now)
    except CancellationRefused as error:
        ports.store.note(order_id, Entry("CANCEL_REFUSED", now, {"reason": str(error)}))
        raise
    return record if change is None else ports.store.save(change)


@retry_on_conflict
def amend(order_id: str, amendment: Amendment, ports: Ports) -> OrderRecord:
    """Change an order's shipping address or e-mail address.

    The e-mail address can be corrected after the shipment if the confirmation to it failed.

    Raises
    ------
    ChangeRefused
        The request is too late; also noted in the order's timeline.
    OrderNotFound
        No order has this id.
    """
    record = ports.store.read(order_id)
    now = ports.now()
    try:
        late = model.is_closed(record) and model.corrects_email_only(record, amendment)
        unconfirmed = late and ports.store.is_unconfirmed(order_id)
        change = model.amend(record, amendment, now, unconfirmed=unconfirmed)
    except ChangeRefused as error:
        ports.store.note(order_id, Entry("CHANGE_IGNORED", now, {"reason": str(error)}))
        raise
    return record if change is None else ports.store.save(change)


def reconcile(ports: Ports, limit: int = 1000) -> Reconciled:
    """Start a run for every order that no run or timer will continue."""
    now = ports.now()
    stranded = ports.store.stranded(now, ports.policy.lease_seconds, limit)
    runs: list[Message] = [model.resume(record, now, "r") for record in stranded]
    if ports.journal is not None:
        runs += islice(_runs_of_lost_events(now, ports.journal), limit)
    for message in runs:
        ports.store.send(message, now)
    return Reconciled(len(runs), sum(model.is_undone_late(record, now) for record in stranded))


def _runs_of_lost_events(now: float, journal: EventJournal) -> Iterator[Message]:
    """Yield a run for each valid `Order Created` event that opened no order."""
    for envelope in journal.events_without_order(now - 7 * 86_400, now - SINK_GRACE):
        try:
            event = parse(envelope)
        except InvalidEvent:
            continue  # its consumers have quarantined it
        name = f"{event.detail.order_id}-u{int(now) // 60:x}"
        yield Message("run", {"name": name, "input": dict(envelope)})
