"""Parallel and Map: children, their scopes, and the effect of a failure on siblings."""

from typing import Any

import pytest

from infra.asl import JSON, RunTask, TaskFailed, TaskSucceeded, compile_definition
from tests.unit.asl.virtual_host import EPOCH, NEVER, Answer, VirtualHost

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"
DONE = {"Done": {"Type": "Succeed"}, "Caught": {"Type": "Pass", "End": True}}
CATCH = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]


def host_of(state: dict[str, Any], answers: dict[str, JSON] | None = None) -> VirtualHost:
    """Return a host whose functions answer by name: a value, an error, or NEVER."""

    def perform(task: RunTask) -> Answer:
        answer = (answers or {}).get(task.state, task.parameters)
        if isinstance(answer, Exception):
            return TaskFailed(task.token, type(answer).__name__, str(answer))
        return answer if answer is NEVER else TaskSucceeded(task.token, answer)

    states = {"F": {"Next": "Done", "Catch": CATCH, **state}, **DONE}
    return VirtualHost(compile_definition({"StartAt": "F", "States": states}, name="fork"), perform)


def task(name: str) -> dict[str, Any]:
    return {"Type": "Task", "Resource": FUNCTION + name, "End": True}


def branch(name: str, state: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: state or task(name)}}


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Parallel", "Branches": list(branches), **fields}


def each(state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": branch("Item", state), **fields}


def test_branches_get_the_same_input_and_outputs_are_in_branch_order() -> None:
    host = host_of(
        parallel(branch("A"), branch("B"), branch("C"), Parameters={"id.$": "States.UUID()"})
    )
    first, second, third = host.run({}).output
    assert first == second == third
    assert len(host.tasks) == 3


def test_a_failure_aborts_the_siblings() -> None:
    state = parallel(
        branch("Slow"), branch("Wait", {"Type": "Wait", "Seconds": 99, "End": True}), branch("Bad")
    )
    host = host_of(state, {"Slow": NEVER, "Bad": ValueError("no")})
    assert host.run({}).output == {"Error": "ValueError", "Cause": "no"}
    assert (host.cancelled, host.now) == ([1, 2], EPOCH)
    types = [event.type for event in host.history]
    assert types[-8:-4] == [
        "TaskStateAborted",
        "TaskStateAborted",
        "WaitStateAborted",
        "ParallelStateFailed",
    ]


def test_a_branch_that_catches_its_failure_does_not_affect_siblings() -> None:
    own = {**task("Bad"), "Catch": [{"ErrorEquals": ["ValueError"], "Next": "Instead"}]}
    safe = {
        "StartAt": "Bad",
        "States": {"Bad": own, "Instead": {"Type": "Pass", "Result": "kept", "End": True}},
    }
    host = host_of(parallel(safe, branch("Good")), {"Bad": ValueError(), "Good": "fine"})
    assert host.run({}).output == ["kept", "fine"]


def test_a_runtime_error_in_a_branch_ends_the_execution() -> None:
    host = host_of(
        parallel(branch("Bad", {"Type": "Pass", "InputPath": "$.no", "End": True}), branch("A"))
    )
    assert host.run({}).error == "States.Runtime"


def test_a_parallel_is_retried_with_all_branches() -> None:
    state = parallel(
        branch("Good"), branch("Bad"), Retry=[{"ErrorEquals": ["ValueError"], "MaxAttempts": 2}]
    )
    host = host_of(state, {"Bad": ValueError("no")})
    assert host.run({}).output["Error"] == "ValueError"
    assert [task.state for task in host.tasks] == ["Good", "Bad"] * 3
    assert host.states_entered.count("F") == 1


def test_a_child_reads_outer_variables_and_its_own_stay_local() -> None:
    inner = {
        "Type": "Pass",
        "Assign": {"mine.$": "$outer"},
        "Parameters": {"seen.$": "$outer"},
        "End": True,
    }
    states = {
        "Set": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "F"},
        "F": {**parallel(branch("A", inner), branch("B", inner)), "Next": "Look"},
        "Look": {
            "Type": "Choice",
            "Choices": [{"Variable": "$mine", "IsPresent": True, "Next": "Leaked"}],
            "Default": "Kept",
        },
        "Leaked": {"Type": "Fail"},
        "Kept": {"Type": "Succeed"},
    }
    ended = VirtualHost(
        compile_definition({"StartAt": "Set", "States": states}, name="scope")
    ).run()
    assert ended.output == [{"seen": 1}, {"seen": 1}]


