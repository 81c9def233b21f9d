"""A redrive continues an execution from the states that did not end, and from no other."""

import json
from typing import Any

import pytest

from infra.asl import (
    EXECUTION_TIMER,
    Ended,
    Execution,
    RunTask,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
    compile_definition,
)

NOW = 1_800_000_000.0
CONTEXT = {"Execution": {"Id": "arn:x", "Input": {}, "RedriveCount": 0}, "StateMachine": {}}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"


class Redriven:
    """An execution whose tasks fail as often as told, and which is redriven from its snapshot."""

    def __init__(self, definition: dict[str, Any], failures: dict[str, list[str]]) -> None:
        self.machine: Any = compile_definition(definition, name="flow")
        self.failures = failures
        self.calls: list[str] = []
        self.requests: list[Any] = []
        self.timers: list[int] = []
        self.events: list[tuple[str, Any]] = []
        self.redrives = 0

    def run(self, data: Any = None) -> Ended:
        """Start the execution, and return its end."""
        execution, effects = self.machine.start({} if data is None else data, CONTEXT, NOW)
        return self.play(execution, effects)

    def redrive(self) -> Ended:
        """Restore the ended execution from the text of its snapshot, and redrive it."""
        self.redrives += 1
        context = {**CONTEXT["Execution"], "RedriveCount": self.redrives}
        shot = {**json.loads(self.text), "context": {**CONTEXT, "Execution": context}}
        execution = Execution.restore(shot, self.machine)
        return self.play(execution, self.machine.redrive(execution, self.redrives, NOW))

    def play(self, execution: Execution, effects: list[Any]) -> Ended:
        """Perform effects until the execution ends."""
        todo = list(effects)
        while True:
            effect = todo.pop(0)
            if isinstance(effect, Ended):
                self.events = [(e.type, e.details) for e in execution.drain_history()]
                self.text = json.dumps(execution.snapshot())
                return effect
            if isinstance(effect, RunTask):
                signal = self._answer(effect)
                if signal is not None:
                    todo += self.machine.advance(execution, signal, NOW)
            elif hasattr(effect, "due"):
                self.timers.append(effect.token)
                if effect.token > 0 and effect.due <= NOW:
                    todo += self.machine.advance(execution, TimerFired(effect.token), NOW)
            if not todo:
                # a task that never answers: the execution is stopped
                todo += self.machine.stop(execution, "Stopped", "by hand", NOW)

    def _answer(self, task: RunTask) -> TaskSucceeded | TaskFailed | None:
        name = task.state if isinstance(task.parameters, dict) else f"{task.state}{task.parameters}"
        self.calls.append(name)
        self.requests.append(task.parameters)
        left = self.failures.get(name, [])
        error = left.pop(0) if left else ""
        if error == "never":
            return None
        if error:
            return TaskFailed(task.token, error, "told to")
        return TaskSucceeded(task.token, name)

    def types(self) -> list[str]:
        """Return the types of the events since the last run or redrive."""
        return [kind for kind, _ in self.events]


def task(name: str, **fields: Any) -> dict[str, Any]:
    ending = {} if "Next" in fields else {"End": True}
    return {"Type": "Task", "Resource": FUNCTION + name, **ending, **fields}


def branch(name: str, **fields: Any) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: task(name, **fields)}}


TWO = {
    "StartAt": "First",
    "States": {"First": task("a", Next="Second"), "Second": task("b", InputPath="$$.Execution")},
}


def test_the_failed_task_alone_runs_again_with_its_input() -> None:
    run = Redriven(TWO, {"Second": ["Down"]})
    assert run.run().status == "FAILED"
    assert run.redrive().status == "SUCCEEDED"
    assert run.calls == ["First", "Second", "Second"]
    assert run.types() == [
        *("ExecutionRedriven", "LambdaFunctionScheduled", "LambdaFunctionStarted"),
        *("LambdaFunctionSucceeded", "TaskStateExited", "ExecutionSucceeded"),
    ]
    assert run.events[0][1] == {"redriveCount": 1}


