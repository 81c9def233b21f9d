"""Find the order that a text is about: an EventId, a correlation id or a tracking number."""

from typing import NamedTuple

from infra.errors import NotFound
from orders.event_history import ToldEvent
from storage.sqlite.database import Database

MAX_NAMED = 5
"""Orders that a message names."""

_BY: dict[str, str] = {
    "tracking number": "select order_id from shipments where tracking_number = ? limit ?",
    "correlation id": "select order_id from orders where correlation_id = ? limit ?",
    "event id in its metadata": "select order_id from orders where event_id = ? limit ?",
}
"""The other names of an order, each with its query. None has an index: no order waits for it."""


class Found(NamedTuple):
    """The order that a text is about, the kind of the text, and its event if it is an EventId."""

    order_id: str | None
    by: str
    event: ToldEvent | None = None


def order_by_other_name(database: Database, text: str) -> Found | None:
    """Return the order that has this EventId, tracking number or correlation id, if one has it.

    Raises
    ------
    NotFound
        Several orders have it; the message names them.
    """
    from orders.journal_history import JournalHistory  # imports pydantic, which a list needs not

    event = JournalHistory(database).find(text)
    if event is not None:
        return Found(event.order_id, "EventId", event)
    for name, query in _BY.items():
        ids = [row["order_id"] for row in database.rows(query, text, MAX_NAMED + 1)]
        if len(ids) > 1:
            more = " and more" if len(ids) > MAX_NAMED else ""
            listed = ", ".join(ids[:MAX_NAMED])
            raise NotFound(f"several orders have the {name} {text!r}: {listed}{more}; name one")
        if ids:
            return Found(ids[0], name)
    return None
