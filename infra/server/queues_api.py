"""The operations of SQS on dead-letter queues.

A message that a client deletes is a discarded dead letter: `orders dead-letters undo` puts it
back for 14 days. A queue with a consumer gives no message to a client, since the platform would
lose it. A receive is answered at once; ``WaitTimeSeconds`` is checked, and does not delay it.

Source: SQS API Reference, ReceiveMessage, DeleteMessage, ChangeMessageVisibility,
GetQueueAttributes, GetQueueUrl and ListQueues.
"""

import json
import re
from collections.abc import Mapping
from concurrent.futures import Future
from hashlib import md5
from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.queues import message_id
from infra.local.engine.receiving import Messages
from infra.local.template.stack import Queue
from infra.server.fields import Answer, Operation, Pages, Request, text_of, within

WHO = "sqs:DeleteMessage"
"""The person in the log of a dead letter that a client of SQS deleted."""

QUERY_CODES: Mapping[str, str] = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}
"""Codes that SQS's older protocol has for an error; a client gets both."""

MAX_MESSAGES, MAX_VISIBILITY, MAX_WAIT, MAX_QUEUES = 10, 43_200, 20, 1_000

_HANDLE = re.compile(r"(\d{1,18})-(\d{1,9})")
_OWN = frozenset({"ERROR", "REASON", "SOURCE_QUEUE", "SINCE"})
"""Attributes of a message that the platform keeps for itself."""


def queue_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operations on an engine's queues, by their names."""
    api = _QueueApi(engine)
    return {
        "AmazonSQS.ReceiveMessage": api.receive,
        "AmazonSQS.DeleteMessage": api.delete,
        "AmazonSQS.ChangeMessageVisibility": api.change_visibility,
        "AmazonSQS.GetQueueAttributes": api.attributes,
        "AmazonSQS.GetQueueUrl": api.url,
        "AmazonSQS.ListQueues": api.list_queues,
    }


class _QueueApi:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stack = engine.stack

    def url(self, request: Request) -> Answer:
        """Return the URL of a queue."""
        return {"QueueUrl": self._queue(text_of(request, "QueueName")).url}

    def list_queues(self, request: Request) -> Answer:
        """Return the URLs of the queues whose names have the prefix."""
        prefix = request.get("QueueNamePrefix") or ""
        names = sorted(name for name in self._stack.queues if name.startswith(prefix))
        size = within(request, "MaxResults", MAX_QUEUES, 1, MAX_QUEUES)
        urls = [self._stack.queues[name].url for name in names]
        return Pages(request, ("queues", prefix), "NextToken").page(urls, size, "QueueUrls")

    def attributes(self, request: Request) -> Future[Answer]:
        """Return the attributes of a queue, those that are asked for."""
        queue = self._queue_of(request)
        asked = _names(request, "AttributeNames")

        def read(now: float) -> Answer:
            known = self._attributes(queue, now)
            unknown = sorted(asked - known.keys() - {"All"})
            if unknown:
                raise InvalidRequest("InvalidAttributeName", f"Unknown Attribute {unknown[0]}.")
            wanted = (
                known if "All" in asked else {name: known[name] for name in known if name in asked}
            )
            return {"Attributes": wanted}

        return self._engine.call(read)

    def receive(self, request: Request) -> Future[Answer]:
        """Return messages of a dead-letter queue, and hide them for the visibility timeout."""
        queue = self._dead_letter_queue(request)
        limit = within(request, "MaxNumberOfMessages", 1, 1, MAX_MESSAGES)
        seconds = within(request, "VisibilityTimeout", int(queue.visibility), 0, MAX_VISIBILITY)
        within(request, "WaitTimeSeconds", 0, 0, MAX_WAIT)
        system = _names(request, "AttributeNames") | _names(request, "MessageSystemAttributeNames")
        own = _names(request, "MessageAttributeNames")

        def take(now: float) -> Answer:
            stored = Messages(self._engine.journal, "messages")
            rows = stored.receive(queue.name, limit, seconds, now)
            self._engine.journal.batch.durable = True
            messages = [_message(row, system, own, self._sources()) for row in rows]
            return {"Messages": messages} if messages else {}

        return self._engine.call(take)

    def delete(self, request: Request) -> Future[Answer]:
        """Discard the dead letter of a receipt; a message that is gone is no error."""
        queue = self._dead_letter_queue(request)
        number, _ = _receipt(request)

        def drop(now: float) -> Answer:
            if self._row(queue, number) is not None:
                reason = "deleted by a client of SQS"
                self._engine.dead_letters.discard([number], reason, WHO, now)
                self._engine.journal.batch.durable = True
            return {}

        return self._engine.call(drop)

    def change_visibility(self, request: Request) -> Future[Answer]:
        """Hide a received message for another time, or show it again."""
        queue = self._dead_letter_queue(request)
        number, receives = _receipt(request)
        if request.get("VisibilityTimeout") is None:
            raise InvalidRequest("MissingParameter", "VisibilityTimeout is missing.")
        seconds = within(request, "VisibilityTimeout", 0, 0, MAX_VISIBILITY)

        def change(now: float) -> Answer:
            row = self._row(queue, number)
            if row is None or row["visible_at"] <= now or row["receives"] != receives:
                problem = f"Message {message_id(number)} is not available for a visibility change."
                raise InvalidRequest("MessageNotInflight", problem)
            self._engine.journal.batch.add(
                "update messages set visible_at = ? where id = ?", now + seconds, number
            )
            return {}

        return self._engine.call(change)

    def _row(self, queue: Queue, number: int) -> Any:
        query = "select visible_at, receives from messages where id = ? and queue = ?"
        return self._engine.journal.database.row(query, number, queue.name)

    def _sources(self) -> Mapping[str, str]:
        return {queue.name: queue.arn for queue in self._stack.queues.values()}

    def _queue(self, name: str) -> Queue:
        queue = self._stack.queues.get(name)
        if queue is None:
            raise InvalidRequest("QueueDoesNotExist", "The specified queue does not exist.")
        return queue

    def _queue_of(self, request: Request) -> Queue:
        """Return the queue of a URL, of this port's or of AWS's."""
        return self._queue(text_of(request, "QueueUrl").rstrip("/").rpartition("/")[2])

    def _dead_letter_queue(self, request: Request) -> Queue:
        queue = self._queue_of(request)
        if queue.name not in self._stack.dead_letter_queues:
            known = ", ".join(sorted(self._stack.dead_letter_queues))
            problem = f"{queue.name} has a consumer, which gets its messages; read one of {known}."
            raise InvalidRequest("UnsupportedOperation", problem)
        return queue

    def _attributes(self, queue: Queue, now: float) -> dict[str, str]:
        query = (
            "select sum(visible_at <= ?), sum(visible_at > ? and receives > 0),"
            " sum(visible_at > ? and receives = 0) from messages where queue = ?"
        )
        row = self._engine.journal.database.row(query, now, now, now, queue.name)
        visible, hidden, delayed = (str(count or 0) for count in row or (0, 0, 0))
        attributes = {
            "QueueArn": queue.arn,
            "ApproximateNumberOfMessages": visible,
            "ApproximateNumberOfMessagesNotVisible": hidden,
            "ApproximateNumberOfMessagesDelayed": delayed,
            "VisibilityTimeout": str(int(queue.visibility)),
            "MessageRetentionPeriod": str(int(queue.retention)),
            "MaximumMessageSize": "262144",
            "DelaySeconds": "0",
            "ReceiveMessageWaitTimeSeconds": "0",
            "SqsManagedSseEnabled": "true",
        }
        if queue.dead_letters:
            arn = self._stack.queues[queue.dead_letters].arn
            policy = {"deadLetterTargetArn": arn, "maxReceiveCount": queue.max_receives}
            attributes["RedrivePolicy"] = json.dumps(policy)
        return attributes


