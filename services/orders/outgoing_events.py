"""What the orders service publishes: a record's facts as events for the outbox.

An event's id follows from order, name and version, so publishing it again repeats the same event.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from kernel.clock import timestamp
from kernel.events import (
    CONTRACTS,
    Address,
    Detail,
    Event,
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
    to_entry,
)
from kernel.idempotency import published_event_id
from kernel.order_record import Line, Message, OrderRecord
from kernel.order_status import Status

D = TypeVar("D", bound=OrderDetail)


def received(event: Event[Any], at: float) -> OrderRecord:
    """Return the record that an `Order Created` event opens, not yet written (version 0)."""
    detail: OrderCreated = event.detail
    return OrderRecord(
        order_id=detail.order_id,
        customer_id=detail.customer_id,
        currency=detail.currency,
        total=detail.total,
        items=tuple(Line(item.sku, item.quantity, item.unit_price) for item in detail.items),
        placed_at=detail.timestamp,
        content_hash=detail.content_hash,
        event_id=event.event_id,
        correlation_id=event.correlation_id,
        created_at=at,
        updated_at=at,
        shipping_address=detail.address,
        email=detail.email,
        payment_token=detail.payment_token,
    )


def created(record: OrderRecord, at: float) -> Message:
    """Return the `Order Created` event of an order that was placed over HTTP."""
    address = record.shipping_address
    return _message(
        _order(
            OrderCreated,
            record,
            at,
            shipping_address=Address.model_construct(**address) if address else None,
            email=record.email,
            payment_token=record.payment_token,
        )
    )


def backordered(record: OrderRecord, missing: list[Mapping[str, Any]], at: float) -> Message:
    """Return the event of an order that waits for stock."""
    shortages = tuple(Shortage.model_construct(**short) for short in missing)
    return _message(_order(OrderBackordered, record, at, missing=shortages))


def completed(record: OrderRecord, at: float) -> Message:
    """Return the event of an order that is paid, taken from stock and shipped."""
    return _message(
        _order(
            OrderCompleted,
            record,
            at,
            charge_id=record.charge_id,
            shipment_id=record.shipment_id,
            tracking_number=record.tracking_number,
        )
    )


def undone(record: OrderRecord, status: Status, at: float) -> Message:
    """Return the event of an order that ended as CANCELLED or FAILED."""
    if status is Status.CANCELLED:
        name = OrderCancellationConfirmed.name
        metadata = _metadata(record, name, record.version + 1, record.cancel_event_id)
        reason = record.cancel_reason
        confirmed = _order(OrderCancellationConfirmed, record, at, reason=reason, metadata=metadata)
        return _message(confirmed)
    detail = _order(OrderFailed, record, at, reason=record.failure, message=record.failure_message)
    return _message(detail)


def cancellation_refused(record: OrderRecord, reason: str, request_id: str, at: float) -> Message:
    """Return the answer to a request that came too late: the same for the same request."""
    name = OrderCancellationRefused.name
    return _message(
        OrderCancellationRefused.model_construct(
            order_id=record.order_id,
            timestamp=timestamp(at),
            reason=reason,
            metadata=_metadata(record, name, request_id, request_id),
        )
    )


def _order(contract: type[D], record: OrderRecord, at: float, **fields: Any) -> D:
    # what the platform says of a record needs no validation: the record was made of a valid event
    constructed = contract.model_construct(
        order_id=record.order_id,
        timestamp=record.placed_at if contract is OrderCreated else timestamp(at),
        customer_id=record.customer_id,
        currency=record.currency,
        items=tuple(
            Item.model_construct(sku=line.sku, quantity=line.quantity, unit_price=line.unit_price)
            for line in record.items
        ),
        total=record.total,
        **{"metadata": _metadata(record, contract.name, record.version + 1), **fields},
    )
    return cast("D", constructed)


def _metadata(
    record: OrderRecord, name: str, version: int | str, cause: str | None = None
) -> Metadata:
    created_here = name == OrderCreated.name
    return Metadata.model_construct(
        event_id=record.event_id
        if created_here
        else published_event_id(record.order_id, name, version),
        schema_version=CONTRACTS[name].version,
        correlation_id=record.correlation_id,
        causation_id=None if created_here else cause or record.event_id,
        idempotency_key=None,
    )


def _message(detail: Detail) -> Message:
    return Message("event", to_entry(detail))
