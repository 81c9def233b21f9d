"""The quarantine of events that a retry cannot process, with the reason."""

from typing import Any

from kernel import json_text
from kernel.errors import InvalidEvent, OrderflowError
from kernel.order_record import Message


def envelope_of(body: str) -> dict[str, Any]:
    """Parse the event in a message, or raise `InvalidEvent`."""
    try:
        envelope = json_text.read(body)
    except json_text.InvalidJSON as error:
        problem = f"is not JSON ({error}); send an event in its envelope"
        raise InvalidEvent("body", problem) from None
    if not isinstance(envelope, dict):
        raise InvalidEvent("body", "is not a JSON object; send an event in its envelope")
    return envelope


def quarantined(body: str, error: OrderflowError, *, consumer: str, queue: str) -> Message:
    """Return the message that puts a consumer's message into the quarantine queue."""
    reason = {"error": type(error).__name__, "message": str(error)}
    letter = {"reason": reason, "consumer": consumer, "event": _readable(body)}
    return Message("message", {"queue": queue, "body": letter})


def _readable(body: str) -> object:
    """Return the value of a body, or its raw text if it is not strict JSON (NaN, 1e400)."""
    try:
        content: object = json_text.read(body)
    except json_text.InvalidJSON:
        return body
    return content
