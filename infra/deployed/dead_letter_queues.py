"""The dead-letter queues of a deployed stack: receive, release, send and delete dead letters.

SQS shows a message only by handing it out, so listing receives: each message is hidden for a minute
at most, and released as soon as it was read. SQS hands out a sample of the messages.

An edited or restored dead letter is a new message for SQS. An attribute keeps its own id, and
copies with the same id count as one dead letter.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from infra.dead_letters.reason import content_of, reason_of
from infra.deployed.account import translate_errors
from infra.deployed.bounds import Bounds, TimeLimit
from infra.deployed.stack import DeployedStack
from infra.local.orderflow import order_id_in
from infra.local.stack_loader import shipped
from infra.views.dead_letter import DeadLetter
from kernel.clock import timestamp

VISIBILITY_TIMEOUT = 60
"""Seconds for which a received dead letter is hidden from other receivers."""

BATCH = 10
"""Messages of one request (SQS, message quotas)."""

MAX_REQUESTS = 100
"""Receive requests to one queue: at most 1,000 of its dead letters are read."""

LETTER, EDITED, SINCE = "LETTER", "EDITED", "SINCE"
"""Message attributes: the dead letter's own id, its last edit, and when it became one."""

REDEPLOY = "the stack was changed meanwhile: try again"


@dataclass(slots=True)
class Received:
    """A received dead letter: its text and attributes in SQS, and the receipts of its copies.

    The receipt of the newest copy is the last: if the deletion is cut, the newest stays.
    """

    dead_letter: DeadLetter
    text: str
    attributes: Mapping[str, Any]
    sent: int
    receipts: list[str] = field(default_factory=list)


