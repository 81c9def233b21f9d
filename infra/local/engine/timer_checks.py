"""The times at which the engine checks the timers of executions.

A task has a timer for its timeout, and is answered long before it. So an execution has one check,
at its first timer or before it; the next check is set when this one is due.
"""

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

from infra.local.engine.backlog import NEVER
from infra.local.engine.loaded_execution import LoadedExecution


class TimerChecks:
    """The checks of the executions in memory, which ``live`` has by their numbers."""

    def __init__(self, live: Mapping[int, LoadedExecution]) -> None:
        self._live = live
        self._heap: list[tuple[float, int]] = []

    def set(self, live: LoadedExecution, due: float) -> None:
        """Set an execution's check, unless it has an earlier one."""
        if due < live.timer_check:
            live.timer_check = due
            heappush(self._heap, (due, live.id))

    def set_next(self, live: LoadedExecution) -> None:
        """Set the check of an execution to its first timer, if it is still in memory."""
        if live.timers and live.id in self._live:
            self.set(live, min(live.timers.values()))

    def due(self, now: float) -> Iterator[LoadedExecution]:
        """Take the due checks; yield their executions, whose timers may be due."""
        while self._heap and self._heap[0][0] <= now:
            at, number = heappop(self._heap)
            live = self._live.get(number)
            if live is not None and live.timer_check == at:
                live.timer_check = NEVER
                yield live

    def next(self) -> float:
        """Return when the first timer is due; remove the checks before it."""
        while self._heap:
            at, number = self._heap[0]
            live = self._live.get(number)
            if live is None or live.timer_check != at:
                heappop(self._heap)
            elif at in live.timers.values():
                return at
            else:  # its timer has been answered or cancelled
                heappop(self._heap)
                live.timer_check = NEVER
                self.set_next(live)
        return NEVER
