"""The kinds of rule targets: each is a class, and a row of `TARGETS`.

To add a kind, write a class with `room` and `deliver`, add it to `TARGETS`, and add the resource
that a target's ARN names to `infra.local.stack_loader`. `infra.local.engine.bus.Bus` retries
refused events and sends them to dead-letter queues.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from infra.local.engine.error_boundary import Expected
from infra.local.engine.integrations import TaskError
from infra.local.engine.services import EngineServices
from infra.local.template.stack import Target
from kernel import json_text

UNLIMITED = 1 << 30

HTTP, FILE, LOCAL_QUEUE = "http", "file", "local_queue"
"""The kinds of a local rule's targets (`infra.local.engine.local_rules`)."""

OUTSIDE = frozenset({HTTP, FILE})
"""The kinds that are served outside the turn (`infra.local.engine.outside_targets`)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a target; ``replay`` names the replay that delivers it again."""

    id: int
    event_id: str
    envelope: str
    attempts: int
    arrived_at: float
    replay: str | None = None


class DeliveryError(Expected):
    """A target refuses an event; ``final`` if no retry can help."""

    def __init__(self, code: str, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.final = final


class RuleTarget(Protocol):
    """A kind of rule target; ``kind`` is the target's kind in the stack."""

    kind: ClassVar[str]

    def room(self) -> int:
        """Return how many more events the target takes now; the others wait in the journal."""

    def deliver(self, target: Target, delivery: Delivery, now: float) -> None:
        """Deliver an event.

        Raises
        ------
        DeliveryError
            The target refuses the event, for now or for good.
        """


class QueueTarget:
    """A queue target: the event becomes a message."""

    kind: ClassVar[str] = "queue"

    def __init__(self, parts: EngineServices) -> None:
        self._queues = parts.queues

    def room(self) -> int:
        """Return `UNLIMITED`: a queue's messages are in the journal."""
        return UNLIMITED

    def deliver(self, target: Target, delivery: Delivery, now: float) -> None:
        """Send the event to the queue."""
        self._queues.send(target.name, delivery.envelope, {}, now)


class MachineTarget:
    """A state machine target: the event starts an execution."""

    kind: ClassVar[str] = "machine"

    def __init__(self, parts: EngineServices) -> None:
        self._executions = parts.executions

    def room(self) -> int:
        """Return how many more executions fit into memory."""
        return self._executions.room()

    def deliver(self, target: Target, delivery: Delivery, now: float) -> None:
        """Start an execution whose input is the event as it was sent."""
        name, text = f"{delivery.event_id}-{delivery.id}", delivery.envelope
        try:
            self._executions.start(target.name, name, json_text.parse(text), now, text=text)
        except TaskError as error:
            raise DeliveryError(error.error, str(error), final=True) from None


class StreamTarget:
    """A Firehose target: its deliveries stay in the journal until the stream has written them."""

    kind: ClassVar[str] = "stream"

    def __init__(self, parts: EngineServices) -> None:
        pass

    def room(self) -> int:
        """Return 0: the stream reads its deliveries itself (`infra.local.engine.streams`)."""
        return 0

    def deliver(self, target: Target, delivery: Delivery, now: float) -> None:  # noqa: ARG002
        """Refuse: a stream's deliveries are never made one by one."""
        raise DeliveryError("INTERNAL", f"{target.name} reads its deliveries itself")


TARGETS = (QueueTarget, MachineTarget, StreamTarget)
"""The kinds of targets of the template's rules."""
