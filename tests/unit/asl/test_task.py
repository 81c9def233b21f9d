"""Task: calls, retries, catchers and timeouts."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from infra.asl import (
    CancelTask,
    Ended,
    Execution,
    Machine,
    RunTask,
    SetTimer,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
    compile_definition,
)
from tests.unit.asl.virtual_host import EPOCH, NEVER, Answer, VirtualHost

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:pay"
TASK: dict[str, Any] = {"Type": "Task", "Resource": FUNCTION, "Next": "Done"}
CAUGHT = {"ErrorEquals": ["States.ALL"], "Next": "Caught"}


def host_of(
    perform: Callable[[RunTask], Answer] = lambda task: NEVER,
    random: Callable[[], float] = lambda: 0.5,
    **fields: Any,
) -> VirtualHost:
    states: dict[str, Any] = {"T": {**TASK, **fields}, "Done": {"Type": "Succeed"}}
    if "Catch" in fields:
        states["Caught"] = {"Type": "Pass", "End": True}
    definition = {"StartAt": "T", "States": states}
    return VirtualHost(compile_definition(definition, name="task", random=random), perform)


def failing(times: int, error: str = "Boom") -> Callable[[RunTask], Answer]:
    def perform(task: RunTask) -> Answer:
        if task.attempt < times:
            return TaskFailed(task.token, error, f"attempt {task.attempt}")
        return TaskSucceeded(task.token, "ok")

    return perform


def test_a_task_gets_its_parameters_and_its_result_is_selected_and_put() -> None:
    host = host_of(
        lambda task: TaskSucceeded(task.token, {"charge": 7, "rest": 1}),
        InputPath="$.order",
        Parameters={"id.$": "$.id", "attempt.$": "$$.State.RetryCount"},
        ResultSelector={"paid.$": "$.charge"},
        ResultPath="$.payment",
        Assign={"rest.$": "$.rest"},
        TimeoutSeconds=30,
    )
    ended = host.run({"order": {"id": "o-1"}})
    context = {"Execution": {"Input": {"order": {"id": "o-1"}}}, "StateMachine": {}}
    assert host.tasks == [RunTask(1, FUNCTION, {"id": "o-1", "attempt": 0}, 30, "T", 0, context)]
    assert ended.output == {"order": {"id": "o-1"}, "payment": {"paid": 7}}
    exited = next(event for event in host.history if event.type == "TaskStateExited")
    assert exited.details["assignedVariables"] == {"rest": 1}


@pytest.mark.parametrize(
    ("retrier", "failures", "waits"),
    [
        ({}, 3, [1, 2, 4]),
        ({"IntervalSeconds": 2, "BackoffRate": 3}, 3, [2, 6, 18]),
        ({"IntervalSeconds": 10, "MaxDelaySeconds": 15}, 3, [10, 15, 15]),
        ({"BackoffRate": 1.5, "MaxAttempts": 2}, 2, [1, 1.5]),
        ({"IntervalSeconds": 4, "JitterStrategy": "FULL"}, 2, [2, 4]),
    ],
)
def test_a_retry_waits_for_its_backoff(
    retrier: dict[str, Any], failures: int, waits: list[float]
) -> None:
    host = host_of(failing(failures), Retry=[{"ErrorEquals": ["Boom"], **retrier}])
    assert host.run().status == "SUCCEEDED"
    due = [0.0, *(due for due, _ in host.timers)]
    assert [after - before for before, after in pairwise(due)] == waits
    assert [task.attempt for task in host.tasks] == list(range(failures + 1))


@pytest.mark.parametrize("attempts", [0, 1, 3])
def test_after_its_last_attempt_a_task_fails_with_its_last_error(attempts: int) -> None:
    host = host_of(failing(9), Retry=[{"ErrorEquals": ["Boom"], "MaxAttempts": attempts}])
    assert host.run() == Ended("FAILED", None, "Boom", f"attempt {attempts}")
    assert len(host.tasks) == attempts + 1


def test_each_retrier_counts_its_own_attempts_and_the_first_match_decides() -> None:
    errors = iter(["A", "B", "A", "B"])
    host = host_of(
        lambda task: TaskFailed(task.token, next(errors)),
        Retry=[
            {"ErrorEquals": ["A"], "MaxAttempts": 2},
            {"ErrorEquals": ["B"], "MaxAttempts": 1},
            {"ErrorEquals": ["States.ALL"], "MaxAttempts": 9},
        ],
    )
    assert host.run().error == "B"
    assert len(host.tasks) == 4


@pytest.mark.parametrize(
    ("names", "error", "matches"),
    [
        (["Boom"], "Boom", True),
        (["Other", "Boom"], "Boom", True),
        (["Other"], "Boom", False),
        (["States.ALL"], "Boom", True),
        (["States.ALL"], "States.Timeout", True),
        (["States.TaskFailed"], "Boom", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.Timeout"], "States.Timeout", True),
    ],
)
def test_which_errors_a_catcher_matches(names: list[str], error: str, *, matches: bool) -> None:
    catcher = {"ErrorEquals": names, "Next": "Caught"}
    host = host_of(lambda task: TaskFailed(task.token, error, "why"), Catch=[catcher])
    ended = host.run()
    if matches:
        assert ended.output == {"Error": error, "Cause": "why"}
    else:
        assert (ended.status, ended.error, ended.cause) == ("FAILED", error, "why")


@pytest.mark.parametrize(
    ("catcher", "output"),
    [
        ({}, {"Error": "Boom", "Cause": ""}),
        ({"ResultPath": "$.error"}, {"in": 1, "error": {"Error": "Boom", "Cause": ""}}),
        ({"ResultPath": None}, {"in": 1}),
    ],
)
def test_a_catcher_puts_the_error_at_its_result_path(catcher: dict[str, Any], output: Any) -> None:
    fields: dict[str, Any] = {"OutputPath": "$.nowhere", "Catch": [{**CAUGHT, **catcher}]}
    assert (
        host_of(lambda task: TaskFailed(task.token, "Boom"), **fields).run({"in": 1}).output
        == output
    )


def test_a_catcher_assigns_from_the_error() -> None:
    host = host_of(failing(1), Catch=[{**CAUGHT, "Assign": {"problem.$": "$.Error"}}])
    host.run()
    exited = next(event for event in host.history if event.type == "TaskStateExited")
    assert exited.details["assignedVariables"] == {"problem": "Boom"}


def test_retries_come_before_catchers() -> None:
    host = host_of(failing(9), Retry=[{"ErrorEquals": ["Boom"], "MaxAttempts": 1}], Catch=[CAUGHT])
    assert host.run().output == {"Error": "Boom", "Cause": "attempt 1"}
    assert host.states_entered == ["T", "Caught"]


@pytest.mark.parametrize(
    "fields",
    [{"Parameters": {"x.$": "$.no"}}, {"OutputPath": "$.no"}, {"TimeoutSecondsPath": "$.no"}],
)
def test_no_catcher_matches_a_runtime_error_of_the_definition(fields: dict[str, Any]) -> None:
    host = host_of(failing(0), Catch=[CAUGHT], **fields)
    assert host.run({}).error == "States.Runtime"
    assert host.states_entered == ["T"]


def test_a_result_whose_path_does_not_fit_can_be_caught() -> None:
    ended = host_of(failing(0), ResultPath="$.a", Catch=[CAUGHT]).run("text")
    assert ended.output["Error"] == "States.ResultPathMatchFailure"


@pytest.mark.parametrize("fields", [{"TimeoutSeconds": 5}, {"TimeoutSecondsPath": "$.limit"}])
def test_a_task_that_does_not_answer_times_out(fields: dict[str, Any]) -> None:
    host = host_of(**fields)
    assert host.run({"limit": 5}) == Ended("FAILED", None, "States.Timeout", None)
    assert (host.now - EPOCH, host.cancelled) == (5, [1])
    assert [event.type for event in host.history][-2:] == [
        "LambdaFunctionTimedOut",
        "ExecutionFailed",
    ]


@pytest.mark.parametrize("size", [None, 300_000])
def test_a_result_over_256_kib_is_an_error(size: int | None) -> None:
    output = "\u00fc" * 131_072 if size is None else "little, says the host's count"
    host = host_of(lambda task: TaskSucceeded(task.token, output, size), Catch=[CAUGHT])
    assert host.run().output == {
        "Error": "States.DataLimitExceeded",
        "Cause": f"The state/task '{FUNCTION}' returned a result with a size exceeding the maximum "
        "number of bytes service limit.",
    }


def test_late_and_unknown_signals_are_ignored() -> None:
    machine = host_of(Retry=[{"ErrorEquals": ["Boom"]}]).machine
    execution, effects = machine.start({}, {}, EPOCH)
    assert isinstance(effects[0], RunTask)
    assert machine.advance(execution, TaskFailed(1, "Boom"), EPOCH) == [SetTimer(2, EPOCH + 1)]
    before = execution.snapshot()
    for late in (
        TaskSucceeded(1, "x"),
        TaskSucceeded(2, "x"),
        TaskFailed(2, "x"),
        TimerFired(9),
        TimerFired(0),
    ):
        assert machine.advance(execution, late, EPOCH) == []
    assert execution.snapshot() == before


def test_pending_effects_are_requested_again_after_a_restart() -> None:
    machine = machine_with_timeout(
        Retry=[{"ErrorEquals": ["Boom"]}], TimeoutSeconds=9, Parameters={"id.$": "States.UUID()"}
    )
    execution, effects = machine.start({}, {}, EPOCH)
    restored = Execution.restore(execution.snapshot(), machine)
    assert machine.resume(restored, EPOCH + 5) == effects
    waiting = machine.advance(restored, TaskFailed(1, "Boom"), EPOCH + 5)
    assert machine.resume(restored, EPOCH + 6) == [SetTimer(0, EPOCH + 60), *waiting]


def test_the_end_cancels_pending_tasks_and_timers() -> None:
    machine = machine_with_timeout()
    execution, _ = machine.start({}, {}, EPOCH)
    assert machine.advance(execution, TimerFired(0), EPOCH + 60) == [
        CancelTask(1),
        Ended("TIMED_OUT", None, None, None),
    ]


def machine_with_timeout(**fields: Any) -> Machine:
    states = {"T": {**TASK, **fields}, "Done": {"Type": "Succeed"}}
    definition = {"StartAt": "T", "States": states, "TimeoutSeconds": 60}
    return compile_definition(definition, name="with-timeout")
