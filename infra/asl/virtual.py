"""One execution with a virtual clock: waits take no time, and answers come from the caller."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from infra.asl.effects import (
    CancelTask,
    Ended,
    RunTask,
    SetTimer,
    Signal,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
)
from infra.asl.expressions.values import JSON
from infra.asl.history import HistoryEvent
from infra.asl.interpreter import Machine

MAX_SIGNALS = 100_000
"""Signals after which a run is given up; 25,000 events of a history take fewer."""


@dataclass(frozen=True)
class VirtualRun:
    """A finished run: its end, its history and its virtual seconds."""

    ended: Ended
    history: list[HistoryEvent]
    seconds: float


def run_virtually(
    machine: Machine,
    data: JSON,
    context: JSON,
    answer: Callable[[RunTask], TaskSucceeded | TaskFailed | None],
    start: float,
) -> VirtualRun:
    """Run a state machine to its end.

    Parameters
    ----------
    answer
        Returns a task's answer, or None for a task that never answers.
    start
        The virtual time of the start, in epoch seconds.

    Raises
    ------
    RuntimeError
        A task without a timeout never answers.
    """
    execution, effects = machine.start(data, context, start)
    now, order, cancelled = start, count(), set[int]()
    due: list[tuple[float, int, Signal]] = []
    for _ in range(MAX_SIGNALS):
        for effect in effects:
            if isinstance(effect, RunTask):
                answered = answer(effect)
                if answered is not None:
                    heapq.heappush(due, (now, next(order), answered))
                elif effect.timeout is not None:
                    fired = TimerFired(effect.token)
                    heapq.heappush(due, (now + effect.timeout, next(order), fired))
            elif isinstance(effect, SetTimer):
                heapq.heappush(due, (effect.due, next(order), TimerFired(effect.token)))
            elif isinstance(effect, CancelTask):
                cancelled.add(effect.token)
            else:
                return VirtualRun(effect, execution.drain_history(), now - start)
        if not due:
            break
        moment, _, signal = heapq.heappop(due)
        now = max(now, moment)
        effects = [] if signal.token in cancelled else machine.advance(execution, signal, now)
    raise RuntimeError("a task without TimeoutSeconds never answers")
