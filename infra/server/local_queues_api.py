"""SQS's operations on a developer's own queues, which are targets of local rules.

The operations on the template's queues are in `infra.server.queues_api`; a request that names a
local queue is answered here, and every other there.

Source: SQS API Reference, ReceiveMessage, DeleteMessage, GetQueueUrl and GetQueueAttributes.
"""

import re
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from hashlib import md5
from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.local_queues import RETENTION
from infra.local.engine.receiving import Messages
from infra.local.engine.targets import LOCAL_QUEUE
from infra.local.template.loader import ACCOUNT, REGION
from infra.server.fields import Answer, Operation, Request, within

VISIBILITY, MAX_VISIBILITY, MAX_MESSAGES = 30, 43_200, 10
"""The default and the maximum of a visibility timeout in seconds; messages of one receive."""

_HANDLE = re.compile(r"local-(\d{1,18})")


def with_local_queues(engine: Engine, others: Mapping[str, Operation]) -> dict[str, Operation]:
    """Return SQS's operations, which answer for local queues too."""
    api = _LocalQueues(engine)
    own = {
        "AmazonSQS.ReceiveMessage": api.receive,
        "AmazonSQS.DeleteMessage": api.delete,
        "AmazonSQS.GetQueueUrl": api.url,
        "AmazonSQS.GetQueueAttributes": api.attributes,
    }
    return {
        name: partial(api.choose, own[name], operation) if name in own else operation
        for name, operation in others.items()
    }


class _LocalQueues:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def choose(self, own: Any, other: Operation, request: Request) -> "Answer | Future[Answer]":
        """Answer for a local queue, or let the template's queues answer."""
        given = request.get("QueueUrl") or request.get("QueueName")
        name = given.rpartition("/")[2] if isinstance(given, str) else ""
        if name in self._names:
            answer: Answer | Future[Answer] = own(name, request)
            return answer
        return other(request)

    @property
    def _names(self) -> set[str]:
        targets = self._engine.bus.targets.values()
        return {target.name for target in targets if target.kind == LOCAL_QUEUE}

    def url(self, name: str, request: Request) -> Answer:
        """Return the URL of a queue."""
        del request
        return {"QueueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"}

    def attributes(self, name: str, request: Request) -> Future[Answer]:
        """Return the attributes of a queue."""
        del request
        query = "select count(*) as number from local_messages where queue = ? and visible_at {} ?"

        def read(now: float) -> Answer:
            database = self._engine.journal.database
            visible = database.row(query.format("<="), name, now)
            hidden = database.row(query.format(">"), name, now)
            return {
                "Attributes": {
                    "QueueArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
                    "ApproximateNumberOfMessages": str(visible and visible["number"]),
                    "ApproximateNumberOfMessagesNotVisible": str(hidden and hidden["number"]),
                    "MessageRetentionPeriod": str(int(RETENTION)),
                    "VisibilityTimeout": str(VISIBILITY),
                }
            }

        return self._engine.call(read)

    def receive(self, name: str, request: Request) -> Future[Answer]:
        """Return messages, and hide them for the visibility timeout."""
        limit = within(request, "MaxNumberOfMessages", 1, 1, MAX_MESSAGES)
        seconds = within(request, "VisibilityTimeout", VISIBILITY, 0, MAX_VISIBILITY)

        def take(now: float) -> Answer:
            messages = Messages(self._engine.journal, "local_messages")
            rows = messages.receive(name, limit, seconds, now)
            return {"Messages": [_message(row) for row in rows]} if rows else {}

        return self._engine.call(take)

    def delete(self, name: str, request: Request) -> Future[Answer]:
        """Delete a message; one that is gone is no error."""
        match = _HANDLE.fullmatch(str(request.get("ReceiptHandle")))
        if match is None:
            raise InvalidRequest("ReceiptHandleIsInvalid", "The receipt handle is not valid.")
        number = int(match[1])

        def drop(_: float) -> Answer:
            delete = "delete from local_messages where queue = ? and id = ?"
            self._engine.journal.batch.add(delete, name, number)
            return {}

        return self._engine.call(drop)


def _message(row: Any) -> Answer:
    digest = md5(row["body"].encode(), usedforsecurity=False).hexdigest()
    return {
        "MessageId": f"local-{row['id']}",
        "ReceiptHandle": f"local-{row['id']}",
        "MD5OfBody": digest,
        "Body": row["body"],
        "Attributes": {
            "ApproximateReceiveCount": str(row["receives"] + 1),
            "SentTimestamp": str(int(row["sent_at"] * 1000)),
        },
    }