def test_the_context_has_the_count_of_redrives() -> None:
    run = Redriven(TWO, {"Second": ["Down", "Down"]})
    run.run()
    assert run.redrive().status == "FAILED"
    assert run.redrive().status == "SUCCEEDED"
    assert [each["RedriveCount"] for each in run.requests[1:]] == [0, 1, 2]


def test_event_ids_continue_and_the_redrive_follows_the_end() -> None:
    run = Redriven(TWO, {"Second": ["Down"]})
    execution, effects = run.machine.start({}, CONTEXT, NOW)
    run.play(execution, effects)
    last = json.loads(run.text)["last_event_id"]
    again = Execution.restore({**json.loads(run.text), "context": CONTEXT}, run.machine)
    run.machine.redrive(again, 1, NOW)
    first, second = again.history[:2]
    assert (first.id, first.previous_event_id) == (last + 1, last)
    assert (second.id, second.previous_event_id) == (last + 2, last + 1)


def test_retries_begin_anew() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1, "IntervalSeconds": 1}]
    flow = {"StartAt": "Only", "States": {"Only": task("a", Retry=retry)}}
    run = Redriven(flow, {"Only": ["Down"]})
    run.machine.start({}, CONTEXT, NOW)
    execution, effects = run.machine.start({}, CONTEXT, NOW)
    [call] = [effect for effect in effects if isinstance(effect, RunTask)]
    [timer] = run.machine.advance(execution, TaskFailed(call.token, "Down", ""), NOW)
    [again] = run.machine.advance(execution, TimerFired(timer.token), NOW + 9)
    run.machine.advance(execution, TaskFailed(again.token, "Down", ""), NOW + 9)
    assert execution.status == "FAILED"
    shot = json.loads(json.dumps(execution.snapshot()))
    redriven = Execution.restore(shot, run.machine)
    [third] = run.machine.redrive(redriven, 1, NOW + 10)
    assert isinstance(third, RunTask)
    assert third.attempt == 0
    [waits] = run.machine.advance(redriven, TaskFailed(third.token, "Down", ""), NOW + 10)
    assert waits.due == NOW + 11


PARALLEL = {
    "StartAt": "Set",
    "States": {
        "Set": {"Type": "Pass", "Assign": {"kept": 7}, "Next": "Fork"},
        "Fork": {
            "Type": "Parallel",
            "Branches": [
                branch("One"),
                branch("Two"),
                {
                    "StartAt": "Before",
                    "States": {
                        "Before": task("c", Next="After"),
                        "After": task("d", Parameters={"kept.$": "$kept"}),
                    },
                },
            ],
            "End": True,
        },
    },
}


def test_a_parallel_runs_its_failed_and_aborted_branches_again() -> None:
    run = Redriven(PARALLEL, {"Two": ["Down"], "After": ["never"]})
    assert run.run().status == "FAILED"
    assert run.calls == ["One", "Two", "Before"]
    ended = run.redrive()
    assert ended.status == "ABORTED"
    assert run.calls[3:] == ["Two", "Before", "After"]
    ended = run.redrive()
    assert (ended.status, ended.output) == ("SUCCEEDED", ["One", "Two", "After"])
    assert run.calls[6:] == ["After"]
    assert run.requests[-1] == {"kept": 7}
    assert "ParallelStateStarted" not in run.types()


def test_a_parallel_that_exceeded_the_data_limit_is_run_as_a_whole() -> None:
    flow = json.loads(json.dumps(PARALLEL))
    run = Redriven(flow, {"Two": ["States.DataLimitExceeded"]})
    assert run.run().error == "States.DataLimitExceeded"
    run.calls.clear()
    assert run.redrive().status == "SUCCEEDED"
    assert sorted(run.calls) == ["After", "Before", "One", "Two"]
    assert run.types().count("ParallelStateStarted") == 1


