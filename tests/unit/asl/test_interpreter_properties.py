"""The interpreter: any definition is refused or runs; any run ends with a result or an error."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infra.asl import (
    JSON,
    DefinitionError,
    Ended,
    Machine,
    RunTask,
    TaskFailed,
    TaskSucceeded,
    compile_definition,
)
from tests.strategies import damaged, json_values
from tests.unit.asl.virtual_host import NEVER, Answer, VirtualHost

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:any"
errors = st.sampled_from(["States.ALL", "States.TaskFailed", "States.Timeout", "Odd", "Even"])
inputs = st.recursive(
    st.sampled_from([0, 1, 3, 2.5, True, None, "x", "2026-01-31T12:00:00Z"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "items"]), inner, max_size=3)
    ),
    max_leaves=6,
)
starts = st.fixed_dictionaries({"a": inputs, "b": inputs, "items": st.lists(inputs, max_size=3)})
readers = st.sampled_from(
    ["$", "$.a", "$.b", "$.items", "$.items[0]", "$$.Execution.Name", "$set", "$..a", "$.a[*]"]
    + ["States.Format('{}', $.a)", "States.Array($.a, $.b)", "States.MathAdd($.a, 1)"]
    + ["States.UUID()", "States.ArrayGetItem($.items, 0)", "$$.Map.Item.Value"]
)
causes = st.sampled_from(["$$.Execution.Name", "$.nowhere", "States.Format('{}', $.a)"])
fields = st.sampled_from(["a.$", "b.$", "items.$"])
templates = st.dictionaries(fields, readers, max_size=2) | st.builds(
    lambda value, read: {"a": value, "b.$": read}, inputs, readers
)
where = st.sampled_from(["$.a", "$.b", "$.c", "$.items[0]", "$", None])
part = st.sampled_from(["$", "$", "$", "$", "$.a", None])
maybe = {
    "InputPath": part,
    "OutputPath": part,
    "ResultPath": where,
    "Parameters": templates,
    "ResultSelector": templates,
    "Assign": st.fixed_dictionaries({"set.$": readers}),
}
retriers = st.fixed_dictionaries(
    {"ErrorEquals": errors.map(lambda name: [name])},
    optional={
        "MaxAttempts": st.integers(0, 2),
        "IntervalSeconds": st.integers(1, 5),
        "BackoffRate": st.sampled_from([1, 1.5, 2]),
        "JitterStrategy": st.sampled_from(["FULL", "NONE"]),
    },
)


def some(*names: str) -> dict[str, st.SearchStrategy[Any]]:
    """Return these optional fields."""
    return {name: maybe[name] for name in names}


@st.composite
def rules(draw: st.DrawFn, targets: list[str]) -> JSON:
    """Return an entry of Choices."""
    test: JSON = draw(
        st.sampled_from(
            [{"IsPresent": True}, {"IsNull": False}, {"NumericGreaterThan": 1}, {"IsString": True}]
            + [{"StringMatches": "x*"}, {"NumericLessThanPath": "$.b"}, {"BooleanEquals": True}]
        )
    )
    rule: JSON = {"Variable": draw(st.sampled_from(["$.a", "$.b", "$", "$set"])), **test}
    if draw(st.booleans()):
        rule = {draw(st.sampled_from(["And", "Or"])): [rule, rule]}
    return {**rule, "Next": draw(st.sampled_from(targets))}


KINDS = ["Pass", "Task", "Task", "Wait", "Succeed", "Fail", "Choice"]
FORKS = ["Parallel", "Parallel", "Map", "Map"]
SHAPING = some("InputPath", "OutputPath", "ResultPath", "Assign")
TIMES: list[JSON] = [
    {"Seconds": 3},
    {"SecondsPath": "$.a"},
    {"Timestamp": "2026-01-01T00:00:07Z"},
    {"TimestampPath": "$.b"},
]
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "Pass": {**SHAPING, **some("Parameters"), "Result": inputs},
    "Task": {
        **SHAPING,
        **some("Parameters", "ResultSelector"),
        "TimeoutSeconds": st.integers(1, 20),
    },
    "Wait": some("InputPath", "OutputPath"),
    "Succeed": some("InputPath", "OutputPath"),
    "Fail": {"Error": st.sampled_from(["Odd", "Even"]), "CausePath": causes},
    "Parallel": {**SHAPING, **some("Parameters", "ResultSelector")},
    "Map": {
        **SHAPING,
        "ItemSelector": templates,
        "MaxConcurrency": st.integers(0, 2),
        "ToleratedFailurePercentage": st.sampled_from([0, 50, 100]),
        "ItemsPath": st.sampled_from(["$.items", "$.items", "$.items", "$.a"]),
    },
    "Choice": some("InputPath", "OutputPath"),
}
"""Optional fields by type of state."""


@st.composite
def states(draw: st.DrawFn, name: str, targets: list[str], depth: int) -> JSON:
    """Return a state whose successor is one of the targets, or that ends."""
    kind = draw(st.sampled_from(KINDS + FORKS * (depth > 0)))
    if kind == "Choice" and not targets:
        kind = "Succeed"
    optional = dict(FIELDS[kind])
    state: dict[str, JSON] = {"Type": kind}
    match kind:
        case "Choice":
            state["Choices"] = draw(st.lists(rules(targets), min_size=1, max_size=2))
            optional["Default"] = st.sampled_from(targets)
        case "Wait":
            state.update(draw(st.sampled_from(TIMES)))
        case "Task":
            state["Resource"] = FUNCTION
        case "Parallel":
            state["Branches"] = [draw(tables(f"{name}{branch}", depth - 1)) for branch in "ab"]
        case "Map":
            state["ItemProcessor"] = draw(tables(name, depth - 1))
    if kind in ("Task", "Parallel", "Map"):
        optional |= catching(targets)
    if kind not in ("Choice", "Succeed", "Fail"):
        goes = ["", *targets, *targets, *targets]
        successor = draw(st.sampled_from(goes))
        state.update({"Next": successor} if successor else {"End": True})
    return {**draw(st.fixed_dictionaries({}, optional=optional)), **state}


def all_last(entries: list[JSON]) -> list[JSON]:
    """Return the entries up to the first with States.ALL, which must be the last."""
    ends = [at for at, each in enumerate(entries, 1) if "States.ALL" in each["ErrorEquals"]]
    return entries[: min(ends, default=len(entries))]


def catching(targets: list[str]) -> dict[str, st.SearchStrategy[Any]]:
    """Return retriers and, if there are targets, catchers."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "Retry": st.lists(retriers, max_size=2).map(all_last)
    }
    if targets:
        caught = {
            "ErrorEquals": errors.map(lambda error: [error]),
            "Next": st.sampled_from(targets),
        }
        catchers = st.fixed_dictionaries(caught, optional=some("ResultPath"))
        fields["Catch"] = st.lists(catchers, max_size=2).map(all_last)
    return fields


