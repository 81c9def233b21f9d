"""Whatever fails or is stopped, redrives end with the output of a run without failures."""

import json
import random
from collections import Counter
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

NOW = 1_800_000_000.0
CONTEXT: dict[str, Any] = {"Execution": {"Input": {}}, "StateMachine": {}}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"


def task(**fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": FUNCTION, **fields}


def each(**fields: Any) -> dict[str, Any]:
    """Return a Map whose iterations call twice, with a variable of their own."""
    states = {
        "Before": task(Assign={"seen.$": "$"}, Next="After"),
        "After": task(Parameters={"item.$": "$$.Map.Item.Value", "seen.$": "$seen"}, End=True),
    }
    return {"Type": "Map", "ItemProcessor": {"StartAt": "Before", "States": states}, **fields}


FLOW: dict[str, Any] = {
    "StartAt": "First",
    "States": {
        "First": task(ResultPath="$.first", Assign={"outer.$": "$"}, Next="Fork"),
        "Fork": {
            "Type": "Parallel",
            "Branches": [
                {
                    "StartAt": "Each",
                    "States": {"Each": each(ItemsPath="$.items", MaxConcurrency=2, End=True)},
                },
                {
                    "StartAt": "Pause",
                    "States": {
                        "Pause": {"Type": "Wait", "Seconds": 5, "Next": "Alone"},
                        "Alone": task(Parameters={"outer.$": "$outer"}, End=True),
                    },
                },
            ],
            "ResultPath": "$.forked",
            "Next": "Last",
        },
        "Last": task(End=True),
    },
}
DATA = {"items": [1, 2, 3, 4, 5]}


class Run:
    """An execution that is restored from its snapshot before each signal."""

    def __init__(self, chance: random.Random, failure: float, stop: float) -> None:
        self.machine: Machine = compile_definition(FLOW, name="flow")
        self.chance, self.failure, self.stop = chance, failure, stop
        self.succeeded: Counter[str] = Counter()
        self.now = NOW
        self.redrives = 0
        self.snapshot: Any = None

    def to_the_end(self) -> Any:
        """Start, and redrive until it has succeeded; return the output."""
        execution, effects = self.machine.start(DATA, CONTEXT, self.now)
        ended = self._play(execution, effects)
        while ended.status != "SUCCEEDED":
            self.redrives += 1
            self.failure *= 0.8
            self.stop *= 0.8
            execution = Execution.restore(self.snapshot, self.machine)
            effects = self.machine.redrive(execution, self.redrives, self.now)
            ended = self._play(execution, effects)
        return ended.output

    def _play(self, execution: Execution, effects: list[Any]) -> Ended:
        todo, open_tasks = list(effects), dict[int, Any]()
        while True:
            for effect in todo:
                if isinstance(effect, Ended):
                    self.snapshot = json.loads(json.dumps(execution.snapshot()))
                    return effect
                if isinstance(effect, CancelTask):
                    open_tasks.pop(effect.token, None)
                else:
                    open_tasks[effect.token] = effect
            if self.chance.random() < self.stop:
                todo = self.machine.stop(execution, "Stopped", None, self.now)
                continue
            execution = Execution.restore(
                json.loads(json.dumps(execution.snapshot())), self.machine
            )
            resumed: list[Any] = self.machine.resume(execution, self.now)
            assert {effect.token: effect for effect in resumed} == open_tasks
            token = self.chance.choice(sorted(open_tasks))
            effect = open_tasks.pop(token)
            todo = self.machine.advance(execution, self._signal(effect), self.now)

    def _signal(self, effect: Any) -> Any:
        if isinstance(effect, SetTimer):
            self.now = max(self.now, effect.due)
            return TimerFired(effect.token)
        assert isinstance(effect, RunTask)
        if self.chance.random() < self.failure:
            return TaskFailed(effect.token, "Down", "told to")
        call = json.dumps([effect.state, effect.parameters])
        self.succeeded[call] += 1
        return TaskSucceeded(effect.token, {effect.state: effect.parameters})


@pytest.fixture(scope="module")
def wanted() -> tuple[Any, Counter[str]]:
    """Return the output and the calls of a run without failures."""
    run = Run(random.Random(0), 0.0, 0.0)
    return run.to_the_end(), run.succeeded


@pytest.mark.parametrize("seed", range(60))
def test_redrives_end_as_a_run_without_failures(
    seed: int, wanted: tuple[Any, Counter[str]]
) -> None:
    output, calls = wanted
    chance = random.Random(seed)
    run = Run(chance, chance.choice((0.0, 0.2, 0.5)), chance.choice((0.0, 0.05, 0.2)))
    assert run.to_the_end() == output
    assert run.succeeded == calls  # each successful call is made once


def test_the_seeds_redrive_often() -> None:
    redrives = 0
    for seed in range(20):
        run = Run(random.Random(seed), 0.3, 0.1)
        run.to_the_end()
        redrives += run.redrives
    assert redrives > 40
