"""The interface of the engine's parts for rule targets and task integrations.

Targets and integrations are below the bus and the executions in the engine's layers. So they know
these parts by what they call, and import none of them.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from infra.local.template.stack import Stack
from infra.local.workers.invocations import Invoke


class MessageService(Protocol):
    """The queues (`infra.local.engine.queues.Queues`)."""

    def send(
        self, queue: str, body: str, attributes: Mapping[str, str], now: float, delay: int = 0
    ) -> dict[str, Any]:
        """Send a message, visible after ``delay`` seconds; return the response of SendMessage."""


class EventService(Protocol):
    """The bus (`infra.local.engine.bus.Bus`)."""

    def put(self, entries: object, now: float) -> dict[str, Any]:
        """Answer a PutEvents request."""


class ExecutionService(Protocol):
    """The executions (`infra.local.engine.executions.Executions`)."""

    @property
    def invoke(self) -> Invoke:
        """Call a function once the turn is committed."""

    def room(self) -> int:
        """Return how many more executions fit into memory."""

    def new_name(self) -> str:
        """Return a name for an execution whose caller gave none."""

    def start(
        self, machine: str, name: str, body: Any, now: float, *, text: str | None = None
    ) -> str:
        """Start an execution; return its ARN."""


class EngineServices(Protocol):
    """The parts of an engine that targets and integrations use."""

    @property
    def stack(self) -> Stack:
        """The stack of the template."""

    @property
    def queues(self) -> MessageService:
        """The queues."""

    @property
    def bus(self) -> EventService:
        """The bus."""

    @property
    def executions(self) -> ExecutionService:
        """The executions."""
