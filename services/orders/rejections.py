"""Tell a producer that its event was refused: the fact `Order Rejected`.

Two rules of the bus take an invalid `Order Created`: the workflow's and that of high-value orders.
The workflow alone tells it (`orders.usecases.claim`), and `orders.change_requests` tells every
other event, also a request whose order did not arrive. The fact's id follows from the id that the
bus gave the refused event, so a redelivery or a redrive publishes the same fact again.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from kernel.clock import timestamp
from kernel.errors import MAX_PROBLEMS, InvalidEvent, OrderflowError, Problem
from kernel.event_fields import IDENTIFIER
from kernel.events import CONTRACTS, REQUESTS, SOURCE, Metadata, OrderRejected, RefusedField
from kernel.order_record import Message
from kernel.published_events import event_message, published_metadata
from kernel.visible_text import is_visible

_BUS_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_ORDER_ID = re.compile(IDENTIFIER)
_MAX_ID, _MAX_ORDER_ID = 128, 64


def rejection(envelope: Mapping[str, Any], error: OrderflowError, at: float) -> Message | None:
    """Return the message that publishes the refusal of an event, or ``None`` for no event of ours.

    A fact of the platform is never rejected, so that no rejection causes another. A message that
    the bus did not deliver has no event id, and no producer waits for an answer to it.
    """
    event_id, name = envelope.get("id"), envelope.get("detail-type")
    if not is_bus_id(event_id):
        return None
    known = name if isinstance(name, str) and name in CONTRACTS else None
    if envelope.get("source") != SOURCE or (known and known not in REQUESTS):
        return None
    detail = envelope.get("detail")
    content: Mapping[str, Any] = detail if isinstance(detail, Mapping) else {}
    problems = _problems(error)
    # not validated: every value is checked here or is the platform's own
    return event_message(
        OrderRejected.model_construct(
            order_id=_order_id(content),
            timestamp=timestamp(at),
            metadata=_metadata(content, event_id),
            rejected_event_id=event_id,
            rejected_event_type=known,
            reason=type(error).__name__,
            problems=tuple(
                RefusedField.model_construct(field=each.field, problem=each.problem)
                for each in problems[:MAX_PROBLEMS]
            ),
            problem_count=len(problems),
        )
    )


def is_bus_id(value: object) -> TypeGuard[str]:
    """Return whether a value has the form of an id that the bus gives an event."""
    return isinstance(value, str) and _BUS_ID.fullmatch(value) is not None


def _problems(error: OrderflowError) -> tuple[Problem, ...]:
    """Return the problems of an event without its values; other errors are about its order."""
    if isinstance(error, InvalidEvent):
        return error.unquoted
    return (Problem("detail.order_id", str(error)),)


def _order_id(content: Mapping[str, Any]) -> str | None:
    order_id = content.get("order_id")
    if not isinstance(order_id, str) or len(order_id) > _MAX_ORDER_ID:
        return None
    return order_id if _ORDER_ID.fullmatch(order_id) else None


def _metadata(content: Mapping[str, Any], event_id: str) -> Metadata:
    sent = content.get("metadata")
    given: Mapping[str, Any] = sent if isinstance(sent, Mapping) else {}
    cause = _text(given.get("event_id")) or event_id
    correlation_id = _text(given.get("correlation_id")) or cause
    return published_metadata(
        OrderRejected, "", event_id, correlation_id=correlation_id, causation_id=cause
    )


def _text(value: object) -> str | None:
    """Return a text that a contract takes as an id, or ``None``."""
    if not isinstance(value, str) or len(value) > _MAX_ID or not is_visible(value):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no event can have
        return None
    return value
