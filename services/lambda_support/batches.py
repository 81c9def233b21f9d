"""Batches within the limits of one request, the same for PutEvents and SendMessageBatch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

MAX_ENTRIES = 10
"""Maximum entries of one request (EventBridge, PutEvents; SQS, SendMessageBatch)."""

FAILED_MESSAGES = "failed_messages"
"""The member of an EMF document with the reasons of failed messages, by message id."""

MAX_BYTES = 262_144
"""Maximum bytes of one request, in all entries (EventBridge, PutEvents event entry size)."""


def batches(entries: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Split entries into batches of one request each; ``size`` returns an entry's bytes."""
    batch: list[T] = []
    total = 0
    for entry in entries:
        more = size(entry)
        if batch and (len(batch) == MAX_ENTRIES or total + more > MAX_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(entry)
        total += more
    if batch:
        yield batch


def entry_size(entry: Mapping[str, Any]) -> int:
    """Return an entry's size as EventBridge counts it (Calculating PutEvents event entry size)."""
    texts = [entry.get(key) or "" for key in ("Source", "DetailType", "Detail")]
    resources = entry.get("Resources")
    texts += resources if isinstance(resources, list) else []
    return (14 if entry.get("Time") is not None else 0) + sum(
        len(text.encode()) for text in texts if isinstance(text, str)
    )
