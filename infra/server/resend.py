"""The operation ``Orderflow.ResendEvent``: a journalled request of an order is sent once more.

=============  ====================================================================================
``order_id``   its order
``seq``        the number of the event in the journal
``copy_id``    the id of a copy as a new order; without it the same event is sent again
=============  ====================================================================================

It is an operator's action on the order, and puts the event on the bus in the same turn.
"""

from collections.abc import Mapping
from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.views.exact_json import read_exact, write_exact
from kernel.clock import timestamp

MAX_ID = 200
CREATED = "Order Created"
SENT_BY_USERS = (CREATED, "Order Updated", "Order Cancelled")
"""The detail types that are sent again: the others are facts of the platform."""

FIELD_TYPES: Mapping[str, type] = {"seq": int, "copy_id": str}


def resend(engine: Engine, request: Mapping[str, Any], now: float) -> Mapping[str, Any]:
    """Put an event of an order on the bus again, or a copy of it; return its new id.

    Raises
    ------
    InvalidRequest
        The journal has no such request of this order, or the bus refuses the event.
    """
    order_id, copy_id = request["order_id"], (request.get("copy_id") or "").strip()
    row = engine.journal.database.row(
        "select detail_type, envelope from events where seq = ? and order_id = ?",
        request.get("seq") or 0,
        order_id,
    )
    if row is None:
        problem = f"seq: the journal has no event {request.get('seq')} of order {order_id}"
        raise InvalidRequest("ResourceNotFoundException", problem)
    if row["detail_type"] not in SENT_BY_USERS:
        problem = f"seq: is a fact that the platform publishes; send {', '.join(SENT_BY_USERS)}"
        raise InvalidRequest("ValidationException", problem)
    if copy_id and row["detail_type"] != CREATED:
        raise InvalidRequest("ValidationException", f"copy_id: only {CREATED} opens a new order")
    if len(copy_id) > MAX_ID:
        raise InvalidRequest("ValidationException", f"copy_id: has at most {MAX_ID} characters")
    envelope = read_exact(row["envelope"])
    detail = _copied(envelope["detail"], copy_id, now) if copy_id else envelope["detail"]
    entry = {
        "EventBusName": engine.stack.bus,
        "Source": envelope["source"],
        "DetailType": envelope["detail-type"],
        "Detail": write_exact(detail),
    }
    [answer] = engine.put_events([entry], now)["Entries"]
    if "EventId" not in answer:
        raise InvalidRequest(answer["ErrorCode"], str(answer.get("ErrorMessage", "")))
    return {"event": answer["EventId"], "opens": copy_id or None}


def _copied(detail: Mapping[str, Any], copy_id: str, now: float) -> dict[str, Any]:
    """Return a detail for a new order; without metadata its content identifies it."""
    fields = {name: value for name, value in detail.items() if name != "metadata"}
    return {**fields, "order_id": copy_id, "timestamp": timestamp(now)}