MAP: dict[str, Any] = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "Work", "States": {"Work": task("w")}},
            "MaxConcurrency": 1,
            "End": True,
        }
    },
}


def test_a_map_runs_its_unfinished_iterations_and_then_the_rest() -> None:
    run = Redriven(MAP, {"Work2": ["Down"]})
    assert run.run([1, 2, 3, 4]).status == "FAILED"
    assert run.calls == ["Work1", "Work2"]
    ended = run.redrive()
    assert (ended.status, ended.output) == ("SUCCEEDED", ["Work1", "Work2", "Work3", "Work4"])
    assert run.calls[2:] == ["Work2", "Work3", "Work4"]
    assert run.types().count("MapStateStarted") == 0


def test_failures_that_a_map_tolerated_run_again_within_its_concurrency() -> None:
    flow = json.loads(json.dumps(MAP))
    flow["States"]["Each"]["ToleratedFailureCount"] = 1
    run = Redriven(flow, {"Work1": ["Down"], "Work3": ["Down", "never"]})
    assert run.run([1, 2, 3]).status == "FAILED"
    assert run.redrive().status == "ABORTED"
    assert run.calls[3:] == ["Work1", "Work3"]
    ended = run.redrive()
    assert (ended.status, ended.output) == ("SUCCEEDED", ["Work1", "Work2", "Work3"])


def test_nested_forks_keep_their_finished_children() -> None:
    inner = {**MAP["States"]["Each"], "ItemsPath": "$.items"}
    flow = {
        "StartAt": "Fork",
        "States": {
            "Fork": {
                "Type": "Parallel",
                "Branches": [
                    {"StartAt": "Each", "States": {"Each": inner}},
                    branch("Other"),
                ],
                "End": True,
            }
        },
    }
    run = Redriven(flow, {"Work2": ["Down", "Down"]})
    assert run.run({"items": [1, 2]}).status == "FAILED"
    assert run.redrive().status == "FAILED"
    ended = run.redrive()
    assert (ended.status, ended.output) == ("SUCCEEDED", [["Work1", "Work2"], "Other"])
    assert run.calls.count("Work1") == 1
    assert run.calls.count("Other") == 1


def test_a_jsonata_map_keeps_the_items_that_it_selected() -> None:
    flow = json.loads(json.dumps(MAP))
    flow["QueryLanguage"] = "JSONata"
    flow["States"]["Each"]["Items"] = "{% $map([1..3], function($i) { $random() }) %}"
    run = Redriven(flow, {})
    execution, effects = run.machine.start({}, CONTEXT, NOW)
    first = next(effect for effect in effects if isinstance(effect, RunTask))
    run.machine.advance(execution, TaskFailed(first.token, "Down", ""), NOW)
    shot = json.loads(json.dumps(execution.snapshot()))
    redriven = Execution.restore(shot, run.machine)
    [again] = run.machine.redrive(redriven, 1, NOW)
    assert again.parameters == first.parameters


@pytest.mark.parametrize(
    ("state", "events"),
    [
        (
            {"Type": "Fail", "Error": "Again"},
            ["ExecutionRedriven", "FailStateEntered", "ExecutionFailed"],
        ),
        (
            {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "End"}]},
            ["ExecutionRedriven", "ExecutionFailed"],
        ),
        (
            {"Type": "Pass", "InputPath": "$.missing", "End": True},
            ["ExecutionRedriven", "ExecutionFailed"],
        ),
    ],
)
def test_a_state_that_must_fail_fails_again(state: dict[str, Any], events: list[str]) -> None:
    states = {"Only": state, "End": {"Type": "Succeed"}}
    flow = {"StartAt": "Only", "States": states}
    if state["Type"] != "Choice":
        del states["End"]
    run = Redriven(flow, {})
    first = run.run({"a": 1})
    second = run.redrive()
    assert (first.status, second.status) == ("FAILED", "FAILED")
    assert first.error == second.error
    assert run.types() == events


