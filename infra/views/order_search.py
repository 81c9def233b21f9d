"""Find orders by any name that a person may have, for `orders show` and the console.

==========================  ======================================================
name                        orders that have it
==========================  ======================================================
order id, or its beginning  from the order's record, or from an event without one
customer                    from the record
EventId                     the order of the event; an event may name no order
tracking number             from the shipment
correlation id              from the record
event id in its metadata    from the record: the id that the sender gave
charge id, shipment id      from the record
==========================  ======================================================

The last four have no index: one query reads the whole table for them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.errors import NotFound
from orders.event_history import ToldEvent
from storage.sqlite.database import Database

LIMIT = 20
"""Maximum orders that are found."""

MAX_NAMED = 5
"""Orders that a message names."""

UNKNOWN = "UNKNOWN"
"""The status of an order without a record."""

_RECORD = "select order_id, status from orders where order_id = ?"
_EVENT = "select 1 from events where order_id = ? limit 1"
_BEGINNING = (
    "select order_id, status from orders where order_id >= ?1"
    " and order_id < ?1 || char(0x10ffff) order by order_id limit ?"
)
_CUSTOMER = (
    "select order_id, status from orders where customer_id = ? order by created_at desc limit ?"
)
_OTHER_NAMES = """
select order_id, o.status, 'tracking number' as kind
from shipments s join orders o using (order_id) where s.tracking_number = ?1
union all
select order_id, status, case ?1 when correlation_id then 'correlation id'
    when event_id then 'event id in its metadata'
    when charge_id then 'charge id' else 'shipment id' end from orders
where ?1 in (correlation_id, event_id, charge_id, shipment_id)
limit ?
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """An order that was found, and the kind of the name; its event if the name is an EventId.

    ``order_id`` is None for an event that names no order.
    """

    order_id: str | None
    status: str
    by: str
    event: ToldEvent | None = None


def find_orders(database: Database, text: str) -> list[Hit]:
    """Return the orders that a text names, at most `LIMIT`; an exact id is alone."""
    exact = database.row(_RECORD, text)
    if exact is not None:
        return [Hit(text, exact["status"], "order id")]
    if database.row(_EVENT, text) is not None:
        return [Hit(text, UNKNOWN, "order id")]
    hits: dict[str | None, Hit] = {}
    for hit in _by_any_name(database, text):
        hits.setdefault(hit.order_id, hit)
        if len(hits) == LIMIT:
            break
    return list(hits.values())


def order_by_other_name(database: Database, text: str) -> Hit | None:
    """Return the order that has a name other than its id and customer, if one has it.

    Raises
    ------
    NotFound
        Several orders have it; the message names them.
    """
    hits = list(_by_other_name(database, text))
    if not hits:
        return None
    kind = hits[0].by
    ids = [hit.order_id or "" for hit in hits if hit.by == kind]
    if len(ids) > 1:
        more = " and more" if len(ids) > MAX_NAMED else ""
        listed = ", ".join(ids[:MAX_NAMED])
        raise NotFound(f"several orders have the {kind} {text!r}: {listed}{more}; name one")
    return hits[0]


def _by_any_name(database: Database, text: str) -> Iterator[Hit]:
    for by, query in (("beginning of its id", _BEGINNING), ("customer", _CUSTOMER)):
        for row in database.rows(query, text, LIMIT):
            yield Hit(row["order_id"], row["status"], by)
    yield from _by_other_name(database, text)


def _by_other_name(database: Database, text: str) -> Iterator[Hit]:
    from orders.journal_history import JournalHistory  # imports pydantic, which a list needs not

    event = JournalHistory(database).find(text)
    if event is not None:
        row = database.row(_RECORD, event.order_id)
        yield Hit(event.order_id, row["status"] if row else UNKNOWN, "EventId", event)
        return
    for row in database.rows(_OTHER_NAMES, text, LIMIT):
        yield Hit(row["order_id"], row["status"], row["kind"])
