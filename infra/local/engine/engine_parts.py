"""The parts of one engine together, for the outbox and the operations on dead letters."""

from typing import NamedTuple

from infra.local.engine.bus import Bus
from infra.local.engine.executions import Executions
from infra.local.engine.queues import Queues
from infra.local.template.stack import Stack


class EngineParts(NamedTuple):
    """The stack, the queues, the bus and the executions of an engine."""

    stack: Stack
    queues: Queues
    bus: Bus
    executions: Executions