@pytest.mark.parametrize(("limit", "largest"), [(0, 5), (1, 1), (2, 2), (9, 5)])
def test_a_map_limits_concurrent_iterations(limit: int, largest: int) -> None:
    machine = host_of(each(task("Item"), MaxConcurrency=limit)).machine
    execution, effects = machine.start(list("abcde"), {}, EPOCH)
    assert len(effects) == largest
    started, seen = list(effects), 0
    while started:
        current = started.pop(0)
        if isinstance(current, RunTask):
            seen += 1
            started += machine.advance(execution, TaskSucceeded(current.token, seen), EPOCH)
    assert (seen, execution.output) == (5, [1, 2, 3, 4, 5])


def test_a_map_without_a_limit_runs_forty_concurrent_iterations() -> None:
    _, effects = host_of(each(task("Item"))).machine.start([0] * 50, {}, EPOCH)
    assert len(effects) == 40


def test_a_map_selects_its_items_and_shows_each_in_the_context() -> None:
    inner = {
        "Type": "Pass",
        "Parameters": {"got.$": "$", "index.$": "$$.Map.Item.Index"},
        "End": True,
    }
    selector = {"value.$": "$$.Map.Item.Value", "all.$": "$.n", "in.$": "$$.State.Name"}
    host = host_of(
        each(inner, InputPath="$.data", ItemsPath="$.list", ItemSelector=selector, ResultPath="$.r")
    )
    assert host.run({"data": {"list": ["a", "b"], "n": 2}}).output["r"] == [
        {"got": {"value": "a", "all": 2, "in": "F"}, "index": 0},
        {"got": {"value": "b", "all": 2, "in": "F"}, "index": 1},
    ]


def test_maps_nest() -> None:
    inner = {
        "Type": "Map",
        "End": True,
        "ItemProcessor": branch("Inner", {"Type": "Pass", "End": True}),
    }
    assert host_of(each(inner)).run([[1, 2], [], [3]]).output == [[1, 2], [], [3]]


def test_an_empty_map_gives_an_empty_array() -> None:
    assert host_of(each(task("Item"))).run([]).output == []


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, {"Error": "Odd", "Cause": "1"}),
        (
            {"ToleratedFailureCount": 2},
            [0, {"Error": "Odd", "Cause": "1"}, 2, {"Error": "Odd", "Cause": "3"}],
        ),
        (
            {"ToleratedFailurePercentage": 50},
            [0, {"Error": "Odd", "Cause": "1"}, 2, {"Error": "Odd", "Cause": "3"}],
        ),
        (
            {"ToleratedFailureCount": 1, "ToleratedFailurePercentage": 50},
            "States.ExceedToleratedFailureThreshold",
        ),
        ({"ToleratedFailurePercentagePath": "$[0]"}, {"Error": "Odd", "Cause": "1"}),
    ],
)
def test_a_map_tolerates_failures_up_to_its_threshold(fields: dict[str, Any], output: JSON) -> None:
    def perform(task: RunTask) -> Answer:
        if task.parameters % 2:
            return TaskFailed(task.token, "Odd", str(task.parameters))
        return TaskSucceeded(task.token, task.parameters)

    host = VirtualHost(host_of(each(task("Item"), MaxConcurrency=1, **fields)).machine, perform)
    ended = host.run([0, 1, 2, 3])
    if isinstance(output, str):
        assert ended.output["Error"] == output
    else:
        assert ended.output == output


@pytest.mark.parametrize(
    ("fields", "given", "problem"),
    [
        (
            {"MaxConcurrencyPath": "$.n"},
            {"n": "x"},
            'The MaxConcurrencyPath field refers to value "x" which is not a valid integer: $.n',
        ),
        (
            {"MaxConcurrencyPath": "$.n"},
            {"n": -1},
            "Expected non-negative integer for MaxConcurrency, got '-1' instead.",
        ),
        ({"ItemsPath": "$.n"}, {"n": 5}, "Map state input must be an array but was: 5"),
        (
            {"ItemsPath": "$.l", "ToleratedFailurePercentagePath": "$.n"},
            {"l": [1], "n": 101},
            "ToleratedFailurePercentage must be between 0 and 100.",
        ),
    ],
)
def test_a_map_that_cannot_start_ends_the_execution(
    fields: dict[str, Any], given: JSON, problem: str
) -> None:
    ended = host_of(each(task("Item"), **fields)).run(given)
    assert ended.error == "States.Runtime"
    assert ended.cause is not None
    assert ended.cause.endswith(f"(entered at the event id #2). {problem}")
