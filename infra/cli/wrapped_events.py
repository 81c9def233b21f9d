"""Events inside of other documents: exports, messages, records of functions and error files.

============================================  =====================================================
document                                      its events
============================================  =====================================================
a line of ``orders export``                   the envelope of a line of kind ``event``; other kinds
                                              have none
Firehose's error file                         ``rawData``, in base64
a message of SQS: ``Body`` or ``body``        the body
the answer of ReceiveMessage: ``Messages``    each body
a function's input: ``Records``, ``records``  the body, or the data in base64, of each record
a dead letter of a consumer                   ``event``
a failed asynchronous call                    ``requestPayload``
============================================  =====================================================

A body may be such a document itself.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from infra.moving.lines import IDS
from kernel import json_text

MAX_WRAPPERS = 5
"""Documents around an event: a record has a message, a message a dead letter, that an event."""

_EXPORT_KINDS = frozenset({"header", "totals", *IDS})
_BODIES = ("Body", "body")
_WRAPPERS = (*_BODIES, "requestPayload")
_LISTS = ("Messages", "Records", "records")
_EVENTS = frozenset({"detail-type", "source", "detail", "Source", "DetailType", "Detail"})


def unwrap(value: object, wrappers: int = MAX_WRAPPERS) -> list[str] | None:
    """Return the JSON texts of the events in a document, or None if it wraps none.

    An event's own text is not checked: it may be no event.
    """
    if not isinstance(value, dict) or not _EVENTS.isdisjoint(value) or not wrappers:
        return None
    found = _content(value)
    return None if found is None else [each for text in found for each in _inner(text, wrappers)]


def _inner(text: str, wrappers: int) -> Iterator[str]:
    """Yield the events in a text that a document had, or the text itself."""
    try:
        inner = unwrap(json_text.read(text, json_text.MAX_CARRIED), wrappers - 1)
    except json_text.InvalidJSON:
        inner = None
    yield from [text] if inner is None else inner


def _content(value: Mapping[str, Any]) -> list[str] | None:
    """Return the texts in a document, or None for another document."""
    kind = value.get("kind")
    if kind == "event" and "envelope" in value:
        return [_text(value["envelope"])]
    if kind != "event" and isinstance(kind, str) and kind in _EXPORT_KINDS:
        return []
    for name in _LISTS:
        if isinstance(value.get(name), list):
            return [_record(each) for each in value[name]]
    if isinstance(value.get("rawData"), str):
        return [_decoded(value["rawData"])]
    is_letter = "event" in value and "consumer" in value
    inner = ["event"] if is_letter else [name for name in _WRAPPERS if name in value]
    return [_text(value[inner[0]])] if inner else None


def _record(record: object) -> str:
    """Return the text of a record of a function's input."""
    if not isinstance(record, dict):
        return _text(record)
    for name in _BODIES:
        if isinstance(record.get(name), str):
            body: str = record[name]
            return body
    for holder in (record.get("kinesis"), record):
        if isinstance(holder, dict) and isinstance(holder.get("data"), str):
            return _decoded(holder["data"])
    notification = record.get("Sns")
    if isinstance(notification, dict) and isinstance(notification.get("Message"), str):
        message: str = notification["Message"]
        return message
    return _text(record)


def _decoded(data: str) -> str:
    """Return the text in base64, or the data itself if it is no base64."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return data


def _text(value: object) -> str:
    """Return text as it is, and any other value as JSON."""
    return value if isinstance(value, str) else json_text.write(value).decode()