@st.composite
def tables(draw: st.DrawFn, prefix: str = "", depth: int = 2) -> JSON:
    """Return a StartAt and its States; the successor of a state is a later one."""
    names = [f"{prefix}S{number}" for number in range(draw(st.integers(1, 3)))]
    made = {name: draw(states(name, names[place + 1 :], depth)) for place, name in enumerate(names)}
    return {"StartAt": names[0], "States": _met(names[0], made)}


def _met(start: str, made: dict[str, JSON]) -> dict[str, JSON]:
    """Return the reachable states."""
    queue, reached = [start], {}
    while queue:
        name = queue.pop()
        if name not in reached:
            state = reached[name] = made[name]
            entries = [state, *state.get("Choices", ()), *state.get("Catch", ())]
            queue += [
                entry[key] for entry in entries for key in ("Next", "Default") if key in entry
            ]
    return reached


definitions = tables()


def compiled(definition: JSON, seed: int = 1) -> Machine | None:
    """Return the state machine, or None if the definition is refused with its place."""
    try:
        chance = random.Random(seed).random
        return compile_definition(definition, name="any", random=chance, express=True)
    except DefinitionError as error:
        assert str(error)
        return None


def played(machine: Machine, data: JSON, seed: int, *, restarts: bool) -> VirtualHost:
    """Run an execution whose tasks succeed, fail or never answer, depending on the seed."""
    chance = random.Random(seed)

    def perform(task: RunTask) -> Answer:
        match chance.choice(["echo", "echo", "value", "Odd", "Even", "never"]):
            case "echo":
                return TaskSucceeded(task.token, task.parameters)
            case "value":
                return TaskSucceeded(task.token, {"a": chance.randint(0, 3), "items": [1, "x"]})
            case "never" if task.timeout is not None:
                return NEVER
            case error:
                return TaskFailed(task.token, error, json.dumps({"errorMessage": error}))

    machine = replace(machine, random=random.Random(seed).random)
    host = VirtualHost(machine, perform, restarts=restarts)
    context = {"Execution": {"Name": "one", "Input": data}, "StateMachine": {"Name": "any"}}
    host.run(data, context)
    return host


