"""An account's share of Lambda: few executions at once, cold starts, and calls that time out.

A call takes virtual time. One that finds no free execution is throttled; one that finds no warm
environment of its function starts cold; some never answer.
"""

from collections import Counter
from heapq import heappop, heappush
from random import Random
from typing import Any

from infra.local.settle import LEASE, in_flight
from infra.local.workers.invocations import Invocation, Result, timed_out
from tests.host import Host

THROTTLED = {"errorType": "Lambda.TooManyRequestsException", "errorMessage": "Rate Exceeded."}
KEEPS_WARM = 300.0
"""Seconds for which an environment is kept."""

WARM = 0.2
"""Seconds of a call that finds one."""

PATIENCE = 100
"""Times that the reconciler is asked before the orders that are left count as lost."""


class Account:
    """Between a platform's engine and its functions.

    Parameters
    ----------
    machine : Host
        The platform, whose clock skips.
    executions : int
        How many calls may run at once.
    cold_start : float
        Seconds of an init phase.
    timeouts : float
        The share of calls that do not answer.
    """

    def __init__(
        self, machine: Host, *, executions: int, cold_start: float, timeouts: float, seed: int = 1
    ) -> None:
        self.engine = machine.engine
        self.database = machine.database
        self.executions = executions
        self.cold_start = cold_start
        self.timeouts = timeouts
        self.counts: Counter[str] = Counter()
        self._random = Random(seed)
        self._warm: dict[str, list[float]] = {}
        self._running: list[tuple[float, int, Invocation, bool]] = []
        self._answers: list[Result] = []
        invoker: Any = self.engine.invoker
        self._submit, self._poll = invoker.submit, invoker.poll
        invoker.submit, invoker.poll = self._begin, self._results

    def settle(self) -> None:
        """Let time go on until no order is left, asking the reconciler for those that rest."""
        for _ in range(PATIENCE):
            self._work_off()
            if not in_flight(self.database):
                return
            self.engine.skip_to(self.engine.clock.now() + LEASE)
            self.engine.run_schedule("ReconcileFunction")

    def _work_off(self) -> None:
        while self.step():
            pass

    def step(self) -> bool:
        """Take a turn, or skip to what is due next; return whether there is anything."""
        if self.engine.turn(0.0):
            return True
        ends = self._running[0][0] if self._running else float("inf")
        due = min(self.engine.next_due(schedules=False, sink=False), ends)
        if due == float("inf"):
            return False
        self.engine.skip_to(max(due, self.engine.clock.now()) + 0.001)
        return True

    def _begin(self, invocation: Invocation) -> None:
        if len(self._running) >= self.executions:
            self.counts["throttled"] += 1
            self._answers.append(Result(invocation.id, None, THROTTLED, [], 0.0))
            return
        now, function = self.engine.clock.now(), invocation.function
        warm = [one for one in self._warm.get(function.name, []) if one > now - KEEPS_WARM]
        seconds = WARM
        if warm:
            warm.pop()
        else:
            self.counts["cold"] += 1
            seconds += self.cold_start
        self._warm[function.name] = warm
        late = self._random.random() < self.timeouts
        if late:
            self.counts["timed out"] += 1
            seconds = function.timeout
        heappush(self._running, (now + seconds, invocation.id, invocation, late))

    def _results(self, timeout: float) -> list[Result]:
        now = self.engine.clock.now()
        while self._running and self._running[0][0] <= now:
            _, _, invocation, late = heappop(self._running)
            if late:
                error = timed_out(invocation.function)
                self._answers.append(Result(invocation.id, None, error, [], 0.0))
            else:
                self.counts["done"] += 1
                self._warm.setdefault(invocation.function.name, []).append(now)
                self._submit(invocation)
        answers, self._answers = self._answers, []
        return answers or list(self._poll(timeout))
