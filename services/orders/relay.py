"""Send what the outboxes hold, and take out what was accepted.

What is sent twice is the same message again: an event keeps its id, a run its name, and whoever
takes them absorbs it. So all of this may stop at any point and begin anew.
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
"""How often a message is sent in one go; after that the stream, or the reconciler, tries again."""

FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0
"""Seconds before what was not accepted is sent again, with full jitter."""

RESERVE = 12.0
"""Seconds of an invocation that must be left to begin another request: the longest one takes."""

GRACE = 120.0
"""Seconds after which what still is in an outbox is no longer simply on its way."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """Messages of one item's outbox by their ids there.

    ``home`` is where an ended order belongs in the index once its outbox is empty.
    """

    key: Key
    messages: Mapping[str, Message]
    home: tuple[str, str] | None = None


class Outbox(Protocol):
    """Where the messages wait."""

    def arrived(self, record: Mapping[str, Any]) -> OutboxItem | None:
        """Return what the write behind a record of the table's stream put into an outbox."""

    def leftovers(self, before: float, limit: int) -> list[OutboxItem]:
        """Return what was put into outboxes before this time and is still there."""

    def accepted(self, parcel: OutboxItem, ids: Sequence[str]) -> None:
        """Remove messages that were accepted; other writers of the item are not disturbed."""


class Publisher(Protocol):
    """Who takes the messages."""

    def put(self, messages: Sequence[Message]) -> list[str | None]:
        """Return for each message why it was not accepted, or `None` where it was.

        They are of one kind, for one queue, and fit into one request; runs come one by one.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """What the relay needs."""

    outbox: Outbox
    outlet: Publisher
    now: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[float, float], float] = random.uniform


@dataclass(slots=True)
class _PendingMessage:
    """A message on its way, and why it has not arrived yet."""

    parcel: OutboxItem
    id: str
    message: Message
    problem: str | None = "there was no time left"


def relay(
    records: Iterable[Mapping[str, Any]], ports: Ports, time_left: Callable[[], float]
) -> dict[str, str]:
    """Send what a batch of the table's stream brought.

    Returns the sequence numbers of the records to be tried again, each with the reason.
    ``time_left`` says how many seconds the invocation has.
    """
    arrived = {
        record["dynamodb"]["SequenceNumber"]: ports.outbox.arrived(record) for record in records
    }
    parcels = {number: parcel for number, parcel in arrived.items() if parcel is not None}
    failed = _forward(parcels.values(), ports, time_left)
    return {
        number: failed[parcel.key] for number, parcel in parcels.items() if parcel.key in failed
    }


def catch_up(
    ports: Ports, time_left: Callable[[], float], limit: int = 1000
) -> tuple[int, list[str]]:
    """Send what the stream has forgotten, or the relay could not send.

    Returns of how many items it was sent, and why not of the others.
    """
    parcels = ports.outbox.leftovers(ports.now() - GRACE, limit)
    failed = _forward(parcels, ports, time_left)
    return len(parcels) - len(failed), sorted(set(failed.values()))


def _forward(
    parcels: Iterable[OutboxItem], ports: Ports, time_left: Callable[[], float]
) -> dict[Key, str]:
    """Send parcels; return those that are not done with, each with the reason."""
    letters = {
        (parcel.key, name): _PendingMessage(parcel, name, message)
        for parcel in parcels
        for name, message in parcel.messages.items()
    }
    left = list(letters.values())
    kept: dict[Key, str] = {}
    for attempt in range(ATTEMPTS):
        if attempt:
            ports.sleep(ports.jitter(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt)))
        for batch in _requests(left):
            if time_left() < RESERVE:
                break
            answers = ports.outlet.put([letter.message for letter in batch])
            for letter, problem in zip(batch, answers, strict=True):
                letter.problem = problem
            kept |= _take_out(batch, ports.outbox)
        left = [letter for letter in left if letter.problem]
        if not left or time_left() < RESERVE:
            break
    return kept | {letter.parcel.key: letter.problem or "" for letter in left}


def _take_out(batch: Sequence[_PendingMessage], outbox: Outbox) -> dict[Key, str]:
    """Remove what was accepted; return what could not be removed, which will be sent again."""
    accepted: dict[Key, list[_PendingMessage]] = {}
    for letter in batch:
        if letter.problem is None:
            accepted.setdefault(letter.parcel.key, []).append(letter)
    kept = {}
    for key, letters in accepted.items():
        try:
            outbox.accepted(letters[0].parcel, [letter.id for letter in letters])
        except OrderflowError as error:
            kept[key] = str(error)
    return kept


def _requests(letters: Iterable[_PendingMessage]) -> Iterator[list[_PendingMessage]]:
    """Group letters so that each group is one request."""
    lines: dict[tuple[str, object], list[_PendingMessage]] = {}
    for letter in letters:
        lines.setdefault((letter.message.kind, letter.message.body.get("queue")), []).append(letter)
    for (kind, _), line in lines.items():
        if kind == "run":
            yield from ([letter] for letter in line)
        else:
            yield from batches(line, _size)


def _size(letter: _PendingMessage) -> int:
    body = letter.message.body
    if letter.message.kind == "event":
        return entry_size(body)
    return len(json.dumps(body["body"]).encode())
