"""Events that the platform itself publishes: their metadata, and their message in an outbox."""

from kernel.events import Detail, Metadata, to_entry
from kernel.idempotency import published_event_id
from kernel.order_record import Message


def published_metadata(
    contract: type[Detail],
    order_id: str,
    version: int | str,
    *,
    correlation_id: str,
    causation_id: str,
) -> Metadata:
    """Return the metadata of an event of the platform's own.

    The event id follows from the order, the event's name and ``version`` (see
    `kernel.idempotency.published_event_id`), so a repeated event has the same id.
    """
    # every value was validated before: the ids are those of a valid event
    return Metadata.model_construct(
        event_id=published_event_id(order_id, contract.name, version),
        schema_version=contract.version,
        correlation_id=correlation_id,
        causation_id=causation_id,
        idempotency_key=None,
    )


def event_message(detail: Detail) -> Message:
    """Return the outbox message that publishes an event."""
    return Message("event", to_entry(detail))
