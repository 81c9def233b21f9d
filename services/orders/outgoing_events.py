"""Build the events that the orders service publishes from a record, as outbox messages.

An event's id follows from order, name and version, so a repeated event has the same id.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from kernel.clock import timestamp
from kernel.events import (
    Address,
    Item,
    Metadata,
    OrderBackordered,
    OrderCancellationConfirmed,
    OrderCancellationRefused,
    OrderCompleted,
    OrderCreated,
    OrderDetail,
    OrderFailed,
    Shortage,
)
from kernel.order_record import Message, OrderRecord
from kernel.order_status import Status
from kernel.published_events import event_message, published_metadata

D = TypeVar("D", bound=OrderDetail)


def created(record: OrderRecord, at: float) -> Message:
    """Return the `Order Created` event of an order that was placed over HTTP.

    Its event id is the one in the record, and no other event caused it.
    """
    address = record.shipping_address
    metadata = Metadata.model_construct(
        event_id=record.event_id,
        schema_version=OrderCreated.version,
        correlation_id=record.correlation_id,
        causation_id=None,
        idempotency_key=None,
    )
    detail = _order_event(
        OrderCreated,
        record,
        at,
        metadata=metadata,
        shipping_address=Address.model_construct(**address) if address else None,
        email=record.email,
        payment_token=record.payment_token,
    )
    return event_message(detail)


def backordered(record: OrderRecord, missing: list[Mapping[str, Any]], at: float) -> Message:
    """Return the event of an order that waits for stock."""
    shortages = tuple(Shortage.model_construct(**shortage) for shortage in missing)
    return event_message(_order_event(OrderBackordered, record, at, missing=shortages))


def completed(record: OrderRecord, at: float) -> Message:
    """Return the event of an order that is paid, taken from stock and shipped."""
    detail = _order_event(
        OrderCompleted,
        record,
        at,
        charge_id=record.charge_id,
        shipment_id=record.shipment_id,
        tracking_number=record.tracking_number,
    )
    return event_message(detail)


def compensated(record: OrderRecord, status: Status, at: float) -> Message:
    """Return the event of an order that ended as CANCELLED or FAILED."""
    if status is Status.CANCELLED:
        cause, reason = record.cancel_event_id, record.cancel_reason
        return event_message(
            _order_event(OrderCancellationConfirmed, record, at, cause=cause, reason=reason)
        )
    reason, message = record.failure, record.failure_message
    return event_message(_order_event(OrderFailed, record, at, reason=reason, message=message))


def cancellation_refused(record: OrderRecord, reason: str, request_id: str, at: float) -> Message:
    """Return the answer to a cancellation that was requested too late.

    Its event id follows from ``request_id``, so the same request gets the same answer.
    """
    metadata = published_metadata(
        OrderCancellationRefused,
        record.order_id,
        request_id,
        correlation_id=record.correlation_id,
        causation_id=request_id,
    )
    return event_message(
        OrderCancellationRefused.model_construct(
            order_id=record.order_id, timestamp=timestamp(at), reason=reason, metadata=metadata
        )
    )


def _order_event(
    contract: type[D],
    record: OrderRecord,
    at: float,
    *,
    cause: str | None = None,
    metadata: Metadata | None = None,
    **fields: Any,
) -> D:
    """Return the event that the record's next version publishes.

    ``cause`` is the id of the event that it follows from; the default is the order's own event.
    """
    if metadata is None:
        metadata = published_metadata(
            contract,
            record.order_id,
            record.version + 1,
            correlation_id=record.correlation_id,
            causation_id=cause or record.event_id,
        )
    # not validated: the record was built from a valid event
    detail = contract.model_construct(
        order_id=record.order_id,
        timestamp=record.placed_at if contract is OrderCreated else timestamp(at),
        customer_id=record.customer_id,
        currency=record.currency,
        items=tuple(
            Item.model_construct(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price)
            for line in record.items
        ),
        total=record.total,
        metadata=metadata,
        **fields,
    )
    return cast("D", detail)
