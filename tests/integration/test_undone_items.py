"""The error boundary: an item that raises is rolled back, also in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import InvalidRequest
from infra.local.directory.history_pieces import packed
from infra.local.engine.executions import MAX_LOADED
from tests.fakes.runtime import MINUTE, Rig, entry, flow, task

START = "arn:aws:states:::states:startExecution"
SUB_FLOW = "arn:aws:states:us-east-1:000000000000:stateMachine:SubFlow"


WAIT = {"Type": "Wait", "Seconds": 900, "End": True}


class Untold(Exception):
    """An error that cannot be converted to text."""

    def __str__(self) -> str:
        raise ValueError("no words")


ERRORS = [
    RuntimeError("x" * 100_000),
    *(
        MemoryError(),
        RecursionError(),
        KeyError("\ud800"),
        Untold(),
        StopIteration(),
        OSError(5, "?"),
    ),
]
NAMES = [type(error).__name__ for error in ERRORS]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path, handlers={"Step": lambda given: given, "Worker": lambda _: None})
    opened.failures_expected = True
    yield opened
    opened.close()


class Fails:
    """Calls the replaced function, then raises a number of times."""

    def __init__(self, work: Any, error: Exception, times: int = 1) -> None:
        self.work = work
        self.error = error
        self.left = times

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        answer = self.work(*arguments, **named)
        if self.left > 0:
            self.left -= 1
            raise self.error
        return answer


def executions(rig: Rig) -> list[tuple[str, str]]:
    """Return the state machine and status of each execution."""
    rows = rig.rows("select machine, status from executions order by id")
    return [(row["machine"], row["status"]) for row in rows]


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_a_delivery_whose_target_raises_after_its_work_is_delivered_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The error removes the execution and its calls; the retry starts another execution."""
    taker = rig.engine.bus.rule_targets["machine"]
    monkeypatch.setattr(taker, "deliver", Fails(taker.deliver, error))
    rig.put(entry("Flow"))
    rig.settle()
    assert executions(rig) == []
    assert rig.engine.executions.room() == MAX_LOADED
    rig.pass_time(1)
    assert executions(rig) == [("shop-flow", "SUCCEEDED")]
    assert len(rig.functions.of("Step")) == 1
    [failure] = rig.failures()
    assert (failure["kind"], failure["error"]) == ("delivery", type(error).__name__)


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_deliveries_to_a_target_that_always_raises_end_by_its_retry_policy(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    taker = rig.engine.bus.rule_targets["queue"]
    monkeypatch.setattr(taker, "deliver", Fails(taker.deliver, error, times=10_000))
    rig.put(entry("Work"), entry("Flow"))
    for _ in range(5):
        rig.pass_time(MINUTE)
    [letter] = rig.queue("TargetLetters")
    assert (
        f'"ERROR_CODE": "INTERNAL_ERROR", "ERROR_MESSAGE": "{type(error).__name__}: '
        in (letter["attributes"])
    )
    assert executions(rig) == [("shop-flow", "SUCCEEDED")]


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_an_integration_that_raises_fails_its_execution_and_is_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    starts = task(START, Parameters={"StateMachineArn": SUB_FLOW, "Input": {}})
    rig = Rig(tmp_path, flow=flow(Start=starts))
    rig.failures_expected = True
    start = rig.engine.executions.integrations["states:startExecution"]
    monkeypatch.setattr(start, "call", Fails(start.call, error))
    rig.start("parent")
    rig.settle()
    assert executions(rig) == [("shop-flow", "FAILED")]
    row = rig.execution("parent")
    assert (row["error"], type(error).__name__ in row["cause"]) == ("States.Runtime", True)
    assert rig.history("parent")[-1]["type"] == "ExecutionFailed"
    rig.start("another")
    rig.settle()
    assert executions(rig)[1:] == [("shop-flow", "SUCCEEDED"), ("SubFlow", "RUNNING")]
    rig.close()


@pytest.mark.parametrize("times", [1, 2], ids=["once", "whatever is left of it"])
@pytest.mark.parametrize("when", ["as it starts", "later", "as it ends"])
def test_an_unserialisable_execution_is_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, times: int
) -> None:
    states = flow(First=task(Next="Second"), Second=task(Next="Third"), Third=WAIT)
    rig = Rig(tmp_path, flow=states if when != "as it ends" else flow(First=task()))
    rig.failures_expected = True
    if when != "as it starts":
        rig.start("one")
    fails = Fails(packed, TypeError("no text"), times)
    monkeypatch.setattr("infra.local.engine.executions.packed", fails)
    if when == "as it starts":
        rig.start("one")
    else:
        rig.functions.answer(rig.functions.calls[0], {})
    rig.settle()
    row = rig.execution("one")
    assert (row["status"], row["error"]) == ("FAILED", "States.Runtime")
    assert "TypeError: no text" in row["cause"]
    assert rig.engine.executions.room() == MAX_LOADED
    rig.restart()
    rig.settle()
    assert rig.execution("one")["status"] == "FAILED"
    assert rig.history("one")[-1]["type"] == "ExecutionFailed"
    rig.start("two")
    assert rig.execution("two")["status"] == "RUNNING"
    rig.close()


def test_a_request_that_fails_leaves_nothing_in_memory(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay and the execution of the failed request can be started afterwards."""

    def begin(now: float) -> None:
        rig.engine.replays.start("again", 0.0, now, [], now)
        rig.engine.executions.start("shop-flow", "one", {}, now)
        raise RuntimeError("after all that")

    with pytest.raises(RuntimeError):
        rig.ask(begin)
    assert executions(rig) == []
    assert rig.rows("select * from replays") == []
    rig.ask(lambda now: rig.engine.replays.start("again", 0.0, now, [], now))
    with pytest.raises(InvalidRequest):
        rig.ask(lambda now: rig.engine.replays.start("again", 0.0, now, [], now))
    rig.start("one")
    rig.settle()
    assert executions(rig) == [("shop-flow", "SUCCEEDED")]


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_a_schedule_that_raises_runs_at_the_next_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    schedules = rig.engine.schedules
    monkeypatch.setattr(schedules, "_invoke", Fails(schedules._invoke, error))  # noqa: SLF001
    rig.pass_time(5 * MINUTE)
    assert rig.functions.of("Tick") == []
    rig.pass_time(5 * MINUTE)
    assert len(rig.functions.of("Tick")) == 1


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
def test_a_receive_counts_though_the_call_of_the_consumer_raises(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    queues = rig.engine.queues
    monkeypatch.setattr(queues, "invoke", Fails(queues.invoke, error, times=10_000))
    rig.send("poison")
    for _ in range(4):
        rig.pass_time(MINUTE)
    [letter] = rig.queue("WorkLetters")
    assert type(error).__name__ in letter["attributes"]
    monkeypatch.undo()
    rig.send("good")
    rig.settle()
    assert rig.queue("Work") == []
