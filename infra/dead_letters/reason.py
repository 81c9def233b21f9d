"""Why a message is a dead letter, read from its attributes and its body."""

import json
from collections.abc import Mapping
from typing import Any

from infra.local import orderflow
from kernel import json_text

ATTENTION = orderflow.ATTENTION_QUEUE
"""The queue of orders that need an operator."""

QUARANTINE = orderflow.QUARANTINE_QUEUE
"""The queue of events that break their contract."""

UNTOLD = "its function reported it as failed; the log has the reason"
"""The reason of a message whose function reported none."""

_SIGNS = frozenset({"SOURCE_QUEUE", "TARGET", "REASON"})
"""Attributes that mark a message as given up."""


def is_dead_letter(queue: str, attributes: Mapping[str, str]) -> bool:
    """Return whether a message waits for an operator, and not for its function."""
    return queue in (ATTENTION, QUARANTINE) or not _SIGNS.isdisjoint(attributes)


def reason_of(body: object, attributes: Mapping[str, str]) -> str:
    """Return why a message is a dead letter, with the outcome of its last redrive."""
    parts = [_first_reason(body, attributes)]
    if "TIMES" in attributes:
        parts.append(f"{attributes['TIMES']} times, the last {attributes['LAST']}")
    if "EDITED" in attributes:
        parts.append(f"edited {attributes['EDITED']}")
    if "RETURNED" in attributes:
        parts.append(f"redriven in vain: {attributes['RETURNED']}")
    return "; ".join(parts)


def _first_reason(body: object, attributes: Mapping[str, str]) -> str:
    reason = body.get("reason") if isinstance(body, dict) else None
    if isinstance(reason, dict):
        return own_reason(reason)
    if "ERROR_CODE" in attributes:
        return f"{attributes['ERROR_CODE']}: {attributes.get('ERROR_MESSAGE', 'no message')}"
    parts = [attributes.get(key) for key in ("REASON", "ERROR")]
    return "; ".join(part for part in parts if part) or "unknown"


def own_reason(reason: Mapping[str, Any]) -> str:
    """Return the reason in a dead letter that the platform itself wrote."""
    return f"{reason.get('error')}: {reason.get('message') or message_in(reason.get('cause'))}"


def message_in(cause: object) -> str:
    """Return the message in an error's cause, which Lambda sends as JSON.

    The cause is a text of its own, so its escapes can have a lone surrogate, which neither a page
    nor a store can encode.
    """
    try:
        message = str(json.loads(str(cause))["errorMessage"])
    except (ValueError, KeyError, TypeError, RecursionError):
        message = str(cause)
    return message.encode(errors="replace").decode()


def content_of(text: str) -> object:
    """Return a body as parsed JSON, or its text if it is no JSON.

    A text with a lone surrogate is no JSON: SQLite cannot bind or compare a value of it.
    """
    try:
        content: object = json_text.read(text)
    except ValueError:
        return text
    return content
