"""Early requests: they arrive before their order, and are stored for its first write, for a day.

The order's first write is refused if it leaves a stored request out, and a request is stored only
while the order does not exist. So one of the two writes always sees the other, in either order.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kernel.errors import ChangeRefused, OrderNotFound, VersionConflict
from kernel.events import SOURCE, Event, OrderCancelled, derived_event_id
from kernel.order_record import Change, Entry, Message, OrderRecord
from kernel.quarantine import quarantined
from orders import model
from orders.model import Amendment
from orders.rejections import is_bus_id, rejection

RETENTION = 86_400.0
"""Seconds for which the requests of an order are stored, from the last request."""

NOT_ARRIVED = (
    f"did not arrive within {RETENTION // 3600:.0f} hours of this request;"
    " send the order first, then the request again"
)
"""The problem of an expired request, after its order's id."""

MAX_KEPT = 20
"""Maximum number of requests per order: an item holds 400 KB (DynamoDB, Constraints)."""


class EarlyRequest(NamedTuple):
    """An `Order Updated` or `Order Cancelled` event that arrived before its order.

    ``request_id`` follows from the content: publishers have sent two requests with one event id.
    ``came_at`` is the time of its storage, and ``heard`` the time at which the bus accepted it,
    both in epoch seconds. ``bus_event_id`` is the EventId that PutEvents answered; a request that
    an earlier version stored has none.
    """

    order_id: str
    request_id: str
    event_id: str
    name: str
    detail: Mapping[str, Any]
    came_at: float
    heard: float
    bus_event_id: str | None = None


class RequestedBefore(VersionConflict):
    """The first write of an order left stored requests out.

    ``requests`` are all stored requests, the oldest first.
    """

    def __init__(self, order_id: str, requests: Sequence[EarlyRequest]) -> None:
        super().__init__(f"order {order_id} has {len(requests)} requests that arrived before it")
        self.requests = tuple(sorted(requests, key=_age))


def _age(request: EarlyRequest) -> tuple[float, str]:
    return request.came_at, request.request_id


def request_of(
    event: Event[Any], envelope: Mapping[str, Any], came_at: float, heard: float
) -> EarlyRequest:
    """Return the request in an event, with the fields of its contract only."""
    detail, accepted = event.detail, envelope.get("id")
    return EarlyRequest(
        detail.order_id,
        derived_event_id(detail),
        event.event_id,
        event.name,
        detail.model_dump(mode="json"),
        came_at,
        heard,
        accepted if is_bus_id(accepted) else None,
    )


def too_many(order_id: str) -> OrderNotFound:
    """Return the error of a request beyond `MAX_KEPT`."""
    return OrderNotFound(
        f"no order has the id {order_id!r}, and {MAX_KEPT} requests wait for it already"
    )


def applied(
    record: OrderRecord, requests: Iterable[EarlyRequest]
) -> tuple[OrderRecord, tuple[Entry, ...]]:
    """Apply early requests to a record that is not written yet; return it and timeline entries.

    The run that the order starts acts on them, so no other run has to be started.
    """
    entries: tuple[Entry, ...] = ()
    for request in requests:
        try:
            change = _change(record, request)
        except ChangeRefused as error:
            entries += (Entry("CHANGE_IGNORED", request.came_at, {"reason": str(error)}),)
            continue
        if change is not None:
            record = record._replace(**{**change.fields, "version": 0})
            entries += change.entries
    return record, entries


def _change(record: OrderRecord, request: EarlyRequest) -> Change | None:
    # not validated again: it was valid when it was stored, perhaps under an earlier contract
    detail, at = request.detail, request.came_at
    if request.name == OrderCancelled.name:
        return model.cancel(record, detail["reason"], request.event_id, at)
    sent = detail["timestamp"]
    amendment = Amendment(
        detail["shipping_address"],
        detail["email"],
        model.effective_time(sent, at, request.heard),
        sent,
    )
    return model.amend(record, amendment, at)


def expired(request: EarlyRequest, consumer: str, queue: str, at: float) -> Iterator[Message]:
    """Yield the messages of a request whose order did not arrive in time.

    They are its dead letter, and the fact that tells its sender. A request without the EventId of
    PutEvents has no fact, since its sender would not recognize it.
    """
    error = OrderNotFound(f"order {request.order_id} {NOT_ARRIVED}")
    event = {"source": SOURCE, "detail-type": request.name, "detail": request.detail}
    yield quarantined(json.dumps(event), error, consumer=consumer, queue=queue)
    fact = rejection({**event, "id": request.bus_event_id}, error, at)
    if fact is not None:
        yield fact
