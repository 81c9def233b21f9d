"""The schemas of events in HTTP answers (`orders.event_history.ToldEvent`)."""

from collections.abc import Callable
from typing import Any

from kernel.errors import MAX_PROBLEMS
from orders.event_history import MAX_EVENTS, OUTCOMES

JSON = dict[str, Any]


def event_schemas(ref: Callable[[str], JSON]) -> JSON:
    """Return the schemas; ``ref`` returns a reference to one by its name."""
    text = {"type": "string"}
    meanings = "; ".join(f"{name}: {meaning}" for name, meaning in OUTCOMES.items())
    problem = {
        "type": "object",
        "required": ["field", "problem"],
        "properties": {"field": text, "problem": text},
    }
    fields = {
        "type": {**text, "description": "The detail type."},
        "at": {**text, "format": "date-time", "description": "The time of its arrival."},
        "outcome": {"enum": list(OUTCOMES), "description": f"{meanings}."},
        "event_id": {**text, "description": "The EventId of PutEvents' answer, where known."},
        "metadata_event_id": {**text, "description": "The id in the event's own metadata."},
        "order_id": {**text, "description": "The order id in the event."},
        "customer_id": {**text, "description": "The customer in the event."},
        "reason": {**text, "description": "Error name of a refusal; otherwise absent."},
        "problems": {
            "type": "array",
            "maxItems": MAX_PROBLEMS,
            "items": problem,
            "description": "Corrections that a refused request needs; otherwise absent.",
        },
        "answers": {
            "type": "array",
            "items": text,
            "description": "Detail types of the facts that it caused.",
        },
    }
    events = {"type": "array", "maxItems": MAX_EVENTS, "items": ref("Event")}
    return {
        "Event": {
            "type": "object",
            "description": "An event and its outcome.",
            "required": ["type", "at", "outcome", "answers"],
            "properties": fields,
        },
        "Events": {"type": "object", "required": ["events"], "properties": {"events": events}},
    }
