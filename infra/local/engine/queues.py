"""Queues: messages, batches for their consumers, visibility timeouts, and dead letters."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from hashlib import md5
from typing import Any
from uuid import NAMESPACE_OID

from infra.dead_letters.batch_failures import failure_reasons
from infra.dead_letters.reason import UNTOLD
from infra.local.directory.crash_marker import Kind
from infra.local.directory.journal import Journal
from infra.local.engine.attention_queue import merged
from infra.local.engine.backlog import Backlog
from infra.local.engine.component import Component
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.error_boundary import Boundary, described
from infra.local.orderflow import ATTENTION_QUEUE
from infra.local.template.loader import REGION
from infra.local.template.stack import Consumer, Queue, Stack
from infra.local.workers.invocations import Invoke, Result
from kernel.idempotency import uuid_of

_INSERT = "insert into messages values (?, ?, ?, ?, ?, ?, ?)"


class Queues(Component):
    """The queues of a stack, and their consumers.

    ``suspects`` are messages that go to their consumer one by one: their batch ended the process
    before.
    """

    def __init__(self, stack: Stack, journal: Journal, invoke: Invoke, boundary: Boundary) -> None:
        self.stack = stack
        self.journal = journal
        self.invoke = invoke
        self.boundary = boundary
        self.suspects: set[int] = set()
        self.backlog = Backlog(consumer.queue for consumer in stack.consumers)
        self.room = {consumer.queue: consumer.concurrency for consumer in stack.consumers}

    def resume(self, suspects: Suspects, now: float) -> None:  # noqa: ARG002
        """Make messages visible again that were in flight; failed ones keep their timeout."""
        self.suspects = suspects.messages
        self.journal.batch.add(
            "update messages set visible_at = 0"
            " where receives > 0 and json_extract(attributes, '$.ERROR') is null"
        )

    def send(
        self, queue: str, body: str, attributes: Mapping[str, str], now: float, delay: int = 0
    ) -> dict[str, Any]:
        """Send a message, visible after ``delay`` seconds; return the response of SendMessage."""
        message = merged(self.journal, body, now) if queue == ATTENTION_QUEUE else None
        if message is None:
            message = self.put(queue, body, attributes, now, delay)
        digest = md5(body.encode(), usedforsecurity=False).hexdigest()
        return {"MD5OfMessageBody": digest, "MessageId": message_id(message)}

    def put(
        self, queue: str, body: str, attributes: Mapping[str, str], now: float, delay: int = 0
    ) -> int:
        """Add a message; return its number in the journal."""
        message, due = self.journal.next_id("messages"), now + delay
        told = json.dumps(attributes) if attributes else "{}"
        self.journal.batch.add(_INSERT, message, queue, body, now, due, 0, told)
        if queue in self.backlog:
            self.backlog.wake(queue, due)
        return message

    def committed(self) -> None:
        """Make the turn's messages visible to their consumers."""
        self.backlog.committed()

    def next_due(self) -> float:
        """Return when the next message is due for a consumer with room for a batch."""
        return self.backlog.next_due(queue for queue, room in self.room.items() if room > 0)

    def work(self, now: float) -> bool:
        """Pass due messages to their consumers; return whether there was any."""
        worked = False
        for consumer in self.stack.consumers:
            if self.backlog.is_due(consumer.queue, now):
                worked |= self._receive(consumer, now)
        return worked

    def _receive(self, consumer: Consumer, now: float) -> bool:
        room = self.room[consumer.queue]
        if room <= 0:
            return False
        queue = self.stack.queues[consumer.queue]
        wanted = room * consumer.batch_size
        rows = self.journal.database.rows(
            "select * from messages where queue = ? and visible_at <= ?"
            " order by visible_at, id limit ?",
            queue.name,
            now,
            wanted,
        )
        if len(rows) < wanted:
            self.backlog.rest(queue.name, self._next_visible(queue.name, now))
        received = []
        for row in rows:
            if queue.max_receives and row["receives"] >= queue.max_receives:
                reason = f"received {row['receives']} times without success"
                self._give_up(queue, row, reason, now)
                continue
            self.journal.batch.add(
                "update messages set visible_at = ?, receives = receives + 1 where id = ?",
                now + queue.visibility,
                row["id"],
            )
            received.append(row)
        if received:
            self.backlog.wake(queue.name, now + queue.visibility)
        for batch in self._batches(received, consumer.batch_size):
            first = batch[0]["id"]
            error = self.boundary.attempt(
                Kind.MESSAGE, first, self._hand_over, consumer, queue, batch
            )
            if error is not None:
                self._note([row["id"] for row in batch], described(error))
        return bool(rows)

    def _batches(self, rows: list[Any], size: int) -> Iterator[list[Any]]:
        """Group messages into batches for their consumer; each suspect is its own batch."""
        if self.suspects:
            yield from ([row] for row in rows if row["id"] in self.suspects)
            rows = [row for row in rows if row["id"] not in self.suspects]
        for first in range(0, len(rows), size):
            yield rows[first : first + size]

    def _hand_over(self, consumer: Consumer, queue: Queue, rows: list[Any]) -> None:
        event = {"Records": [_record(queue, row) for row in rows]}
        ids = {message_id(row["id"]): row["id"] for row in rows}
        self.boundary.marker.enter((Kind.MESSAGE, rows[0]["id"], rows[-1]["id"]))
        self.invoke(consumer.function, event, partial(self._done, queue, ids))
        self.room[queue.name] -= 1

    def _done(self, queue: Queue, ids: Mapping[str, int], result: Result, now: float) -> None:
        """Delete handled messages; failed ones become visible after their timeout."""
        self.room[queue.name] += 1
        failed, reason = _failed(result.payload, set(ids)), UNTOLD
        if result.error is not None:
            failed = set(ids)
            reason = f"{result.error['errorType']}: {result.error['errorMessage']}"
        for key, message in ids.items():
            if key not in failed:
                self.journal.batch.add("delete from messages where id = ?", message)
        reasons = failure_reasons(result.metrics)
        for key, message in ids.items():
            if key in failed:
                self._note([message], reasons.get(key, reason))
        self.backlog.wake(queue.name, now)

    def _note(self, messages: Iterable[int], reason: str) -> None:
        """Store the reason of a failure with messages; their visibility timeout runs on."""
        for message in messages:
            self.journal.batch.add(
                "update messages set attributes = json_set(attributes, '$.ERROR', ?) where id = ?",
                reason,
                message,
            )

    def quarantine(self, number: int, reason: str, now: float) -> None:
        """Move a message to its queue's dead-letter queue; without one, hide it for ever."""
        row = self.journal.database.row("select * from messages where id = ?", number)
        if row is None:
            return
        queue = self.stack.queues[row["queue"]]
        if queue.dead_letters:
            self._give_up(queue, row, reason, now)
            return
        self._note([number], reason)
        self.journal.batch.add("update messages set visible_at = 9e999 where id = ?", number)

    def _give_up(self, queue: Queue, row: Any, reason: str, now: float) -> None:
        """Move a message to the dead-letter queue, with the reason."""
        attributes = json.loads(row["attributes"])
        attributes |= {"SOURCE_QUEUE": queue.name, "REASON": reason}
        self.journal.batch.add(
            "update messages set queue = ?, visible_at = ?, attributes = ? where id = ?",
            queue.dead_letters,
            now,
            json.dumps(attributes),
            row["id"],
        )

    def _next_visible(self, queue: str, now: float) -> float | None:
        row = self.journal.database.row(
            "select min(visible_at) from messages where queue = ? and visible_at > ?", queue, now
        )
        return None if row is None else row[0]


def _failed(answer: object, ids: set[str]) -> set[str]:
    """Return the messages that a function reports as failed; all, if the report is malformed.

    Source: Lambda Developer Guide, "Handling errors for an SQS event source".
    """
    if answer is None:
        return set()
    try:
        failures = answer.get("batchItemFailures") or []  # type: ignore[attr-defined]
        failed = {failure["itemIdentifier"] for failure in failures}
    except (AttributeError, KeyError, TypeError):
        return ids
    return failed if failed.issubset(ids) else ids


@lru_cache(maxsize=4_096)
def message_id(message: int) -> str:
    """Return a message's id for clients and consumers."""
    return uuid_of(f"message-{message}", NAMESPACE_OID)


def _record(queue: Queue, row: Any) -> dict[str, Any]:
    """Return a message in the form that Lambda gets from SQS."""
    return {
        "messageId": message_id(row["id"]),
        "receiptHandle": str(row["id"]),
        "body": row["body"],
        "attributes": {
            "ApproximateReceiveCount": str(row["receives"] + 1),
            "SentTimestamp": str(int(row["sent_at"] * 1000)),
        },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn,
        "awsRegion": REGION,
    }
