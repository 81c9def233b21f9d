"""Answer a caller's question about events: a customer hears of its own events only.

An event belongs to the customer in it, and without one to the customer of its order: anyone who
may send events can send another customer's with the id of an order.
"""

from kernel.errors import EventNotFound, OrderNotFound
from kernel.events import OrderCreated
from kernel.order_record import OrderRecord
from orders.caller import Caller
from orders.event_history import MAX_EVENTS, EventHistory, ToldEvent
from orders.usecases import Ports


def history(ports: Ports) -> EventHistory:
    """Return the history of events, which every composition root gives."""
    assert ports.history is not None, "the composition root gives no history"
    return ports.history


def of_order(order_id: str, caller: Caller, ports: Ports) -> list[ToldEvent]:
    """Return the events of an order, the oldest first.

    Raises
    ------
    OrderNotFound
        No event has this order id, or the order is another customer's.
    """
    record = ports.store.find(order_id)
    if record is not None:
        caller.require_own(record)
    events = history(ports).of_order(order_id, MAX_EVENTS)
    own = [event for event in events if _is_own(event, record, caller)]
    if record is None and not own:
        raise OrderNotFound(f"no order has the id {order_id!r}")
    return own


def find(event_id: str, caller: Caller, ports: Ports) -> ToldEvent:
    """Return the event of an EventId.

    Raises
    ------
    EventNotFound
        No event has this id, the bus no longer has it, or it is of another customer.
    """
    event = history(ports).find(event_id)
    if event is not None:
        # an Order Created is its sender's customer's, and not that of the order with its id
        foreign = event.type == OrderCreated.name and event.customer_id is None
        known = event.order_id is not None and not foreign
        record = ports.store.find(str(event.order_id)) if known else None
        if _is_own(event, record, caller):
            return event
    raise EventNotFound(
        f"no event has the id {event_id[:80]!r}; send the EventId of PutEvents' answer. A deployed"
        " stack tells the refused events of 14 days by their id, and the others by their order:"
        " GET /orders/{order_id}/events"
    )


def _is_own(event: ToldEvent, record: OrderRecord | None, caller: Caller) -> bool:
    """Return whether a caller may hear of an event; ``record`` is that of its order."""
    owner = event.customer_id or (record.customer_id if record else None)
    return caller.customer_id in (None, owner)
