"""Open a review of each order of high value, once, and put aside what is no valid event."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from high_value.model import Review, is_high_value
from kernel.clock import timestamp
from kernel.errors import InvalidEvent
from kernel.events import HighValueOrderFlagged, Metadata, OrderCreated, parse, to_entry
from kernel.idempotency import published_event_id
from kernel.order_record import Entry, Message
from kernel.quarantine import envelope_of, quarantined

CONSUMER = "flag_high_value"


class ReviewStore(Protocol):
    """Where the reviews are, and the outbox."""

    def open(self, review: Review, entry: Entry, message: Message) -> bool:
        """Write a review, its timeline entry and its message in one transaction.

        Return false, writing nothing, if the order has a review already.
        """

    def send(self, message: Message, at: float) -> None:
        """Put a message that goes with no review into the outbox."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the use case needs; ``threshold`` in hundredths, for currencies without their own."""

    store: ReviewStore
    threshold: int
    quarantine_queue_url: str
    now: Callable[[], float]
    thresholds: Mapping[str, int] = field(default_factory=dict)


def flag(body: str, ports: Ports) -> str:
    """Take an event in its envelope, as JSON text; return what came of it.

    ``FLAGGED``, ``FLAGGED_BEFORE``, ``NOT_FLAGGED``, or ``QUARANTINED``: it keeps no contract, so
    it goes to the quarantine queue with the reason, and asking again would change nothing.
    """
    try:
        event = parse(envelope_of(body))
    except InvalidEvent as error:
        queue = ports.quarantine_queue_url
        letter = quarantined(body, error, consumer=CONSUMER, queue=queue)
        ports.store.send(letter, ports.now())
        return "QUARANTINED"
    order = event.detail
    if not isinstance(order, OrderCreated):
        return "NOT_FLAGGED"
    threshold = ports.thresholds.get(order.currency, ports.threshold)
    if not is_high_value(order.total, threshold):
        return "NOT_FLAGGED"
    review = Review(
        order_id=order.order_id,
        customer_id=order.customer_id,
        currency=order.currency,
        total=order.total,
        threshold=threshold,
        flagged_at=ports.now(),
        event_id=event.event_id,
    )
    entry = Entry("HIGH_VALUE_FLAGGED", review.flagged_at, {"threshold": review.threshold})
    new = ports.store.open(review, entry, _flagged(review, event.correlation_id))
    return "FLAGGED" if new else "FLAGGED_BEFORE"


def _flagged(review: Review, correlation_id: str) -> Message:
    detail = HighValueOrderFlagged.model_construct(
        order_id=review.order_id,
        timestamp=timestamp(review.flagged_at),
        customer_id=review.customer_id,
        currency=review.currency,
        total=review.total,
        threshold=review.threshold,
        metadata=Metadata(
            event_id=published_event_id(review.order_id, HighValueOrderFlagged.name, 1),
            schema_version=HighValueOrderFlagged.version,
            correlation_id=correlation_id,
            causation_id=review.event_id,
        ),
    )
    return Message("event", to_entry(detail))
