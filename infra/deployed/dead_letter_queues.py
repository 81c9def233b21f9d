"""The dead-letter queues of a deployed stack: letters received, given back, sent, deleted.

SQS shows messages by handing them out, so looking receives: a letter is held for a minute at most,
and given back as soon as it was looked at. The messages that SQS hands out are a sample.

An edited or restored letter is another message for SQS. It keeps its id in an attribute, and copies
of one letter are one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from infra.dead_letters.reading import Letter
from infra.dead_letters.reason import content_of, reason_of
from infra.deployed.account import translate_errors
from infra.deployed.stack import DeployedStack
from infra.local.orderflow import order_id_in
from infra.local.platform import TEMPLATE
from infra.local.stack_loader import load
from kernel.clock import timestamp

HELD = 60
"""Seconds for which a letter that was received is hidden from others."""

BATCH = 10
"""Messages of one request (SQS, message quotas)."""

PASSES = 100
"""Requests to one queue: at most 1,000 letters of it are looked at."""

LETTER, EDITED, SINCE = "LETTER", "EDITED", "SINCE"
"""Message attributes: a letter's own id, when it was edited, and since when it is a letter."""

REDEPLOY = "the stack was changed meanwhile: try again"


@dataclass(slots=True)
class Held:
    """A letter in our hands: its text and attributes as SQS has them, and SQS's receipts for it."""

    letter: Letter
    text: str
    attributes: Mapping[str, Any]
    sent: int
    receipts: list[str] = field(default_factory=list)


class LetterQueues:
    """The dead-letter queues of a stack.

    An empty one is waited for ``patience`` seconds. A wait asks all servers of a queue; without one
    SQS asks some (SQS, short and long polling).
    """

    def __init__(self, stack: DeployedStack, patience: int = 1) -> None:
        self.stack = stack
        self.patience = patience
        self.sqs = stack.client("sqs", max_pool_connections=20)
        self.template = load(TEMPLATE, {}, lambda _variable, value: value)
        self.names = [name for name in self.template.dead_letter_queues if name in stack.names]
        self.sources = {
            queue.dead_letters: queue
            for queue in self.template.queues.values()
            if queue.dead_letters
        }

    @contextmanager
    def received(self, queues: Sequence[str], held_for: float = HELD) -> Iterator[dict[str, Held]]:
        """Hold the letters of these queues; those that are left at the end are given back."""
        with ThreadPoolExecutor(len(queues) or 1) as pool:
            found = pool.map(lambda queue: self._receive(queue, held_for), queues)
            held = {number: one for letters in found for number, one in letters.items()}
        try:
            yield held
        finally:
            self._give_back(held.values())

    def delete(self, held: Held) -> None:
        """Delete a letter, with all its copies."""
        for receipt in held.receipts:
            queue = self.stack.name(held.letter["queue"])
            self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=receipt)

    def send(self, queue: str, text: str, attributes: Mapping[str, Any], **own: str) -> None:
        """Send a letter to its queue, with its attributes and ``own`` ones."""
        mine = {name: {"DataType": "String", "StringValue": value} for name, value in own.items()}
        self.sqs.send_message(
            QueueUrl=self.stack.name(queue),
            MessageBody=text,
            MessageAttributes={**attributes, **mine},
        )

    def move(self, queue: str) -> int:
        """Have SQS move a queue's letters to where they came from; return about how many."""
        with translate_errors(f"the queue {queue}", REDEPLOY):
            found = self.sqs.get_queue_attributes(
                QueueUrl=self.stack.name(queue),
                AttributeNames=["QueueArn", "ApproximateNumberOfMessages"],
            )["Attributes"]
            self.sqs.start_message_move_task(SourceArn=found["QueueArn"])
        return int(found["ApproximateNumberOfMessages"])

    def _receive(self, queue: str, held_for: float) -> dict[str, Held]:
        held: dict[str, Held] = {}
        with translate_errors(f"the queue {queue}", REDEPLOY):
            for _ in range(PASSES):
                messages = self.sqs.receive_message(
                    QueueUrl=self.stack.name(queue),
                    MaxNumberOfMessages=BATCH,
                    VisibilityTimeout=int(held_for),
                    WaitTimeSeconds=self.patience,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["SentTimestamp"],
                ).get("Messages", [])
                if not messages:
                    break
                for message in messages:
                    self._hold(held, queue, message)
        return held

    def _hold(self, held: dict[str, Held], queue: str, message: Mapping[str, Any]) -> None:
        """Add a message to what is held; of several copies of a letter the newest counts."""
        letter = self._letter(queue, message)
        attributes = dict(message.get("MessageAttributes", {}))
        sent = int(message["Attributes"]["SentTimestamp"])
        one = Held(letter, message["Body"], attributes, sent)
        known = held.get(letter["id"])
        if known is not None:
            one.receipts += known.receipts
            if known.sent > sent:
                one.letter, one.text, one.attributes = known.letter, known.text, known.attributes
                one.sent = known.sent
        one.receipts.append(message["ReceiptHandle"])
        held[letter["id"]] = one

    def _give_back(self, held: Iterable[Held]) -> None:
        by_queue: dict[str, list[str]] = {}
        for one in held:
            by_queue.setdefault(one.letter["queue"], []).extend(one.receipts)
        for queue, receipts in by_queue.items():
            for first in range(0, len(receipts), BATCH):
                entries = [
                    {"Id": str(place), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for place, receipt in enumerate(receipts[first : first + BATCH])
                ]
                with translate_errors(f"the queue {queue}", REDEPLOY):
                    self.sqs.change_message_visibility_batch(
                        QueueUrl=self.stack.name(queue), Entries=entries
                    )

    def _letter(self, queue: str, message: Mapping[str, Any]) -> Letter:
        attributes = {
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value
        }
        body = content_of(message["Body"])
        content: Mapping[str, Any] = body if isinstance(body, dict) else {}
        source = self.sources.get(queue)
        sent = timestamp(int(message["Attributes"]["SentTimestamp"]) / 1000)
        return {
            "id": attributes.get(LETTER) or message["MessageId"],
            "queue": queue,
            "since": attributes.get(SINCE) or sent,
            "reason": _reason(content, attributes, source.max_receives if source else 0),
            "order_id": order_id_in(content) or order_id_in(content.get("event")),
            "from": content.get("consumer")
            or attributes.get("TARGET_ARN")
            or (content.get("requestContext") or {}).get("functionArn")
            or (source and source.name),
            "attributes": attributes,
            "body": body,
        }


def _reason(body: Mapping[str, Any], attributes: Mapping[str, str], max_receives: int) -> str:
    """Return what the platform, EventBridge, Lambda or SQS says of a letter, in that order."""
    failure, context = body.get("responsePayload"), body.get("requestContext")
    given = dict(attributes)
    if isinstance(failure, dict):
        given.setdefault("REASON", f"{failure.get('errorType')}: {failure.get('errorMessage')}")
    elif isinstance(context, dict) and context.get("condition"):
        given.setdefault("REASON", str(context["condition"]))
    elif max_receives:
        given.setdefault("REASON", f"received {max_receives} times without success")
    return reason_of(body, given)