def test_a_wait_until_a_past_time_is_left_at_once() -> None:
    flow = {
        "StartAt": "Until",
        "States": {"Until": {"Type": "Wait", "TimestampPath": "$.at", "End": True}},
    }
    machine: Any = compile_definition(flow, name="flow")
    execution, _ = machine.start({"at": "2027-01-15T09:00:00Z"}, CONTEXT, NOW)
    machine.stop(execution, None, None, NOW + 60)
    redriven = Execution.restore(json.loads(json.dumps(execution.snapshot())), machine)
    [timer] = machine.redrive(redriven, 1, NOW + 9_000)
    assert timer.due == NOW + 9_000
    assert isinstance(machine.advance(redriven, TimerFired(timer.token), NOW + 9_000)[0], Ended)


def test_the_timeout_of_the_machine_begins_anew() -> None:
    flow = {**TWO, "TimeoutSeconds": 60}
    machine: Any = compile_definition(flow, name="flow")
    execution, _ = machine.start({}, CONTEXT, NOW)
    machine.advance(execution, TimerFired(EXECUTION_TIMER), NOW + 60)
    assert execution.status == "TIMED_OUT"
    redriven = Execution.restore(json.loads(json.dumps(execution.snapshot())), machine)
    timer, call = machine.redrive(redriven, 1, NOW + 600)
    assert (timer.token, timer.due) == (EXECUTION_TIMER, NOW + 660)
    assert isinstance(call, RunTask)
    machine.advance(redriven, TimerFired(EXECUTION_TIMER), NOW + 660)
    assert redriven.status == "TIMED_OUT"


def test_an_answer_to_the_first_run_does_not_end_the_redriven_task() -> None:
    machine: Any = compile_definition(TWO, name="flow")
    execution, [call] = machine.start({}, CONTEXT, NOW)
    machine.stop(execution, None, None, NOW)
    redriven = Execution.restore(json.loads(json.dumps(execution.snapshot())), machine)
    [again] = machine.redrive(redriven, 1, NOW)
    assert again.token != call.token
    assert machine.advance(redriven, TaskSucceeded(call.token, "late"), NOW) == []
    assert redriven.status == "RUNNING"


def test_a_restart_runs_only_the_iterations_that_a_redrive_has_begun() -> None:
    """Two iterations failed within the tolerance, and two were stopped in their tasks."""
    states = {"T": {"Type": "Task", "Resource": f"{FUNCTION}f", "End": True}}
    each = {"Type": "Map", "MaxConcurrency": 2, "ToleratedFailureCount": 2, "End": True}
    each["ItemProcessor"] = {"StartAt": "T", "States": states}
    machine: Any = compile_definition({"StartAt": "Each", "States": {"Each": each}}, name="flow")

    def restored(execution: Execution) -> Execution:
        return Execution.restore(json.loads(json.dumps(execution.snapshot())), machine)

    execution, calls = machine.start([1, 2, 3, 4], CONTEXT, NOW)
    for call in calls:
        machine.advance(execution, TaskFailed(call.token, "Down", "told to"), NOW)
    machine.stop(execution, None, None, NOW)
    redriven = restored(execution)
    begun = machine.redrive(redriven, 1, NOW)
    assert [call.parameters for call in begun] == [1, 2]
    redriven = restored(redriven)
    todo = machine.resume(redriven, NOW)
    assert todo == begun
    ran = []
    while isinstance(call := todo.pop(0), RunTask):
        ran.append(call.parameters)
        todo += machine.advance(redriven, TaskSucceeded(call.token, call.parameters), NOW)
    assert ran == [1, 2, 3, 4]
    assert isinstance(call, Ended)
    assert call.output == [1, 2, 3, 4]
