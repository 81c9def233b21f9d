"""Views of an order's record, the same for a data directory and a stack."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.views.health import waits_for
from infra.views.order_filter import OrderFilter
from infra.views.order_story import Failure, OrderFacts, OrderLine, OrderPage, OrderSummary
from kernel.clock import timestamp
from kernel.money import from_minor
from kernel.order_record import OrderRecord
from kernel.order_status import PAUSED

_AMOUNTS = ("amount", "threshold")
"""Fields of timeline entries that are amounts of money."""


def facts_of(record: OrderRecord) -> OrderFacts:
    """Return the fields of a record."""
    return OrderFacts(
        currency=record.currency,
        customer_id=record.customer_id,
        items=[
            OrderLine(line.sku, line.quantity, from_minor(line.unit_price)) for line in record.items
        ],
        placed_at=record.placed_at,
        email=record.email,
        shipping_address=record.shipping_address,
        attempts=record.attempts,
        epoch=record.epoch,
        reservation=record.reservation and str(record.reservation),
        cancel_requested=record.cancel_requested,
        failure=Failure(record.failure, record.failure_message) if record.failure else None,
        correlation_id=record.correlation_id,
    )


def summary_of(record: OrderRecord) -> OrderSummary:
    """Return a record as a row of a list."""
    is_waiting = record.status in PAUSED
    return OrderSummary(
        order_id=record.order_id,
        customer_id=record.customer_id,
        status=str(record.status),
        total=from_minor(record.total),
        currency=record.currency,
        attempts=record.attempts,
        failure=record.failure,
        updated_at=timestamp(record.updated_at),
        created_at=timestamp(record.created_at),
        waits_for=waits_for(record.waiting_for, record.status) if is_waiting else None,
        until=timestamp(record.resume_at) if is_waiting else None,
        reason=record.failure or (record.waiting_for if is_waiting else None),
        placed_at=record.placed_at,
    )


def page_of(records: Sequence[OrderRecord], wanted: OrderFilter) -> OrderPage:
    """Return records as a page; one more than the limit tells that there is another page."""
    shown = records[: wanted.limit]
    more = wanted.cursor_of(shown[-1]) if len(records) > len(shown) else None
    return OrderPage([summary_of(record) for record in shown], more)


def readable_detail(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return a timeline entry's detail with its amounts in units of the currency."""
    return {
        name: from_minor(value) if name in _AMOUNTS and isinstance(value, int) else value
        for name, value in detail.items()
    }
