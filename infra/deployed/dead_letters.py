"""Dead letters of a deployed stack: what waits in its queues, why, and the way back.

SQS shows messages by handing them out, so looking receives: a letter is held for a minute at most,
and given back as soon as it was looked at. What SQS hands out is a sample of a queue.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from infra.cli.output import CommandError
from infra.dead_letters import Letter, own_reason
from infra.deployed.account import translated
from infra.deployed.stack import DeployedStack
from infra.deployed.targets import Targets
from infra.local.execution_rows import order_of
from infra.local.platform import TEMPLATE
from infra.local.resources import load
from shared.clock import timestamp

HELD = 60
"""Seconds for which a letter that was received is hidden from others."""

BATCH = 10
"""Messages of one request (SQS, message quotas)."""

PASSES = 100
"""Requests to one queue: at most 1,000 letters of it are looked at."""

_REDEPLOY = "the stack was changed meanwhile: try again"


@dataclass(frozen=True, slots=True)
class Held:
    """A letter in our hands: its text as it was sent, and SQS's receipt for it."""

    letter: Letter
    text: str
    receipt: str


@dataclass(frozen=True, slots=True)
class Redriven:
    """How many letters were sent on their way, and about how many of which queue SQS moves."""

    sent: int
    moving: Mapping[str, int]


