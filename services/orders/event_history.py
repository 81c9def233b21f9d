"""The outcome of an event: `GET /orders/{order_id}/events` and `GET /events/{event_id}`.

One machine reads its journal (`orders.journal_history`). AWS has no API that reads an event of the
bus, so a stack answers from the order's timeline (`orders.timeline_history`), and by an EventId
from the events that it has refused (`orders.refused_events`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

MAX_EVENTS = 200
"""Events of one order in an answer: the first ones."""

PUBLISHED, PROCESSED, REJECTED = "published", "processed", "rejected"
DUPLICATE, WAITING, UNMATCHED = "duplicate", "waiting", "unmatched"

OUTCOMES: Mapping[str, str] = {
    PUBLISHED: "a fact of the platform",
    PROCESSED: "the request was taken",
    REJECTED: "the request was refused; problems has the corrections",
    DUPLICATE: "the same request was taken before",
    UNMATCHED: "no rule takes events of its source; problems has the right one",
    WAITING: "no consumer has finished with it yet",
}
"""Each outcome, and its meaning."""


UNKNOWN_TYPE = "unknown"
"""The type of a refused event that no contract has, where its own is not kept."""


class ToldEvent(NamedTuple):
    """An event and its outcome.

    ``event_id`` is the EventId that PutEvents answered, and ``metadata_event_id`` the id that the
    sender wrote; each is ``None`` where it is unknown. ``answers`` are the facts that it caused.
    """

    type: str
    at: str
    outcome: str
    event_id: str | None = None
    metadata_event_id: str | None = None
    order_id: str | None = None
    customer_id: str | None = None
    reason: str | None = None
    problems: Sequence[Mapping[str, Any]] = ()
    answers: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the event as the API answers it, without fields that it does not have."""
        kept = {name: value for name, value in self._asdict().items() if value not in (None, ())}
        return {**kept, "answers": list(self.answers)}


class EventHistory(Protocol):
    """The events that the platform has seen."""

    def of_order(self, order_id: str, limit: int) -> list[ToldEvent]:
        """Return the first events of an order, the oldest first."""

    def find(self, event_id: str) -> ToldEvent | None:
        """Return the event of an EventId, or ``None``."""
