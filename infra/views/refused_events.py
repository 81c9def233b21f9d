"""The refused events of an order, each as a sentence."""

from orders.event_history import REJECTED, UNMATCHED, ToldEvent
from storage.sqlite.database import Database

_PERHAPS_REFUSED = """
select 1 from events where order_id = ? and (
    detail_type in ('Order Rejected', 'Order Updated', 'Order Cancelled')
    or json_extract(envelope, '$.source') <> 'orders.service'
    or not exists (select 1 from orders where orders.order_id = events.order_id)
) union all
select 1 from events where order_id = ?1 and detail_type = 'Order Created'
group by order_id having count(*) > 1
limit 1
"""
"""A row, unless an order has a record and only one `Order Created` and the platform's facts."""


def refusals(database: Database, order_id: str, limit: int) -> list[str]:
    """Return a sentence for each event of an order that was refused, the oldest first."""
    if database.row(_PERHAPS_REFUSED, order_id) is None:
        return []
    from orders.journal_history import JournalHistory  # imports the contracts, so pydantic

    events = JournalHistory(database).of_order(order_id, limit)
    return [refusal for event in events if (refusal := refusal_of(event))]


def refusal_of(event: ToldEvent) -> str | None:
    """Return why an event was refused, or ``None``."""
    if event.outcome not in (REJECTED, UNMATCHED):
        return None
    problems = "; ".join(f"{each['field']}: {each['problem']}" for each in event.problems)
    return f"{event.type} {event.event_id} at {event.at}: {problems or event.reason}"
