"""The simulation's workers: they run handlers in slices, in an order that the seed determines."""

import re
from collections import Counter
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from infra.local.workers.account import THROTTLED, Account
from infra.local.workers.invocations import Invocation, Result, WorkerState, crashed, timed_out
from tests.simulation.dice import Dice
from tests.simulation.faults import Faults, Kind
from tests.simulation.fibres import Fibre
from tests.simulation.poison import MEASURED, NONSENSE
from tests.simulation.stage import Stage

LATENCY = 0.2
"""Maximum seconds until a call starts, so that calls overtake each other."""

PARTNERS = {"ProcessPayment", "RefundPayment", "CreateShipment", "VoidShipment"}
"""Functions that call a partner."""

PAUSES = (0.0, 0.05, 0.3, 2.0, 6.0)
LATENESS = (0.5, 20.0, 200.0, 400.0, 900.0)
STOPS = (1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7)
"""Number of the moment, before or after a commit, at which a handler is killed or late."""

_ORDER = re.compile(rb"order_id\W+([A-Z]-\d+)")


class Killed(BaseException):
    """The end of a handler's process."""


class Crash(BaseException):
    """The crash of the simulated host."""


@dataclass(slots=True, eq=False)
class Task:
    """One run of a handler; ``number`` is the invocation that waits for its answer, or None."""

    site: str
    invocation: Invocation
    number: int | None
    fault: Kind | None
    stop: int
    points: int = 0
    fibre: Fibre | None = None
    ready_at: float = 0.0
    result: Result | None = None


