"""Handle `Order Updated` and `Order Cancelled` events: the requests to change an order.

`Stock Received` comes by the same queue, and resumes waiting orders (`orders.stock_arrivals`).
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kernel import stock_events
from kernel.errors import (
    CancellationRefused,
    ChangeRefused,
    InvalidEvent,
    OrderNotFound,
    VersionConflict,
)
from kernel.events import Event, OrderCancelled, OrderCreated, OrderUpdated, parse
from kernel.order_record import retry_on_conflict
from kernel.quarantine import envelope_of, quarantined
from kernel.timestamps import moment
from orders import early_requests, model, outgoing_events, stock_arrivals
from orders.model import Amendment
from orders.rejections import rejection
from orders.usecases import Ports, amend, cancel

CONSUMER = "change_order"
"""Name of this consumer in quarantined messages."""


def take_message(body: str, ports: Ports) -> bool:
    """Apply the request in a queue message, or quarantine the message if it is no valid event.

    Returns false for a quarantined message: a retry would fail in the same way. Its dead letter
    and the fact that tells its producer are one write.

    Raises
    ------
    OrderNotFound
        As in `apply_request`.
    """
    envelope: Mapping[str, Any] = {}
    try:
        envelope = envelope_of(body)
        apply_request(envelope, ports)
    except InvalidEvent as error:
        now = ports.now()
        letter = quarantined(body, error, consumer=CONSUMER, queue=ports.quarantine_queue)
        refusal = None if _is_told_elsewhere(envelope) else rejection(envelope, error, now)
        ports.store.send_all((letter, refusal) if refusal else (letter,), now)
        return False
    return True


def _is_told_elsewhere(envelope: Mapping[str, Any]) -> bool:
    """Return whether the workflow tells of an event: no rule brings it here."""
    return envelope.get("detail-type") == OrderCreated.name


def apply_request(envelope: Mapping[str, Any], ports: Ports) -> None:
    """Apply the request of an `Order Updated` or `Order Cancelled` event, or `Stock Received`.

    A late request is answered or recorded, never retried. A request that arrives before its order
    is stored for the order's first write.

    Raises
    ------
    OrderNotFound
        The order does not exist yet, and too many requests are stored for it already.
    InvalidEvent
        The event breaks its contract.
    """
    if stock_events.is_stock_event(envelope):
        stock_arrivals.resume_waiting(stock_events.parse(envelope), ports)
        return
    event = parse(envelope)
    if event.name not in (OrderUpdated.name, OrderCancelled.name):
        raise InvalidEvent("detail-type", f"{event.name!r} changes no order")
    try:
        _apply(event, envelope, ports)
    except ChangeRefused as error:
        now = ports.now()
        refusal = rejection(envelope, error, now)
        if refusal is not None:
            ports.store.send(refusal, now)


@retry_on_conflict
def _apply(event: Event[Any], envelope: Mapping[str, Any], ports: Ports) -> None:
    arrived_at = _arrival(envelope, ports.now())
    try:
        if event.name == OrderCancelled.name:
            _cancel_or_refuse(event, ports)
        else:
            _amend(event, arrived_at, ports)
    except OrderNotFound:
        request = early_requests.request_of(event, envelope, ports.now(), arrived_at)
        ports.store.keep_request(request)


def _amend(event: Event[OrderUpdated], arrived_at: float, ports: Ports) -> None:
    request = event.detail
    at = model.effective_time(request.timestamp, ports.now(), arrived_at)
    amendment = Amendment(request.address, request.email, at, request.timestamp)
    amend(request.order_id, amendment, ports)


def _cancel_or_refuse(event: Event[OrderCancelled], ports: Ports) -> None:
    try:
        cancel(event.detail.order_id, event.detail.reason, event.event_id, ports)
    except CancellationRefused as error:
        now = ports.now()
        record = ports.store.read(event.detail.order_id)
        refusal = outgoing_events.cancellation_refused(record, str(error), event.event_id, now)
        ports.store.send(refusal, now)


def _arrival(envelope: Mapping[str, Any], now: float) -> float:
    """Return the time at which the bus accepted an event: the same for each delivery."""
    try:
        return min(moment(str(envelope.get("time"))).timestamp(), now)
    except ValueError:
        return now


def expire_requests(ports: Ports, limit: int = 1000) -> int:
    """Replace expired early requests by dead letters; return the number of requests.

    A request has expired when its order did not arrive within `early_requests.RETENTION` seconds.
    The fact that tells its sender is in the same write.
    """
    now, expired = ports.now(), 0
    for requests in ports.store.expired_requests(now - early_requests.RETENTION, limit):
        messages = [
            message
            for request in requests
            for message in early_requests.expired(request, CONSUMER, ports.quarantine_queue, now)
        ]
        with suppress(VersionConflict):  # the order or another request has just arrived
            ports.store.give_up(requests, messages, now)
            expired += len(requests)
    return expired