class DeadLetterQueues:
    """The dead-letter queues of a stack.

    Parameters
    ----------
    stack
        The deployed stack.
    patience
        Seconds of long polling. A long poll asks all servers of a queue, a short poll only some
        (SQS, short and long polling).
    bounds
        Bounds of each time that dead letters are received.
    """

    def __init__(
        self, stack: DeployedStack, patience: int = 1, bounds: Bounds | None = None
    ) -> None:
        self.stack = stack
        self.patience = patience
        self.bounds = bounds or Bounds()
        self.sqs = stack.client("sqs", max_pool_connections=20)
        self.template = shipped()
        self.names = [name for name in self.template.dead_letter_queues if name in stack.names]
        self.sources = {
            queue.dead_letters: queue
            for queue in self.template.queues.values()
            if queue.dead_letters
        }

    @contextmanager
    def received(
        self, queues: Sequence[str], visibility_timeout: float = VISIBILITY_TIMEOUT
    ) -> Iterator[dict[str, Received]]:
        """Receive dead letters by id; release those not deleted at the end of the block."""
        with ThreadPoolExecutor(len(queues) or 1) as pool:
            batches = pool.map(lambda queue: self._receive(queue, visibility_timeout), queues)
            received = {number: item for batch in batches for number, item in batch.items()}
        try:
            yield received
        finally:
            self._release(received.values())

    def delete(self, received: Received) -> None:
        """Delete a dead letter with all its copies."""
        for receipt in received.receipts:
            queue = self.stack.name(received.dead_letter.queue)
            self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=receipt)

    def send(self, queue: str, text: str, attributes: Mapping[str, Any], **own: str) -> None:
        """Send a dead letter to its queue, with its attributes and ``own`` ones."""
        mine = {name: {"DataType": "String", "StringValue": value} for name, value in own.items()}
        self.sqs.send_message(
            QueueUrl=self.stack.name(queue),
            MessageBody=text,
            MessageAttributes={**attributes, **mine},
        )

    def move(self, queue: str) -> int:
        """Start SQS's redrive of a queue; return the approximate number of messages."""
        with translate_errors(f"the queue {queue}", REDEPLOY):
            attributes = self.sqs.get_queue_attributes(
                QueueUrl=self.stack.name(queue),
                AttributeNames=["QueueArn", "ApproximateNumberOfMessages"],
            )["Attributes"]
            self.sqs.start_message_move_task(SourceArn=attributes["QueueArn"])
        return int(attributes["ApproximateNumberOfMessages"])

    def _receive(self, queue: str, visibility_timeout: float) -> dict[str, Received]:
        received: dict[str, Received] = {}
        limit, size = TimeLimit(self.bounds.receiving), 0
        with translate_errors(f"the queue {queue}", REDEPLOY):
            for _ in range(MAX_REQUESTS):
                if limit.is_over() or size > self.bounds.size:
                    break
                messages = self.sqs.receive_message(
                    QueueUrl=self.stack.name(queue),
                    MaxNumberOfMessages=BATCH,
                    VisibilityTimeout=int(visibility_timeout),
                    WaitTimeSeconds=self.patience,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["SentTimestamp"],
                ).get("Messages", [])
                if not messages:
                    break
                for message in messages:
                    size += len(message["Body"])
                    self._add(received, queue, message)
        return received

    def _add(self, received: dict[str, Received], queue: str, message: Mapping[str, Any]) -> None:
        """Add a message; of several copies of a dead letter the newest counts."""
        dead_letter = self._dead_letter(queue, message)
        attributes = dict(message.get("MessageAttributes", {}))
        sent = int(message["Attributes"]["SentTimestamp"])
        item = Received(dead_letter, message["Body"], attributes, sent, [message["ReceiptHandle"]])
        copy = received.get(str(dead_letter.id))
        older, newer = (copy, item) if copy is None or copy.sent <= sent else (item, copy)
        newer.receipts[:0] = older.receipts if older is not None else []
        received[str(dead_letter.id)] = newer

    def _release(self, received: Iterable[Received]) -> None:
        """Release dead letters; SQS releases the others when their visibility timeout ends."""
        limit = TimeLimit(self.bounds.receiving)
        by_queue: dict[str, list[str]] = {}
        for item in received:
            by_queue.setdefault(item.dead_letter.queue, []).extend(item.receipts)
        for queue, receipts in by_queue.items():
            for first in range(0, len(receipts), BATCH):
                if limit.is_over():
                    return
                entries = [
                    {"Id": str(place), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for place, receipt in enumerate(receipts[first : first + BATCH])
                ]
                with translate_errors(f"the queue {queue}", REDEPLOY):
                    self.sqs.change_message_visibility_batch(
                        QueueUrl=self.stack.name(queue), Entries=entries
                    )

    def _dead_letter(self, queue: str, message: Mapping[str, Any]) -> DeadLetter:
        attributes = {
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value
        }
        body = content_of(message["Body"])
        content: Mapping[str, Any] = body if isinstance(body, dict) else {}
        source = self.sources.get(queue)
        sent = timestamp(int(message["Attributes"]["SentTimestamp"]) / 1000)
        return DeadLetter(
            id=attributes.get(LETTER) or message["MessageId"],
            queue=queue,
            since=attributes.get(SINCE) or sent,
            reason=_reason(content, attributes, source.max_receives if source else 0),
            order_id=order_id_in(content) or order_id_in(content.get("event")),
            source=content.get("consumer")
            or attributes.get("TARGET_ARN")
            or (content.get("requestContext") or {}).get("functionArn")
            or (source.name if source else None),
            attributes=attributes,
            body=body,
        )


def _reason(body: Mapping[str, Any], attributes: Mapping[str, str], max_receives: int) -> str:
    """Return the reason by the platform, EventBridge, Lambda or SQS, in that order."""
    failure, context = body.get("responsePayload"), body.get("requestContext")
    reasons = dict(attributes)
    if isinstance(failure, dict):
        reasons.setdefault("REASON", f"{failure.get('errorType')}: {failure.get('errorMessage')}")
    elif isinstance(context, dict) and context.get("condition"):
        reasons.setdefault("REASON", str(context["condition"]))
    elif max_receives:
        reasons.setdefault("REASON", f"received {max_receives} times without success")
    return reason_of(body, reasons)
