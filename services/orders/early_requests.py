"""Early requests: they arrive before their order, and are stored for its first write, for a day.

The order's first write is refused if it leaves a stored request out, and a request is stored only
while the order does not exist. So one of the two writes always sees the other, in either order.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kernel.errors import ChangeRefused, OrderNotFound, VersionConflict
from kernel.events import SOURCE, Event, OrderCancelled, derived_event_id
from kernel.order_record import Change, Entry, Message, OrderRecord
from kernel.quarantine import quarantined
from orders import model
from orders.model import Amendment

RETENTION = 86_400.0
"""Seconds for which the requests of an order are stored, from the last request."""

MAX_KEPT = 20
"""Maximum number of requests per order: an item holds 400 KB (DynamoDB, Constraints)."""


class EarlyRequest(NamedTuple):
    """An `Order Updated` or `Order Cancelled` event that arrived before its order.

    ``request_id`` follows from the content: publishers have sent two requests with one event id.
    ``came_at`` is the time of its storage, and ``heard`` the time at which the bus accepted it,
    both in epoch seconds.
    """

    order_id: str
    request_id: str
    event_id: str
    name: str
    detail: Mapping[str, Any]
    came_at: float
    heard: float


class RequestedBefore(VersionConflict):
    """The first write of an order left stored requests out.

    ``requests`` are all stored requests, the oldest first.
    """

    def __init__(self, order_id: str, requests: Sequence[EarlyRequest]) -> None:
        super().__init__(f"order {order_id} has {len(requests)} requests that arrived before it")
        self.requests = tuple(sorted(requests, key=_age))


def _age(request: EarlyRequest) -> tuple[float, str]:
    return request.came_at, request.request_id


def request_of(event: Event[Any], came_at: float, heard: float) -> EarlyRequest:
    """Return the request in an event, with the fields of its contract only."""
    detail = event.detail
    content = detail.model_dump(mode="json")
    request_id = derived_event_id(detail)
    return EarlyRequest(
        detail.order_id, request_id, event.event_id, event.name, content, came_at, heard
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


def dead_letter(request: EarlyRequest, consumer: str, queue: str) -> Message:
    """Return the dead letter of a request whose order did not arrive in time."""
    hours = int(RETENTION // 3600)
    problem = f"order {request.order_id} did not arrive within {hours} hours of this request"
    event = {"source": SOURCE, "detail-type": request.name, "detail": request.detail}
    return quarantined(json.dumps(event), OrderNotFound(problem), consumer=consumer, queue=queue)
