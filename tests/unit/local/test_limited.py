"""An invoker with the limits of an account: when it calls handlers, and what it answers."""

import pytest

from infra.local.clock import Clock
from infra.local.template.stack import Function
from infra.local.workers.account import THROTTLED, Limits
from infra.local.workers.invocations import Invocation, Result, WorkerState
from infra.local.workers.limited import NEVER, LimitedInvoker

FUNCTION = Function("One", "arn:one", "one.handler", 10.0, 256, {})


class Frozen(Clock):
    """A clock that a test moves."""

    time = 1000.0

    def now(self) -> float:
        return self.time


class Handlers:
    """An invoker whose handlers answer at the next `poll`."""

    offset = 0.0

    def __init__(self) -> None:
        self.called: list[int] = []
        self.waited: list[float] = []
        self._results: list[Result] = []

    def start(self) -> None:
        """Do nothing."""

    def submit(self, invocation: Invocation) -> None:
        self.called.append(invocation.id)
        self._results.append(Result(invocation.id, "done", None, [], 0.0))

    def poll(self, timeout: float) -> list[Result]:
        self.waited.append(timeout)
        results, self._results = self._results, []
        return results

    def elapsed(self, number: int) -> float:
        raise AssertionError(number)

    def wake(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def processes(self) -> list[int]:
        return [7]

    def state(self) -> WorkerState:
        return WorkerState(0, 0, 0)


@pytest.fixture
def clock() -> Frozen:
    return Frozen()


def limited(clock: Clock, limits: Limits) -> tuple[LimitedInvoker, Handlers]:
    handlers = Handlers()
    return LimitedInvoker(handlers, limits, clock), handlers


def call(number: int) -> Invocation:
    return Invocation(number, FUNCTION, b"{}")


def test_a_handler_runs_at_the_end_of_its_call(clock: Frozen) -> None:
    invoker, handlers = limited(clock, Limits(cold=6.0, warm=1.0))
    invoker.submit(call(1))
    assert (invoker.poll(5.0), handlers.called, invoker.next_end()) == ([], [], 1007.0)
    clock.time = 1003.0
    assert (invoker.poll(5.0), invoker.elapsed(1)) == ([], 3.0)
    clock.time = 1007.0
    assert [result.payload for result in invoker.poll(5.0)] == ["done"]
    assert (invoker.next_end(), invoker.elapsed(1)) == (NEVER, 0.0)
    assert handlers.waited == [0.0, 0.0, 5.0], "it waits for a handler alone"


def test_a_throttled_call_is_answered_at_once_and_runs_nothing(clock: Frozen) -> None:
    invoker, handlers = limited(clock, Limits(concurrency=1))
    invoker.submit(call(1))
    invoker.submit(call(2))
    [result] = invoker.poll(5.0)
    assert result.id == 2
    assert result.error == {"errorType": THROTTLED, "errorMessage": "Rate Exceeded."}
    assert handlers.called == []


def test_half_of_the_calls_that_time_out_have_acted_and_none_answers(clock: Frozen) -> None:
    invoker, handlers = limited(clock, Limits(timeouts=1.0))
    for number in range(200):
        invoker.submit(call(number))
    clock.time += FUNCTION.timeout
    results = invoker.poll(0.0)
    results += invoker.poll(0.0)
    assert sorted(result.id for result in results) == list(range(200))
    assert {result.error and result.error["errorType"] for result in results} == {
        "Sandbox.Timedout"
    }
    assert 70 < len(handlers.called) < 130
    assert invoker.next_end() == NEVER


def test_the_same_seed_has_the_same_calls_time_out(clock: Frozen) -> None:
    def ends(seed: int) -> list[bool]:
        invoker, _ = limited(clock, Limits(timeouts=0.3, seed=seed))
        for number in range(50):
            invoker.submit(call(number))
        clock.time += FUNCTION.timeout
        return [result.error is None for result in sorted(invoker.poll(0.0))]

    assert ends(1) == ends(1) != ends(2)
