"""What can be done with an order: functions of a command and the ports they need."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Protocol

from kernel.errors import (
    CancellationRefused,
    ChangeRefused,
    DuplicateOrder,
    InvalidEvent,
    OrderConflict,
    OrderNotFound,
    StoreError,
    VersionConflict,
)
from kernel.events import Event, OrderCancelled, OrderCreated, OrderUpdated, parse
from kernel.order_record import (
    CONFLICT_RETRIES,
    UNDOING,
    Change,
    Entry,
    Message,
    OrderRecord,
    Records,
    Status,
    retry_on_conflict,
)
from kernel.quarantine import envelope_of, quarantined
from kernel.timestamps import moment
from orders import early_requests as early
from orders import model
from orders import outgoing_events as published
from orders.early_requests import EarlyRequest, RequestedBefore
from orders.keys import Key, Keys
from orders.model import Amendment, Claimant, Reason, Wait

FAILS_SINCE = "fails_since"
"""The member of a run's input that says since when (epoch seconds) no run could claim its order."""

MAX_RESTARTS = 86_400.0
"""Seconds for which a run is started again before its event is quarantined."""

SINK_GRACE = 900.0
"""Seconds after which an event without an order is no longer simply on its way."""


class OrderStore(Records, Protocol):
    """Records, and the ways to look for them."""

    def open(
        self, change: Change, requests: Sequence[EarlyRequest] = (), key: Key | None = None
    ) -> OrderRecord:
        """Write a new order, and forget the requests that its record has taken into account.

        An idempotency ``key`` that placed it is written with it, or neither is.

        Raises
        ------
        RequestedBefore
            Other requests than these are kept for the order.
        VersionConflict
            The order is there, or the key was used meanwhile.
        """

    def keep(self, request: EarlyRequest) -> None:
        """Keep a request for an order that is not here yet, once.

        Raises
        ------
        VersionConflict
            The order has come meanwhile.
        OrderNotFound
            Too many requests are kept for it already.
        """

    def outlasted(self, before: float, limit: int) -> list[list[EarlyRequest]]:
        """Return the requests of each order that did not come, the last of them before a time."""

    def give_up(
        self, requests: Sequence[EarlyRequest], letters: Sequence[Message], at: float
    ) -> None:
        """Put letters into the outbox in place of an order's requests, in one transaction.

        Raises
        ------
        VersionConflict
            The order or another request has come meanwhile.
        """

    def send(self, message: Message, at: float) -> None:
        """Put a message that goes with no record into the outbox."""

    def by_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        """Return a customer's orders, newest first, from behind the order ``after`` on."""

    def is_unconfirmed(self, order_id: str) -> bool:
        """Say whether an order's confirmation could not be sent, and was not sent since."""

    def stranded(self, now: float, grace: float, limit: int) -> list[OrderRecord]:
        """Return orders that have not ended and that no run or timer will come back to."""

    def events_without_order(self, since: float, before: float) -> Iterable[Mapping[str, Any]]:
        """Return `Order Created` envelopes that the sink has and that opened no order.

        The oldest first; they are read as far as they are asked for.
        """


@dataclass(frozen=True, slots=True)
class Policy:
    """How long and how often; seconds."""

    lease_seconds: float = 300.0
    recovery_delay: int = 300
    max_attempts: int = 12


@dataclass(frozen=True, slots=True)
class Ports:
    """What the use cases need."""

    store: OrderStore
    now: Callable[[], float]
    policy: Policy
    quarantine_queue: str = ""
    keys: Keys | None = None


class ClaimedOrder(NamedTuple):
    """An order in a run's hands: what the next states need.

    ``delayed``: the platform has kept it waiting for an hour.
    """

    order_id: str
    epoch: int
    outcome: str = "CLAIMED"
    wait_seconds: int = 0
    delayed: bool = False


def claim(event: Mapping[str, Any], owner: str, ports: Ports) -> ClaimedOrder:
    """Claim the order of an `Order Created` event, or one that is to be resumed.

    ``resume.after`` names a run that has ended although it may still hold the order.

    Raises
    ------
    InvalidEvent
        The event does not keep its contract.
    OrderConflict, DuplicateOrder
        As in `orders.model.claim`; the order's timeline says so too.
    OrderNotFound
        There is no such order to resume.
    """
    resumed = event.get("resume")
    if resumed is not None:
        claimant = Claimant(owner, None, ports.policy.lease_seconds, resumed.get("after"))
        return _claim(resumed["order_id"], None, claimant, ports)
    parsed = parse(event)
    if not isinstance(parsed.detail, OrderCreated):
        raise InvalidEvent("detail-type", f"{parsed.name!r} does not begin an order")
    claimant = Claimant(owner, parsed.detail.content_hash, ports.policy.lease_seconds)
    return _claim(parsed.detail.order_id, parsed, claimant, ports)


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
            what = "CONFLICT" if isinstance(error, OrderConflict) else "DUPLICATE"
            detail = {"event_id": event.event_id, "reason": str(error)}
            ports.store.note(order_id, Entry(f"{what}_IGNORED", now, detail))
        raise
    return ClaimedOrder(order_id, saved.epoch)


