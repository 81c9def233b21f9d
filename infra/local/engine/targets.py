"""The kinds of rule targets: each a class, in one table that the template's reader knows too.

To add a kind: a class with `room` and `deliver`, and its row in `TARGETS`.
"""

from typing import TYPE_CHECKING, ClassVar, Protocol

from infra.local.engine.error_boundary import Expected
from infra.local.engine.integrations import TaskError
from infra.local.template.stack import Target
from kernel import json_text

if TYPE_CHECKING:
    from infra.local.engine.bus import Delivery
    from infra.local.engine.executions import Executions
    from infra.local.engine.queues import Queues

UNLIMITED = 1 << 30


class DeliveryError(Expected):
    """A target did not take an event; ``final`` if no retry can change that."""

    def __init__(self, code: str, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.final = final


class RuleTarget(Protocol):
    """What takes the events of a rule.

    ``service`` is the service in a target's ARN, ``kind`` the target's kind in the stack, and
    ``resources`` the table of the stack that has its resources.
    """

    service: ClassVar[str]
    kind: ClassVar[str]
    resources: ClassVar[str]

    def room(self) -> int:
        """Return how many more events it takes now; the others wait in the journal."""

    def deliver(self, target: Target, delivery: "Delivery", now: float) -> None:
        """Take an event.

        Raises
        ------
        DeliveryError
            It does not take this one, now or at all.
        """


class QueueTarget:
    """A queue: the event becomes a message."""

    service: ClassVar[str] = "sqs"
    kind: ClassVar[str] = "queue"
    resources: ClassVar[str] = "queues"

    def __init__(self, queues: "Queues", executions: "Executions") -> None:  # noqa: ARG002
        self._queues = queues

    def room(self) -> int:
        """Return no bound: a queue keeps its messages in the journal."""
        return UNLIMITED

    def deliver(self, target: Target, delivery: "Delivery", now: float) -> None:
        """Send the event to the queue."""
        self._queues.send(target.name, delivery.envelope, {}, now)


class MachineTarget:
    """A state machine: the event starts an execution."""

    service: ClassVar[str] = "states"
    kind: ClassVar[str] = "machine"
    resources: ClassVar[str] = "state_machines"

    def __init__(self, queues: "Queues", executions: "Executions") -> None:  # noqa: ARG002
        self._executions = executions

    def room(self) -> int:
        """Return how many more executions fit into memory."""
        return self._executions.room()

    def deliver(self, target: Target, delivery: "Delivery", now: float) -> None:
        """Start an execution whose input is the event, as it was sent."""
        name, text = f"{delivery.event_id}-{delivery.id}", delivery.envelope
        try:
            self._executions.start(target.name, name, json_text.parse(text), now, text=text)
        except TaskError as error:
            raise DeliveryError(error.error, str(error), final=True) from None


class StreamTarget:
    """A Firehose stream: its events wait in the journal until the stream's buffer is delivered."""

    service: ClassVar[str] = "firehose"
    kind: ClassVar[str] = "stream"
    resources: ClassVar[str] = "streams"

    def __init__(self, queues: "Queues", executions: "Executions") -> None:
        pass

    def room(self) -> int:
        """Return none: the stream reads its deliveries itself (`infra.local.engine.streams`)."""
        return 0

    def deliver(self, target: Target, delivery: "Delivery", now: float) -> None:  # noqa: ARG002
        """Refuse: nothing is delivered one by one."""
        raise DeliveryError("INTERNAL", f"{target.name} reads its deliveries itself")


TARGETS = {one.service: one for one in (QueueTarget, MachineTarget, StreamTarget)}
"""The kinds of targets, by the service in a target's ARN."""
