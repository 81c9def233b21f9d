"""A host with a virtual clock, which restarts between any two signals."""

import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from infra.asl import (
    JSON,
    CancelTask,
    Effect,
    Ended,
    Execution,
    HistoryEvent,
    Machine,
    RunTask,
    SetTimer,
    Signal,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
)

Answer = TaskSucceeded | TaskFailed | None
NEVER = None
EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@dataclass
class VirtualHost:
    """A host of one execution; ``perform`` returns a task's answer, or NEVER."""

    machine: Machine
    perform: Callable[[RunTask], Answer] = lambda task: TaskSucceeded(task.token, task.parameters)
    restarts: bool = True
    now: float = EPOCH
    tasks: list[RunTask] = field(default_factory=list)
    timers: list[tuple[float, int]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    history: list[HistoryEvent] = field(default_factory=list)
    ended: Ended | None = None
    _due: list[tuple[float, int, Signal]] = field(default_factory=list)
    _sequence: int = 0

    def run(self, data: JSON = None, context: JSON = None) -> Ended:
        if context is None:
            context = {"Execution": {"Input": data}, "StateMachine": {}}
        execution, effects = self.machine.start(data, context, self.now)
        self._take(effects)
        while self.ended is None:
            assert self._due, "the execution neither ended nor waits for anything"
            due, _, signal = heapq.heappop(self._due)
            if signal.token in self.cancelled:
                continue
            self.now = max(self.now, due)
            if self.restarts:
                execution = self._restored(execution)
            self._take(self.machine.advance(execution, signal, self.now))
        assert self.machine.advance(execution, TimerFired(1), self.now) == []
        self.history = execution.drain_history()
        return self.ended

    def _restored(self, execution: Execution) -> Execution:
        """Return the execution restored from the text of its snapshot, as after a crash."""
        text = json.dumps(execution.snapshot())
        restored = Execution.restore(json.loads(text), self.machine)
        assert json.dumps(restored.snapshot()) == text
        return restored

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case RunTask():
                    self._run_task(effect)
                case SetTimer(token, due):
                    self.timers.append((round(due - EPOCH, 3), token))
                    self._schedule(due, TimerFired(token))
                case CancelTask(token):
                    self.cancelled.append(token)
                case Ended():
                    self.ended = effect

    def _run_task(self, task: RunTask) -> None:
        self.tasks.append(task)
        answer = self.perform(task)
        if answer is not NEVER:
            self._schedule(self.now, answer)
        elif task.timeout is not None:
            self._schedule(self.now + task.timeout, TimerFired(task.token))

    def _schedule(self, due: float, signal: Signal) -> None:
        self._sequence += 1
        heapq.heappush(self._due, (due, self._sequence, signal))

    @property
    def states_entered(self) -> list[str]:
        return [
            event.details["name"] for event in self.history if event.type.endswith("StateEntered")
        ]
