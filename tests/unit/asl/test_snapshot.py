"""Snapshots: restarts between signals do not change an execution."""

import random
from itertools import count
from typing import Any

import pytest

from infra.asl import Execution, RunTask, TaskFailed, TaskSucceeded, compile_definition
from tests.unit.asl.virtual_host import EPOCH, NEVER, Answer, VirtualHost

TASK = {
    "Type": "Task",
    "Resource": "arn:aws:lambda:us-east-1:123456789012:function:any",
    "TimeoutSeconds": 10,
    "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1, "JitterStrategy": "FULL"}],
}
FLAKY_MAP = {
    "Type": "Map",
    "MaxConcurrency": 2,
    "ItemSelector": {"item.$": "$$.Map.Item.Value", "id.$": "States.UUID()", "seen.$": "$counter"},
    "ItemProcessor": {
        "StartAt": "Pause",
        "States": {
            "Pause": {"Type": "Wait", "SecondsPath": "$.item", "Next": "Work"},
            "Work": {**TASK, "Assign": {"counter.$": "$$.Map.Item.Index"}, "Next": "Count"},
            "Count": {"Type": "Pass", "Parameters": {"counter.$": "$counter"}, "End": True},
        },
    },
    "Retry": [{"ErrorEquals": ["Odd"], "MaxAttempts": 2}],
    "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Instead"}],
    "ItemsPath": "$.items",
    "ResultPath": "$.mapped",
    "End": True,
}
NESTED: dict[str, Any] = {
    "StartAt": "Set",
    "TimeoutSeconds": 600,
    "States": {
        "Set": {"Type": "Pass", "Assign": {"counter": 7}, "Next": "Fork"},
        "Fork": {
            "Type": "Parallel",
            "Branches": [
                {
                    "StartAt": "Each",
                    "States": {"Each": FLAKY_MAP, "Instead": {"Type": "Pass", "End": True}},
                },
                {"StartAt": "Alone", "States": {"Alone": {**TASK, "End": True}}},
            ],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}],
            "End": True,
        },
        "Failed": {"Type": "Fail", "Error": "Gave up", "CausePath": "$.Cause"},
    },
}


def played(seed: int, *, restarts: bool) -> VirtualHost:
    """Run the nested workflow with tasks that succeed, fail or never answer, by the seed."""
    chance, tokens = random.Random(seed), count()

    def perform(task: RunTask) -> Answer:
        match chance.choice(["good", "good", "good", "Odd", "Even", "never"]):
            case "good":
                return TaskSucceeded(task.token, next(tokens))
            case "never":
                return NEVER
            case error:
                return TaskFailed(task.token, error)

    machine = compile_definition(NESTED, name="nested", random=random.Random(seed).random)
    host = VirtualHost(machine, perform, restarts=restarts)
    host.run({"items": [3, 1, 2, 0]})
    return host


@pytest.mark.parametrize("seed", range(40))
def test_restarts_change_nothing(seed: int) -> None:
    with_restarts, without = played(seed, restarts=True), played(seed, restarts=False)
    assert with_restarts.ended == without.ended
    assert with_restarts.tasks == without.tasks
    assert with_restarts.timers == without.timers
    assert with_restarts.history == without.history


def test_a_snapshot_includes_events_that_are_not_drained() -> None:
    machine = compile_definition(NESTED, name="nested")
    execution, _ = machine.start({"items": []}, {}, EPOCH)
    restored = Execution.restore(execution.snapshot(), machine)
    assert restored.drain_history() == execution.drain_history() != []
    assert Execution.restore(execution.snapshot(), machine).drain_history() == []