class Workers:
    """An `infra.local.workers.invocations.Invoker` with slow, lost and repeated calls.

    With an ``account`` calls have its limits too, and take its time.
    """

    def __init__(
        self,
        stage: Stage,
        dice: Dice,
        faults: Faults,
        before: "Workers | None" = None,
        account: Account | None = None,
    ) -> None:
        self.account = account
        self.offset = 0.0
        self.stage = stage
        self.dice = dice
        self.faults = faults
        self.counts: Counter[str] = before.counts if before else Counter()
        self.current: Task | None = None
        self._tasks: list[tuple[float, int, Task]] = []
        self._reports: list[tuple[float, int, Task, Result]] = []
        self._sequence = 0

    def submit(self, invocation: Invocation) -> None:
        """Accept an invocation."""
        name = invocation.function.name.removesuffix("Function")
        match = _ORDER.search(invocation.payload)
        head = f"{name}/{match[1].decode() if match else '-'}"
        self.counts[head] += 1
        site = f"{head}/{self.counts[head]}"
        partner = name in PARTNERS
        fault = self.faults.at("call of a partner" if partner else "call", site)
        now, number = self.stage.hooks.now(), invocation.id
        begins = now + self.dice.roll(site, "latency") * LATENCY
        task = Task(site, invocation, number, fault, self.dice.pick(STOPS, site, "stop"))
        if fault is Kind.THROTTLED:
            self._report(begins, task, _failed(number, THROTTLED))
            return
        if self.account is not None:
            call = self.account.begin(invocation.function, now, self.dice.roll(site, "times out"))
            if call is None:
                self._report(begins, task, _failed(number, THROTTLED))
                return
            begins = call.ends_at
            if call.times_out:
                self._report(begins, task, _error(number, timed_out(invocation.function)))
                if self.dice.happens(0.5, site, "does nothing"):
                    return
        if fault is Kind.LATE and self.dice.happens(0.3, site, "late from the start"):
            begins += invocation.function.timeout + self.dice.pick(LATENESS, site, "lateness")
        if fault in {Kind.LATE, Kind.HELD}:
            error = timed_out(invocation.function)
            self._report(now + invocation.function.timeout, task, _error(number, error))
            task.fibre = Fibre(lambda: self._call(task))
        self._push(task, begins)
        if fault is Kind.TWICE:
            twin = Task(f"{site}/twin", invocation, None, Kind.HELD, 0)
            twin.fibre = Fibre(lambda: self._call(twin))
            self._push(twin, begins + self.dice.roll(site, "twin"))

    def poll(self, timeout: float) -> list[Result]:
        """Run the next due slice, and return the due results."""
        now = self.stage.hooks.now()
        results = []
        while self._reports and self._reports[0][0] <= now:
            _, _, task, result = heappop(self._reports)
            if task.number is not None:
                task.number = None  # its own later answer is ignored
                results.append(result)
        if self._tasks and self._tasks[0][0] <= now:
            task = heappop(self._tasks)[2]
            if self._run(task) and task.number is not None and task.result is not None:
                task.number = None
                results.append(task.result)
        return results

    def next_ready(self) -> float:
        """Return the time of the next slice or result."""
        while self._reports and self._reports[0][2].number is None:
            heappop(self._reports)
        moments = [heap[0][0] for heap in (self._tasks, self._reports) if heap]
        return min(moments, default=float("inf"))

    def elapsed(self, number: int) -> float:
        """Return infinity: the timeout of a call counts from its submission."""
        return float("inf")

    def wake(self) -> None:
        """Do nothing: `poll` never waits."""

    def processes(self) -> list[int]:
        """Return none: handlers run here."""
        return []

    def state(self) -> WorkerState:
        return WorkerState(0, 0, 0)

    def hold(self) -> None:
        """Pause or end the running handler here, if its fault says so."""
        task = self.current
        assert task is not None
        task.points += 1
        due = task.points == task.stop
        if task.fault is Kind.KILLED and due and not self.faults.calm:
            raise Killed
        if task.fault is Kind.CRASH and due and not self.faults.calm:
            raise Crash
        if task.fibre is None:
            return
        site = (task.site, task.points)
        if task.fault is Kind.LATE and due:
            timeout = task.invocation.function.timeout
            self._pause(task, timeout + self.dice.pick(LATENESS, *site, "lateness"))
        elif task.fault is Kind.HELD and self.dice.happens(0.6, *site, "held"):
            self._pause(task, self.dice.pick(PAUSES, *site, "pause"))

    def orphans(self) -> list[Task]:
        """Return paused handlers that survive the crash of the host, and end the others."""
        paused = [task for _, _, task in sorted(self._tasks) if task.fibre and task.points]
        survivors = [task for task in paused if self.dice.happens(0.5, task.site, "orphan")]
        self.close(set(survivors))
        return survivors

    def adopt(self, orphans: list[Task]) -> None:
        """Continue the handlers of a crashed host; their answers are ignored."""
        for task in orphans:
            task.number = None
            if task.fibre is not None:
                self._push(task, task.ready_at)

    def hang_up(self) -> None:
        """End every paused handler: no connection to a partner stays open for a day."""
        paused = [entry for entry in self._tasks if entry[2].fibre is not None and entry[2].points]
        self._tasks = [entry for entry in self._tasks if entry not in paused]
        heapify(self._tasks)
        for _, _, task in paused:
            assert task.fibre is not None
            task.fibre.kill(Killed())

    def close(self, survivors: set[Task] = frozenset()) -> None:  # type: ignore[assignment]
        """End every paused handler, except the survivors."""
        for _, _, task in self._tasks:
            if task.fibre is not None and task not in survivors:
                task.fibre.kill(Killed())
        self._tasks.clear()

    def _push(self, task: Task, at: float) -> None:
        task.ready_at = at
        self._sequence += 1
        heappush(self._tasks, (at, self._sequence, task))

    def _report(self, at: float, task: Task, result: Result) -> None:
        self._sequence += 1
        heappush(self._reports, (at, self._sequence, task, result))

    def _pause(self, task: Task, seconds: float) -> None:
        """Pause the handler for some seconds while others run."""
        assert task.fibre is not None
        task.ready_at = self.stage.hooks.now() + seconds
        task.fibre.pause()

    def _run(self, task: Task) -> bool:
        """Run a handler up to its next pause; return whether it has ended."""
        self.current = task
        self.stage.enter(task.invocation.function.name)
        try:
            if task.fibre is None:
                self._call(task)
            elif not task.fibre.resume():
                self._push(task, task.ready_at)
                return False
        finally:
            self.current = None
        return True

    def _call(self, task: Task) -> None:
        """Run a handler, and record its result."""
        number = task.invocation.id
        try:
            payload, error = self.stage.call(task.invocation)
            if task.fault in {Kind.KILLED, Kind.CRASH} and not self.faults.calm:
                raise Killed if task.fault is Kind.KILLED else Crash
        except Killed:
            task.result = _error(number, crashed(task.invocation.function, 137))
            return
        task.result = Result(number, payload, error, [], 0.0)
        if task.fault is Kind.GARBLED and error is None:
            nonsense = self.dice.pick(NONSENSE, task.site, "nonsense")
            task.result = Result(number, nonsense, None, list(MEASURED), 0.0)
        if task.fault is Kind.LOST:
            lost = ("Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError")
            task.result = _failed(number, self.dice.pick(lost, task.site, "lost"))


def _failed(number: int, name: str) -> Result:
    return _error(number, {"errorType": name, "errorMessage": f"{name} was injected"})


def _error(number: int, error: dict[str, Any]) -> Result:
    return Result(number, None, error, [], 0.0)
