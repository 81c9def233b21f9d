"""The refused events of a stack, by the EventId of PutEvents, each kept for 14 days.

No API of AWS reads an event of the bus. So the relay, which sends `Order Rejected`, keeps its
content in an item of its own, and `GET /events/{event_id}` reads it. An event that is accepted
costs nothing more.

==============  ===================================================================================
attribute       content
==============  ===================================================================================
``pk``, ``sk``  ``refused#EVENTID``, ``refused``
``fact``        the detail of `Order Rejected`, as JSON without its fields of no value
``ttl``         when DynamoDB may delete it, in epoch seconds
==============  ===================================================================================
"""

from collections.abc import Iterable

from kernel import json_text
from kernel.events import SOURCE, OrderRejected
from kernel.order_record import Message
from kernel.timestamps import moment
from orders.event_history import REJECTED, UNKNOWN_TYPE, ToldEvent
from orders.rejections import is_bus_id
from storage.dynamodb.table import Table, Update

REFUSED = "refused"

KEPT = 14 * 86_400
"""Seconds for which a refused event is told: as long as SQS keeps its dead letter."""


def keep(messages: Iterable[Message], table: Table) -> None:
    """Write an item for each `Order Rejected` among accepted messages; a repetition is the same."""
    for message in messages:
        body = message.body
        is_fact = message.kind == "event" and body.get("Source") == SOURCE
        if is_fact and body.get("DetailType") == OrderRejected.name:
            text = str(body["Detail"])
            fact = json_text.parse(text)
            update = Update(*_key(fact["rejected_event_id"]))
            update.put(fact=text, ttl=int(moment(fact["timestamp"]).timestamp() + KEPT))
            table.write(update)


def find(event_id: str, table: Table) -> ToldEvent | None:
    """Return the refused event of an EventId, or ``None``."""
    item = table.get(*_key(event_id)) if is_bus_id(event_id) else None
    if item is None:
        return None
    fact = json_text.parse(item["fact"])
    return ToldEvent(
        type=fact.get("rejected_event_type") or UNKNOWN_TYPE,
        at=fact["timestamp"],
        outcome=REJECTED,
        event_id=event_id,
        order_id=fact.get("order_id"),
        reason=fact["reason"],
        problems=fact["problems"],
        answers=[OrderRejected.name],
    )


def _key(event_id: str) -> tuple[str, str]:
    return f"{REFUSED}#{event_id}", REFUSED