def _open(
    event: Event[OrderCreated],
    now: float,
    begin: Callable[[OrderRecord], Change],
    ports: Ports,
    key: Key | None = None,
) -> OrderRecord:
    """Write a new order with its first change and with what was asked for before it came.

    Nothing is read for that: the write itself is refused where requests are kept.
    """
    requests: Sequence[EarlyRequest] = ()
    for _ in range(early.MAX_KEPT + CONFLICT_RETRIES):
        record, entries = early.applied(published.received(event, now), requests)
        change = begin(record)
        change = change._replace(entries=(*entries, *change.entries))
        try:
            return ports.store.open(change, requests, key)
        except RequestedBefore as refused:
            requests = refused.requests
    raise VersionConflict(f"requests for order {event.detail.order_id} keep coming")


@retry_on_conflict
def pause(order_id: str, epoch: int, because: object, ports: Ports) -> ClaimedOrder:
    """Let an order wait to be resumed; ``outcome`` is WAITING, or UNDO when it shall not.

    Raises
    ------
    OrderIncomplete
        It has waited often enough, and is paid: only a business reason undoes that.
    """
    record = ports.store.read(order_id)
    reason = Reason.of_step(because)
    delay = ports.policy.recovery_delay
    if reason.is_transient:
        delay = model.spread(delay, order_id, epoch)
    if model.is_paused(record, epoch):
        return ClaimedOrder(order_id, epoch, "WAITING", delay)
    record.require_holder(epoch)
    if record.cancel_requested or record.status in UNDOING:
        return ClaimedOrder(order_id, epoch, "UNDO")
    if record.attempts >= ports.policy.max_attempts and not reason.is_transient:
        model.require_unpaid(record, reason)
        return ClaimedOrder(order_id, epoch, "UNDO")
    now = ports.now()
    missing = because.get("missing") if isinstance(because, Mapping) else None
    messages = (published.backordered(record, missing, now),) if missing else ()
    change = model.pause(record, epoch, reason, Wait(now, delay), messages)
    ports.store.save(change)
    delayed = model.is_delayed(record, reason, now)
    return ClaimedOrder(order_id, epoch, "WAITING", delay, delayed=delayed)


@retry_on_conflict
def compensate(
    order_id: str, epoch: int, because: object, owner: str, ports: Ports
) -> ClaimedOrder:
    """Take an order to COMPENSATING under a new epoch."""
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
        messages = (published.completed(record, now),)
        ports.store.save(model.complete(record, epoch, now, messages))
    return Status.COMPLETED


@retry_on_conflict
def fail(order_id: str, epoch: int, ports: Ports) -> Status:
    """End a compensated order as FAILED or CANCELLED."""
    record = ports.store.read(order_id)
    if not model.has_ended(record, epoch, Status.FAILED, Status.CANCELLED):
        now = ports.now()
        messages = (published.undone(record, model.ending(record), now),)
        record = ports.store.save(model.fail(record, epoch, now, messages))
    return record.status


@retry_on_conflict
def place(event: Event[OrderCreated], ports: Ports) -> tuple[OrderRecord, bool]:
    """Take an order over HTTP: its record and its event in one write; say whether it is new.

    Raises
    ------
    OrderConflict
        The order id is known with other content, or with another payment.
    """
    now = ports.now()
    known = ports.store.find(event.detail.order_id)
    if known is not None:
        require_same_order(known, event.detail)
        return known, False
    return open_placed(event, now, ports, None), True


def require_same_order(known: OrderRecord, detail: OrderCreated) -> None:
    """Raise `OrderConflict` if an order is known with other content or another payment."""
    if known.content_hash != detail.content_hash:
        raise OrderConflict(
            f"order {known.order_id} exists with other content; use another order_id"
        )
    if model.is_paid_otherwise(known, detail.payment_token):
        raise OrderConflict(
            f"order {known.order_id} is {known.status} and was placed with another"
            " payment_token, which stands; a new payment is a new order: use another order_id"
        )


def open_placed(
    event: Event[OrderCreated], now: float, ports: Ports, key: Key | None
) -> OrderRecord:
    """Write an order that was placed over HTTP, its event, and its idempotency key if it has one.

    The event says what was ordered, whatever was asked for before.
    """
    messages = (published.created(published.received(event, now), now),)
    placed = Entry("RECEIVED", now)
    return _open(event, now, lambda new: new.change(placed, messages=messages), ports, key)