def _names(request: Request, field: str) -> set[str]:
    names = request.get(field) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest("SerializationException", f"{field} is a list of names")
    return set(names)


def _receipt(request: Request) -> tuple[int, int]:
    """Return the message and the receive that a receipt handle names."""
    text = text_of(request, "ReceiptHandle")
    handle = _HANDLE.fullmatch(text)
    if handle is None:
        problem = f'The input receipt handle "{text[:80]}" is not a valid receipt handle.'
        raise InvalidRequest("ReceiptHandleIsInvalid", problem)
    return int(handle[1]), int(handle[2])


def _message(row: Any, system: set[str], own: set[str], sources: Mapping[str, str]) -> Answer:
    """Return a message as ReceiveMessage has it, with the attributes that are asked for."""
    attributes = json.loads(row["attributes"])
    known = {
        "ApproximateReceiveCount": str(row["receives"] + 1),
        "SentTimestamp": str(int(row["sent_at"] * 1000)),
        "SenderId": "AIDAORDERFLOW",
    }
    if attributes.get("SOURCE_QUEUE") in sources:
        known["DeadLetterQueueSourceArn"] = sources[attributes["SOURCE_QUEUE"]]
    message: Answer = {
        "MessageId": message_id(row["id"]),
        "ReceiptHandle": f"{row['id']}-{row['receives'] + 1}",
        "MD5OfBody": md5(row["body"].encode(), usedforsecurity=False).hexdigest(),
        "Body": row["body"],
    }
    if chosen := {name: known[name] for name in known if {name, "All"} & system}:
        message["Attributes"] = chosen
    given = {name: value for name, value in attributes.items() if name not in _OWN}
    if found := {name: value for name, value in given.items() if _is_asked(name, own)}:
        message["MessageAttributes"] = {
            name: {"StringValue": str(value), "DataType": "String"} for name, value in found.items()
        }
    return message


def _is_asked(name: str, asked: set[str]) -> bool:
    """Return whether an attribute is asked for, by its name, ``All``, ``.*`` or ``prefix.*``."""
    prefixes = [one[:-2] for one in asked if one.endswith(".*")]
    return bool({name, "All"} & asked) or any(name.startswith(prefix) for prefix in prefixes)
