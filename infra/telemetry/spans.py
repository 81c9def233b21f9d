"""Spans, and the ids that are derived from their subjects.

A repeated export derives the same ids, so a backend recognises a repetition.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

Value = str | int | float | bool

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
"""Kinds of spans (opentelemetry-proto, ``Span.SpanKind``)."""

ORDER_ID = "orderflow.order_id"
"""The attribute with the order's id, on each span of an order, here and on AWS."""


class Moment(NamedTuple):
    """An event of a span; ``at`` is in epoch seconds."""

    name: str
    at: float


class Span(NamedTuple):
    """A span of a trace.

    Parameters
    ----------
    trace_id, span_id : str
        32 and 16 hexadecimal digits.
    parent_id : str
        The parent's span id; empty for the root.
    start, end : float
        Epoch seconds.
    error : str, optional
        Name of the error with which the span ended.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start: float
    end: float
    attributes: Mapping[str, Value]
    error: str | None = None
    moments: tuple[Moment, ...] = ()


def trace_id_of(order_id: str) -> str:
    """Return the id of an order's only trace."""
    return _digest("trace", order_id)[:32]


def span_id_of(*subject: object) -> str:
    """Return the id of the span of a subject, such as an event or a state of an execution."""
    return _digest("span", *subject)[:16]


def _digest(*parts: object) -> str:
    text = "|".join(f"{len(str(part))}:{part}" for part in parts)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