@retry_on_conflict
def cancel(order_id: str, reason: str | None, event_id: str | None, ports: Ports) -> OrderRecord:
    """Ask for an order's cancellation; a run picks it up.

    Raises
    ------
    CancellationRefused
        Too late; the order's timeline says so too.
    OrderNotFound
        No such order.
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
def amend(order_id: str, wanted: Amendment, ports: Ports) -> OrderRecord:
    """Change an order's address or e-mail address.

    The e-mail address can be corrected after the shipment, if no confirmation could be sent to it.

    Raises
    ------
    ChangeRefused
        Too late; the order's timeline says so too.
    OrderNotFound
        No such order.
    """
    record = ports.store.read(order_id)
    now = ports.now()
    try:
        late = model.is_closed(record) and model.may_be_corrected(record, wanted)
        unconfirmed = late and ports.store.is_unconfirmed(order_id)
        change = model.amend(record, wanted, now, unconfirmed=unconfirmed)
    except ChangeRefused as error:
        ports.store.note(order_id, Entry("CHANGE_IGNORED", now, {"reason": str(error)}))
        raise
    return record if change is None else ports.store.save(change)


def take_change(envelope: Mapping[str, Any], ports: Ports) -> None:
    """Do what an `Order Updated` or `Order Cancelled` event asks for.

    A request that comes too late is answered or recorded, never retried. One that comes before its
    order is kept for the order's first write.

    Raises
    ------
    OrderNotFound
        Its order is not here yet, and too many requests wait for it already.
    InvalidEvent
        It does not keep its contract.
    """
    event = parse(envelope)
    if event.name not in (OrderUpdated.name, OrderCancelled.name):
        raise InvalidEvent("detail-type", f"{event.name!r} changes no order")
    _take(event, _heard(envelope, ports.now()), ports)


@retry_on_conflict
def _take(event: Event[Any], heard: float, ports: Ports) -> None:
    try:
        if event.name == OrderCancelled.name:
            _cancel_or_refuse(event, ports)
        else:
            _amend(event, heard, ports)
    except OrderNotFound:
        ports.store.keep(early.request_of(event, ports.now(), heard))


def _amend(event: Event[OrderUpdated], heard: float, ports: Ports) -> None:
    asked = event.detail
    at = model.counted(asked.timestamp, ports.now(), heard)
    with suppress(ChangeRefused):
        wanted = Amendment(asked.address, asked.email, at, asked.timestamp)
        amend(asked.order_id, wanted, ports)


def _cancel_or_refuse(event: Event[OrderCancelled], ports: Ports) -> None:
    try:
        cancel(event.detail.order_id, event.detail.reason, event.event_id, ports)
    except CancellationRefused as error:
        now = ports.now()
        record = ports.store.read(event.detail.order_id)
        refusal = published.cancellation_refused(record, str(error), event.event_id, now)
        ports.store.send(refusal, now)


def _heard(envelope: Mapping[str, Any], now: float) -> float:
    """Return when the bus heard of an event: the same for each of its deliveries."""
    try:
        return min(moment(str(envelope.get("time"))).timestamp(), now)
    except ValueError:
        return now


def give_up_early(ports: Ports, limit: int = 1000) -> int:
    """Put letters in place of requests whose orders did not come; return how many requests."""
    now, given_up = ports.now(), 0
    for requests in ports.store.outlasted(now - early.KEPT, limit):
        letters = [early.letter(one, ports.quarantine_queue) for one in requests]
        with suppress(VersionConflict):  # its order or another request has just come
            ports.store.give_up(requests, letters, now)
            given_up += len(requests)
    return given_up


def restart(body: str, message_id: str, ports: Ports) -> float:
    """Start a run again that ended before its order was claimed; return for how long it has failed.

    The run's name is the message's, so that a second delivery starts nothing. After `MAX_RESTARTS`
    seconds the event is quarantined.

    Raises
    ------
    InvalidEvent
        The message is no event.
    """
    event, now = envelope_of(body), ports.now()
    since = float(event.get(FAILS_SINCE, now))
    if now - since > MAX_RESTARTS:
        error = StoreError("order_processing could not begin for a day; redrive the event")
        queue = ports.quarantine_queue
        letter = quarantined(body, error, consumer="order_processing", queue=queue)
        ports.store.send(letter, now)
    else:
        run = {"name": f"again-{message_id}", "input": {**event, FAILS_SINCE: since}}
        ports.store.send(Message("run", run), now)
    return now - since


def reconcile(ports: Ports, limit: int = 1000) -> int:
    """Start a run for every order that nothing else will come back to; return how many."""
    now = ports.now()
    runs: list[Message] = [
        model.resume(record, now, "r")
        for record in ports.store.stranded(now, ports.policy.lease_seconds, limit)
    ]
    runs += islice(_unheard(now, ports), limit)
    for message in runs:
        ports.store.send(message, now)
    return len(runs)


def _unheard(now: float, ports: Ports) -> Iterator[Message]:
    """Return runs for valid `Order Created` events of which no order came."""
    for envelope in ports.store.events_without_order(now - 7 * 86_400, now - SINK_GRACE):
        try:
            event = parse(envelope)
        except InvalidEvent:
            continue  # quarantined by its consumers
        name = f"{event.detail.order_id}-u{int(now) // 60:x}"
        yield Message("run", {"name": name, "input": dict(envelope)})
