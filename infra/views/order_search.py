"""Orders by any id that a person may have: of the order, customer, correlation, parcel or event."""

from collections.abc import Iterator
from dataclasses import dataclass

from storage.sqlite.database import Database

LIMIT = 20
NEWEST = 20_000
"""Orders whose correlation and tracking numbers are compared; these have no index."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An order that was found; ``by`` names the id."""

    order_id: str
    status: str
    by: str


def find_orders(database: Database, text: str) -> list[Hit]:
    """Return the orders that a text names, at most `LIMIT`; an exact id is alone."""
    exact = database.row("select order_id, status from orders where order_id = ?", text)
    if exact is not None:
        return [Hit(exact["order_id"], exact["status"], "order")]
    hits: dict[str, Hit] = {}
    for hit in _hits(database, text):
        hits.setdefault(hit.order_id, hit)
        if len(hits) == LIMIT:
            break
    return list(hits.values())


def _hits(database: Database, text: str) -> Iterator[Hit]:
    queries = {
        "order": "select order_id, status from orders where order_id >= ?1"
        " and order_id < ?1 || char(0x10ffff) order by order_id limit 20",
        "customer": "select order_id, status from orders where customer_id = ?1"
        " order by created_at desc limit 20",
        "event": "select e.order_id, coalesce(o.status, 'UNKNOWN') as status from (select order_id"
        f" from (select id, order_id from events order by seq desc limit {NEWEST}) where id = ?1) e"
        " left join orders o on o.order_id = e.order_id where e.order_id is not null limit 20",
        "record": "select order_id, status from (select order_id, status, correlation_id,"
        " tracking_number, event_id, charge_id, shipment_id from orders order by created_at desc"
        f" limit {NEWEST}) where ?1 in (correlation_id, tracking_number, event_id, charge_id,"
        " shipment_id) limit 20",
        "message": "select e.order_id, 'UNKNOWN' as status from events e where e.order_id = ?1"
        " limit 1",
    }
    for by, query in queries.items():
        for row in database.rows(query, text):
            yield Hit(row["order_id"], row["status"], by)
