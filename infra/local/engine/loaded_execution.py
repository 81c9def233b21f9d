"""An execution in memory."""

from typing import Any

from infra.asl import Execution, Machine
from infra.local.directory.crash_marker import ItemIds, Kind
from infra.local.engine.backlog import NEVER


class LoadedExecution:
    """An execution in memory, with its open tasks and timers."""

    __slots__ = (
        *("execution", "id", "item", "machine", "name", "row", "tasks", "timer_check", "timers"),
        "wake_at",
    )

    def __init__(self, number: int, name: str, machine: Machine, execution: Execution) -> None:
        self.id = number
        self.item: ItemIds = (Kind.EXECUTION, number, number)  # for the crash marker
        self.name = name  # of the state machine
        self.machine = machine
        self.execution = execution
        self.row: tuple[Any, ...] | None = None  # to insert at the next flush
        self.wake_at: float | None = None  # of its row
        self.tasks: dict[int, float | None] = {}
        self.timers: dict[int, float] = {}
        self.timer_check = NEVER  # when the engine checks the timers: at the first, or before it
