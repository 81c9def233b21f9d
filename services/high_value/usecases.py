"""Open a review of each order of high value, once, and quarantine invalid events."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from high_value.model import Review
from kernel.approval import Thresholds
from kernel.clock import timestamp
from kernel.errors import InvalidEvent
from kernel.events import HighValueOrderFlagged, OrderCreated, parse
from kernel.order_record import Entry, Message
from kernel.published_events import event_message, published_metadata
from kernel.quarantine import envelope_of, quarantined

CONSUMER = "flag_high_value"
"""Name of this consumer in quarantined messages."""


class ReviewStore(Protocol):
    """The reviews, and the outbox."""

    def open(self, review: Review, entry: Entry, message: Message) -> bool:
        """Write a review, its timeline entry and its message in one transaction.

        Return false and write nothing if the order has a review already.
        """

    def send(self, message: Message, at: float) -> None:
        """Put a message into the outbox without a review."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the use case."""

    store: ReviewStore
    thresholds: Thresholds
    quarantine_queue: str
    now: Callable[[], float]


def flag(body: str, ports: Ports) -> str:
    """Flag the order of an event, given as JSON text in its envelope; return the outcome.

    The outcome is ``FLAGGED``, ``FLAGGED_BEFORE``, ``NOT_FLAGGED``, or ``QUARANTINED`` for an
    invalid event: it is sent to the quarantine queue with the reason, since a retry would fail in
    the same way.
    """
    try:
        event = parse(envelope_of(body))
    except InvalidEvent as error:
        message = quarantined(body, error, consumer=CONSUMER, queue=ports.quarantine_queue)
        ports.store.send(message, ports.now())
        return "QUARANTINED"
    order = event.detail
    if not isinstance(order, OrderCreated):
        return "NOT_FLAGGED"
    if not ports.thresholds.is_high_value(order.total, order.currency):
        return "NOT_FLAGGED"
    review = Review(
        order_id=order.order_id,
        customer_id=order.customer_id,
        currency=order.currency,
        total=order.total,
        threshold=ports.thresholds.of(order.currency),
        flagged_at=ports.now(),
        event_id=event.event_id,
    )
    entry = Entry("HIGH_VALUE_FLAGGED", review.flagged_at, {"threshold": review.threshold})
    is_new = ports.store.open(review, entry, _flagged_event(review, event.correlation_id))
    return "FLAGGED" if is_new else "FLAGGED_BEFORE"


def _flagged_event(review: Review, correlation_id: str) -> Message:
    detail = HighValueOrderFlagged.model_construct(
        order_id=review.order_id,
        timestamp=timestamp(review.flagged_at),
        customer_id=review.customer_id,
        currency=review.currency,
        total=review.total,
        threshold=review.threshold,
        metadata=published_metadata(
            HighValueOrderFlagged,
            review.order_id,
            1,
            correlation_id=correlation_id,
            causation_id=review.event_id,
        ),
    )
    return event_message(detail)