class DeadLetters:
    """The dead letters of a stack; ``patience`` is how many seconds an empty queue is waited for.

    A wait asks all servers of a queue; without one SQS asks some (SQS, short and long polling).
    """

    def __init__(self, stack: DeployedStack, patience: int = 1) -> None:
        self.stack = stack
        self.patience = patience
        self.targets = Targets(stack)
        self.sqs = stack.client("sqs", max_pool_connections=20)
        self.template = load(TEMPLATE, {}, lambda _variable, value: value)
        self.queues = [name for name in self.template.dead_letter_queues if name in stack.names]
        self.sources = {
            queue.dead_letters: queue
            for queue in self.template.queues.values()
            if queue.dead_letters
        }

    def letters(self, queue: str | None = None) -> list[Letter]:
        """Return the letters that SQS shows, of one queue or of all, the oldest first."""
        if queue is not None and queue not in self.queues:
            these = ", ".join(self.queues)
            raise CommandError(f"{queue!r} is no dead-letter queue; these are: {these}")
        with self._received([queue] if queue else self.queues) as held:
            return sorted((one.letter for one in held.values()), key=lambda one: str(one["since"]))

    def redrive(self, ids: Sequence[str] = ()) -> Redriven:
        """Send letters on their way again, all if no id is given; delete what was accepted.

        Of all, those that a queue gave up are moved back to it by SQS itself.

        Raises
        ------
        CommandError
            A letter was not seen, or has no way back: nothing is sent then. Or AWS did not take
            one: it stays, and how many were sent before is said.
        """
        moved = [] if ids else [name for name in self.queues if name in self.sources]
        with self._received([name for name in self.queues if name not in moved]) as held:
            missing = sorted(set(ids) - set(held))
            if missing:
                raise CommandError(
                    f"no dead letter {missing[0]} was seen; look with `orders dead-letters list`,"
                    " and again, since SQS shows a sample"
                )
            wanted = [held[one] for one in dict.fromkeys(ids)] if ids else list(held.values())
            ways = [self._way_back(one) for one in wanted]
            for done, (one, way) in enumerate(zip(wanted, ways, strict=True)):
                number = one.letter["id"]
                before = f"{done} of {len(wanted)} dead letters were sent; {number}"
                with translated(before, _REDEPLOY):
                    way()
                    self.sqs.delete_message(
                        QueueUrl=self.stack.name(one.letter["queue"]), ReceiptHandle=one.receipt
                    )
                del held[number]
        return Redriven(len(wanted), {name: self._move(name) for name in moved})

    def _move(self, queue: str) -> int:
        """Have SQS move a queue's letters to where they came from; return about how many."""
        with translated(f"the queue {queue}", _REDEPLOY):
            found = self.sqs.get_queue_attributes(
                QueueUrl=self.stack.name(queue),
                AttributeNames=["QueueArn", "ApproximateNumberOfMessages"],
            )["Attributes"]
            self.sqs.start_message_move_task(SourceArn=found["QueueArn"])
        return int(found["ApproximateNumberOfMessages"])

    @contextmanager
    def _received(self, queues: Sequence[str]) -> Iterator[dict[str, Held]]:
        """Hold the letters of these queues; those that are left at the end are given back."""
        with ThreadPoolExecutor(len(queues) or 1) as pool:
            found = [one for held in pool.map(self._receive, queues) for one in held]
        held = {one.letter["id"]: one for one in found}
        try:
            yield held
        finally:
            self._give_back(held.values())

    def _receive(self, queue: str) -> list[Held]:
        held: dict[str, Held] = {}
        with translated(f"the queue {queue}", _REDEPLOY):
            for _ in range(PASSES):
                messages = self.sqs.receive_message(
                    QueueUrl=self.stack.name(queue),
                    MaxNumberOfMessages=BATCH,
                    VisibilityTimeout=HELD,
                    WaitTimeSeconds=self.patience,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["SentTimestamp"],
                ).get("Messages", [])
                if not messages:
                    break
                for message in messages:
                    letter = self._letter(queue, message)
                    held[letter["id"]] = Held(letter, message["Body"], message["ReceiptHandle"])
        return list(held.values())

    def _give_back(self, held: Iterable[Held]) -> None:
        by_queue: dict[str, list[Held]] = {}
        for one in held:
            by_queue.setdefault(one.letter["queue"], []).append(one)
        for queue, ours in by_queue.items():
            for first in range(0, len(ours), BATCH):
                entries = [
                    {"Id": str(place), "ReceiptHandle": one.receipt, "VisibilityTimeout": 0}
                    for place, one in enumerate(ours[first : first + BATCH])
                ]
                with translated(f"the queue {queue}", _REDEPLOY):
                    self.sqs.change_message_visibility_batch(
                        QueueUrl=self.stack.name(queue), Entries=entries
                    )

    def _letter(self, queue: str, message: Mapping[str, Any]) -> Letter:
        attributes = {
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value
        }
        try:
            body = json.loads(message["Body"])
        except ValueError:
            body = message["Body"]
        content: Mapping[str, Any] = body if isinstance(body, dict) else {}
        source = self.sources.get(queue)
        return {
            "id": message["MessageId"],
            "queue": queue,
            "since": timestamp(int(message["Attributes"]["SentTimestamp"]) / 1000),
            "reason": _reason(content, attributes)
            or (source and f"received {source.max_receives} times without success")
            or "unknown",
            "order_id": order_of(content) or order_of(content.get("event")),
            "from": content.get("consumer")
            or attributes.get("TARGET_ARN")
            or content.get("requestContext", {}).get("functionArn")
            or (source and source.name),
            "attributes": attributes,
            "body": body,
        }

    def _way_back(self, held: Held) -> Callable[[], object]:
        """Return what puts a letter back where it failed: queue, target, function, or a new run."""
        try:
            return self._of_aws(held) or self._of_ours(held.letter)
        except (KeyError, TypeError, ValueError):
            raise CommandError(
                f"dead letter {held.letter['id']} has no way back; send its event again by hand"
            ) from None

    def _of_aws(self, held: Held) -> Callable[[], object] | None:
        """Return the way back of what SQS, EventBridge or Lambda gave up; none of our own."""
        letter, text = held.letter, held.text
        body, attributes = letter["body"], letter["attributes"]
        source = self.sources.get(letter["queue"])
        if source:
            return partial(self.targets.send, self.stack.name(source.name), text)
        if "TARGET_ARN" in attributes:
            return self.targets.at(attributes["TARGET_ARN"], text, _run(letter))
        if "DDBStreamBatchInfo" in body:
            # what the relay gave up is in an outbox still: the reconciler sends it
            return partial(self.targets.call, self.stack.name("ReconcileFunction"), "{}")
        if "requestPayload" in body:
            function = body["requestContext"]["functionArn"]
            return partial(self.targets.call, function, json.dumps(body["requestPayload"]))
        return None

    def _of_ours(self, letter: Letter) -> Callable[[], object]:
        """Return the way back of what a workflow or a consumer put aside."""
        body, machine = letter["body"], self.stack.name("OrderProcessing")
        if letter["queue"] == "AttentionQueue":
            resume = json.dumps({"resume": {"order_id": body["order_id"]}})
            return partial(self.targets.start, machine, resume, _run(letter))
        event = body["event"]
        again = event if isinstance(event, str) else json.dumps(event)
        if body["consumer"] == "order_processing":
            return partial(self.targets.start, machine, again, _run(letter))
        return partial(self.targets.send, self.stack.name(self._queue_of(body["consumer"])), again)

    def _queue_of(self, consumer: str) -> str:
        for source in self.template.consumers:
            if self.template.functions[source.function].handler.split(".")[-2] == consumer:
                return source.queue
        raise KeyError(consumer)


def _run(letter: Letter) -> str:
    return f"redrive-{letter['id']}"


def _reason(body: Mapping[str, Any], attributes: Mapping[str, str]) -> str | None:
    """Return what the platform, EventBridge or Lambda says of a letter, in that order."""
    reason = body.get("reason")
    if isinstance(reason, dict):
        return own_reason(reason)
    if "ERROR_CODE" in attributes:
        return f"{attributes['ERROR_CODE']}: {attributes.get('ERROR_MESSAGE', 'no message')}"
    failure = body.get("responsePayload")
    if isinstance(failure, dict):
        return f"{failure.get('errorType')}: {failure.get('errorMessage')}"
    context = body.get("requestContext")
    return context.get("condition") if isinstance(context, dict) else None
