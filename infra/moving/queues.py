"""The queues of a deployed stack: export of dead letters, and import of messages.

SQS has no read without receive. Received messages get a visibility timeout of a minute, which is
reset to zero at once. A read is a sample of at most 1,000 dead letters per queue.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.local.stack_loader import shipped
from infra.moving.lines import Row, numbered

HIDDEN = 60
"""Visibility timeout of a received dead letter, in seconds."""

BATCH, REQUESTS = 10, 100
"""Messages per request (SQS, message quotas), and maximum number of requests to a queue."""

_REDEPLOY = "name the stack of this template, or deploy it anew"


class StackQueues:
    """The queues of a stack; ``patience`` is the wait for an empty queue in seconds.

    Long polling queries all servers of a queue, short polling only some (SQS, short and long
    polling).
    """

    def __init__(self, stack: DeployedStack, patience: int = 1) -> None:
        self.stack = stack
        self.patience = patience
        self.sqs = stack.client("sqs", max_pool_connections=20)
        template = shipped()
        self.dead = [name for name in template.dead_letter_queues if name in stack.names]
        self.consumed = [
            consumer.queue for consumer in template.consumers if consumer.queue in stack.names
        ]
        self.sources = {
            queue.dead_letters: queue.name
            for queue in template.queues.values()
            if queue.dead_letters
        }
        self._seen: dict[str, int] = {}

    def letters(self) -> Iterator[Row]:
        """Yield the dead letters that SQS returns."""
        with ThreadPoolExecutor(max(1, len(self.dead))) as pool:
            queues = list(pool.map(self._letters, self.dead))
        yield from numbered(chain.from_iterable(queues))

    def not_exported(self) -> list[str]:
        """Return a line for each queue with messages that are not exported, by SQS's estimate."""
        notes = []
        for queue in self.consumed:
            about = self._about(queue)
            if about:
                notes.append(f"about {about} messages wait in {queue}: export again without them")
        for queue in self.dead:
            hidden = self._about(queue) - self._seen.get(queue, 0)
            if hidden > 0:
                notes.append(f"SQS did not return about {hidden} dead letters of {queue}")
        return notes

    def send(self, row: Row) -> None:
        """Send a message or a dead letter to its queue."""
        attributes = {
            name: {"DataType": "String", "StringValue": str(value)}
            for name, value in list(row["attributes"].items())[:BATCH]
            if value not in (None, "")
        }
        with translate_errors(f"the queue {row['queue']}", _REDEPLOY):
            self.sqs.send_message(
                QueueUrl=self.stack.name(row["queue"]),
                MessageBody=row["body"],
                MessageAttributes=attributes,
            )

    def _about(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        with translate_errors(f"the queue {queue}", _REDEPLOY):
            answer = self.sqs.get_queue_attributes(
                QueueUrl=self.stack.name(queue), AttributeNames=names
            )
        return sum(int(answer["Attributes"].get(name, 0)) for name in names)

    def _letters(self, queue: str) -> list[Row]:
        url, held = self.stack.name(queue), dict[str, Mapping[str, Any]]()
        with translate_errors(f"the queue {queue}", _REDEPLOY):
            try:
                for _ in range(REQUESTS):
                    answer = self.sqs.receive_message(
                        QueueUrl=url,
                        MaxNumberOfMessages=BATCH,
                        VisibilityTimeout=HIDDEN,
                        WaitTimeSeconds=self.patience,
                        AttributeNames=["SentTimestamp"],
                        MessageAttributeNames=["All"],
                    )
                    if not answer.get("Messages"):
                        break
                    held |= {message["MessageId"]: message for message in answer["Messages"]}
            finally:
                for message in held.values():
                    self.sqs.change_message_visibility(
                        QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
                    )
        self._seen[queue] = len(held)
        rows = [self._row(queue, message) for message in held.values()]
        return sorted(rows, key=lambda row: float(row["sent_at"]))

    def _row(self, queue: str, message: Mapping[str, Any]) -> Row:
        attributes = {
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value
        }
        source = self.sources.get(queue)
        if source is not None:
            # as on one machine: SQS itself knows the source queue of a dead letter
            attributes.setdefault("SOURCE_QUEUE", source)
            attributes.setdefault("REASON", "received too often without success")
        return {
            "kind": "letter",
            "queue": queue,
            "body": message["Body"],
            "attributes": attributes,
            "sent_at": int(message["Attributes"]["SentTimestamp"]) / 1000,
        }
