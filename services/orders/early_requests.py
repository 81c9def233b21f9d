"""Requests that come before their order: kept for a day, and taken into account by its first write.

The order's first write is refused while a kept request is left out of it, and a request is kept
only while the order is not there. So one of the two always sees the other, whichever comes first.
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

KEPT = 86_400.0
"""Seconds for which the requests of an order are kept, from the last of them on."""

MAX_KEPT = 20
"""Requests kept for one order: they share an item of at most 400 KB (DynamoDB, Constraints)."""


class EarlyRequest(NamedTuple):
    """An `Order Updated` or `Order Cancelled` event that came before its order.

    ``request_id`` follows from the content: publishers have sent two requests under one event id.
    ``came_at`` is when it came, and ``heard`` when the bus heard of it, both in epoch seconds.
    """

    order_id: str
    request_id: str
    event_id: str
    name: str
    detail: Mapping[str, Any]
    came_at: float
    heard: float


class RequestedBefore(VersionConflict):
    """The first write of an order left out what was asked for before.

    ``requests`` are all that are kept, the oldest first.
    """

    def __init__(self, order_id: str, requests: Sequence[EarlyRequest]) -> None:
        super().__init__(f"order {order_id} has {len(requests)} requests from before it came")
        self.requests = tuple(sorted(requests, key=lambda one: (one.came_at, one.request_id)))


def request_of(event: Event[Any], came_at: float, heard: float) -> EarlyRequest:
    """Return the request of an event; only what its contract knows is kept of it."""
    detail = event.detail
    content = detail.model_dump(mode="json")
    request_id = derived_event_id(detail)
    return EarlyRequest(
        detail.order_id, request_id, event.event_id, event.name, content, came_at, heard
    )


def too_many(order_id: str) -> OrderNotFound:
    """Return the error of a request for which there is no room."""
    return OrderNotFound(
        f"no order has the id {order_id!r}, and {MAX_KEPT} requests wait for it already"
    )


def applied(
    record: OrderRecord, requests: Iterable[EarlyRequest]
) -> tuple[OrderRecord, tuple[Entry, ...]]:
    """Return an unwritten record with what was asked for before, and what its timeline says of it.

    The run that begins with the order acts on it: no other run has to be started.
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
    # what was kept has kept its contract: it is not held to that of a later version
    detail, at = request.detail, request.came_at
    if request.name == OrderCancelled.name:
        return model.cancel(record, detail["reason"], request.event_id, at)
    sent = detail["timestamp"]
    wanted = Amendment(
        detail["shipping_address"],
        detail["email"],
        model.counted(sent, at, request.heard),
        sent,
    )
    return model.amend(record, wanted, at)


def letter(request: EarlyRequest, queue: str) -> Message:
    """Return the message that tells an operator of a request whose order never came."""
    hours = int(KEPT // 3600)
    problem = f"order {request.order_id} did not come within {hours} hours of this request"
    event = {"source": SOURCE, "detail-type": request.name, "detail": request.detail}
    return quarantined(
        json.dumps(event), OrderNotFound(problem), consumer="change_order", queue=queue
    )
