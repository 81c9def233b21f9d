"""An invoker with the limits of a Lambda account: its calls take time of the platform's clock."""

from collections import Counter
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple, Protocol

from infra.local.clock import Clock
from infra.local.workers.account import THROTTLED, Account, Limits
from infra.local.workers.invocations import Invocation, Invoker, Result, WorkerState, timed_out

NEVER = float("inf")

ACTS = 0.5
"""Share of the calls that time out whose handler has done its work."""


class StartedInvoker(Invoker, Protocol):
    """An invoker that is started before its first `poll`."""

    def start(self) -> None:
        """Prepare the handlers."""


class _Running(NamedTuple):
    ends_at: float
    number: int
    invocation: Invocation
    times_out: bool
    acts: bool


class LimitedInvoker:
    """An `infra.local.workers.invocations.Invoker` in front of the one that runs handlers.

    A handler runs at the end of its call's time. Of the calls that time out, half have done their
    work and half have done nothing; neither answers.

    Parameters
    ----------
    inner : StartedInvoker
        Runs the handlers.
    limits : Limits
        The account's.
    clock : Clock
        The platform's.
    """

    def __init__(self, inner: StartedInvoker, limits: Limits, clock: Clock) -> None:
        self.inner = inner
        self.account = Account(limits)
        self.clock = clock
        self._chance = Random(limits.seed)  # noqa: S311 - faults, not secrets
        self._running: list[_Running] = []
        self._began: dict[int, float] = {}
        self._executing: set[int] = set()
        self._errors: dict[int, Result] = {}
        self._answers: list[Result] = []

    @property
    def offset(self) -> float:
        """Seconds that the platform's clock is ahead of real time."""
        return self.inner.offset

    @offset.setter
    def offset(self, seconds: float) -> None:
        self.inner.offset = seconds

    @property
    def counts(self) -> Counter[str]:
        """The number of calls by what became of them."""
        return self.account.counts

    @property
    def limits(self) -> Limits:
        """The account's limits."""
        return self.account.limits

    def start(self) -> None:
        """Prepare the handlers."""
        self.inner.start()

    def submit(self, invocation: Invocation) -> None:
        """Begin a call, or throttle it."""
        now, number = self.clock.now(), invocation.id
        roll, acts = self._chance.random(), self._chance.random() < ACTS
        call = self.account.begin(invocation.function, now, roll)
        if call is None:
            error = {"errorType": THROTTLED, "errorMessage": "Rate Exceeded."}
            self._answers.append(Result(number, None, error, [], 0.0))
            return
        self._began[number] = now
        running = _Running(
            call.ends_at, number, invocation, call.times_out, acts or not call.times_out
        )
        heappush(self._running, running)

    def poll(self, timeout: float) -> list[Result]:
        """Return the results that have arrived.

        It waits up to ``timeout`` seconds only while a handler runs, or if no call is open.
        """
        self._end_calls(self.clock.now())
        answers, self._answers = self._answers, []
        waits = not answers and (self._executing or not self._running)
        answers += map(self._answer, self.inner.poll(timeout if waits else 0.0))
        for answer in answers:
            self._began.pop(answer.id, None)
        return answers

    def next_end(self) -> float:
        """Return when the next call ends, in epoch seconds.

        It is infinite while a handler runs, whose result belongs to the present.
        """
        return self._running[0].ends_at if self._running and not self._executing else NEVER

    def elapsed(self, number: int) -> float:
        """Return the seconds of a call so far, its init phase included."""
        began = self._began.get(number)
        return 0.0 if began is None else self.clock.now() - began

    def wake(self) -> None:
        """End a waiting `poll`; callable from another thread."""
        self.inner.wake()

    def close(self) -> None:
        """Stop after the running handlers have ended."""
        self.inner.close()

    def processes(self) -> list[int]:
        """Return the ids of all processes that run handlers."""
        return self.inner.processes()

    def state(self) -> WorkerState:
        """Return the numbers of workers."""
        return self.inner.state()

    def _end_calls(self, now: float) -> None:
        """Run the handlers of the calls that end; report those that timed out."""
        while self._running and self._running[0].ends_at <= now:
            call = heappop(self._running)
            number, error = call.number, timed_out(call.invocation.function)
            failure = Result(number, None, error, [], 0.0)
            if call.acts:
                self._executing.add(number)
                if call.times_out:
                    self._errors[number] = failure
                self.inner.submit(call.invocation)
            else:
                self._answers.append(failure)

    def _answer(self, result: Result) -> Result:
        """Return a handler's result, or the error of its call."""
        self._executing.discard(result.id)
        return self._errors.pop(result.id, result)