def named(ended: Ended) -> bool:
    """Return whether a run failed with an error and a cause that are text or absent."""
    return ended.status == "FAILED" and all(
        text is None or isinstance(text, str) for text in (ended.error, ended.cause)
    )


@given(definitions, starts, st.integers(0, 99))
def test_a_run_ends_with_a_result_or_an_error(definition: JSON, data: JSON, seed: int) -> None:
    machine = compiled(definition)
    assert machine is not None
    ended = played(machine, data, seed, restarts=False).ended
    assert ended is not None
    assert ended.status == "SUCCEEDED" or named(ended)
    json.dumps(ended.output, allow_nan=False)


@given(definitions, starts, st.integers(0, 99))
def test_restarts_between_signals_do_not_change_a_run(
    definition: JSON, data: JSON, seed: int
) -> None:
    machine = compiled(definition)
    assert machine is not None
    first, second = (played(machine, data, seed, restarts=restarts) for restarts in (True, False))
    assert first.ended == second.ended
    assert first.tasks == second.tasks
    assert first.timers == second.timers
    assert first.history == second.history


@given(damaged(definitions), starts, st.integers(0, 99))
def test_a_damaged_definition_is_refused_with_its_place_or_runs(
    definition: JSON, data: JSON, seed: int
) -> None:
    machine = compiled(definition)
    if machine is not None:
        assert played(machine, data, seed, restarts=False).ended is not None


@given(json_values)
@example({"StartAt": "A", "States": {"A": {"Type": []}}})
def test_any_other_json_is_refused(value: JSON) -> None:
    assert compiled(value) is None


@settings(max_examples=5)
@given(st.integers(1, 3))
def test_a_loop_ends_when_its_history_is_full(states_of_loop: int) -> None:
    names = [f"S{number}" for number in range(states_of_loop)]
    made = {
        name: {"Type": "Pass", "Next": names[(place + 1) % len(names)]}
        for place, name in enumerate(names)
    }
    machine = compiled({"StartAt": "S0", "States": made})
    assert machine is not None
    ended = played(machine, {}, 1, restarts=False).ended
    assert ended is not None
    assert ended.error == "States.Runtime"
    assert "maximum number of history events" in str(ended.cause)


@pytest.mark.parametrize("field", ["ErrorPath", "CausePath"])
def test_an_error_is_text_for_any_value_of_its_path(field: str) -> None:
    machine = compiled({"StartAt": "F", "States": {"F": {"Type": "Fail", field: "$.value"}}})
    assert machine is not None
    ended = played(machine, {"value": {"a": 1}}, 1, restarts=False).ended
    assert ended is not None
    assert named(ended)
