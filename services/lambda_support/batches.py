"""Grouping what one request takes; PutEvents and SendMessageBatch have the same limits."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

MAX_ENTRIES = 10
"""Entries of one request (EventBridge, PutEvents; SQS, SendMessageBatch)."""

FAILED_MESSAGES = "failed_messages"
"""The member of an EMF document that has the reasons of failed messages, by the messages' ids."""

MAX_BYTES = 262_144
"""Bytes of one request, all entries together (EventBridge, PutEvents event entry size)."""


def batches(things: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Group things so that each group is one request; ``size`` is in bytes."""
    batch: list[T] = []
    total = 0
    for thing in things:
        more = size(thing)
        if batch and (len(batch) == MAX_ENTRIES or total + more > MAX_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(thing)
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
