"""Empty the outboxes: send their messages, then remove the messages that were accepted.

On AWS the relay (`relay`, a function on the table's stream) empties the outboxes, and the
reconciler sends overdue messages (`catch_up`). On one machine the engine
(``infra/local/engine/outbox.py``) empties it; this module is not used there.

Delivery is at least once: a repeated event has the same id and a repeated run the same name, and
consumers ignore duplicates. So a send may stop at any point and start again.
"""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kernel.errors import OrderflowError
from kernel.order_record import Message
from lambda_support.batches import batches, entry_size

ATTEMPTS = 4
"""Attempts per message and invocation; after that the stream or the reconciler retries."""

FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0
"""Bounds in seconds of the exponential backoff between attempts, with full jitter."""

RESERVE = 12.0
"""Seconds of an invocation that must remain to start another request: the longest request."""

GRACE = 120.0
"""Age in seconds from which a message in an outbox is overdue; a younger one may be in transit."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """Messages in the outbox of one table item, by their ids there.

    ``home`` is the index key of an ended order once its outbox is empty.
    """

    key: Key
    messages: Mapping[str, Message]
    home: tuple[str, str] | None = None


class Outbox(Protocol):
    """The outboxes of all table items."""

    def added_by(self, record: Mapping[str, Any]) -> OutboxItem | None:
        """Return the messages that the write of a stream record added to an outbox."""

    def overdue(self, before: float, limit: int) -> list[OutboxItem]:
        """Return the messages that were added before this time and are still in an outbox."""

    def remove(self, item: OutboxItem, ids: Sequence[str]) -> None:
        """Remove accepted messages, without a conflict for other writers of the item."""


class Publisher(Protocol):
    """Client of the services that accept messages: bus, state machine, queues."""

    def put(self, messages: Sequence[Message]) -> list[str | None]:
        """Return for each message the reason of its refusal, or `None` if it was accepted.

        The messages are of one kind, for one queue, and fit into one request. A run, and the
        answer to a task, is a request of its own.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the relay."""

    outbox: Outbox
    publisher: Publisher
    now: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[float, float], float] = random.uniform


@dataclass(slots=True)
class _PendingMessage:
    """A message of an outbox, and the reason why it is not accepted yet."""

    item: OutboxItem
    id: str
    message: Message
    problem: str | None = "there was no time left"


def relay(
    records: Iterable[Mapping[str, Any]], ports: Ports, time_left: Callable[[], float]
) -> dict[str, str]:
    """Send the messages that a batch of stream records added.

    Returns the reason by sequence number for each record that must be retried. ``time_left``
    returns the seconds that the invocation has left.
    """
    added = {
        record["dynamodb"]["SequenceNumber"]: ports.outbox.added_by(record) for record in records
    }
    items = {number: item for number, item in added.items() if item is not None}
    failed = _send(items.values(), ports, time_left)
    return {number: failed[item.key] for number, item in items.items() if item.key in failed}


def catch_up(
    ports: Ports, time_left: Callable[[], float], limit: int = 1000
) -> tuple[int, list[str]]:
    """Send overdue messages: the stream dropped their records, or the relay could not send them.

    Returns the number of items whose messages were sent, and the reasons of the other items.
    """
    items = ports.outbox.overdue(ports.now() - GRACE, limit)
    failed = _send(items, ports, time_left)
    return len(items) - len(failed), sorted(set(failed.values()))


def _send(
    items: Iterable[OutboxItem], ports: Ports, time_left: Callable[[], float]
) -> dict[Key, str]:
    """Send the messages of items; return the reason by key for each item with a message left."""
    pending = {
        (item.key, name): _PendingMessage(item, name, message)
        for item in items
        for name, message in item.messages.items()
    }
    unsent = list(pending.values())
    failed: dict[Key, str] = {}
    for attempt in range(ATTEMPTS):
        if attempt:
            ports.sleep(ports.jitter(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)))
        for request in _requests(unsent):
            if time_left() < RESERVE:
                break
            problems = ports.publisher.put([message.message for message in request])
            for message, problem in zip(request, problems, strict=True):
                message.problem = problem
            failed |= _remove_accepted(request, ports.outbox)
        unsent = [message for message in unsent if message.problem]
        if not unsent or time_left() < RESERVE:
            break
    return failed | {message.item.key: message.problem or "" for message in unsent}


def _remove_accepted(request: Sequence[_PendingMessage], outbox: Outbox) -> dict[Key, str]:
    """Remove accepted messages; return the reason by key for each failed removal.

    Messages that could not be removed will be sent again.
    """
    accepted: dict[Key, list[_PendingMessage]] = {}
    for message in request:
        if message.problem is None:
            accepted.setdefault(message.item.key, []).append(message)
    failed = {}
    for key, messages in accepted.items():
        try:
            outbox.remove(messages[0].item, [message.id for message in messages])
        except OrderflowError as error:
            failed[key] = str(error)
    return failed


def _requests(pending: Iterable[_PendingMessage]) -> Iterator[list[_PendingMessage]]:
    """Group messages into requests by kind, queue and size."""
    groups: dict[tuple[str, object], list[_PendingMessage]] = {}
    for message in pending:
        key = (message.message.kind, message.message.body.get("queue"))
        groups.setdefault(key, []).append(message)
    for (kind, _), group in groups.items():
        if kind in ("run", "answer"):
            yield from ([message] for message in group)
        else:
            yield from batches(group, _size)


def _size(message: _PendingMessage) -> int:
    body = message.message.body
    if message.message.kind == "event":
        return entry_size(body)
    return len(json.dumps(body["body"]).encode())
