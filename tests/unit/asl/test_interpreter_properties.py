"""The interpreter: any definition is refused or runs; any run ends with a result or a named error."""

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
    test = draw(
        st.sampled_from(
            [{"IsPresent": True}, {"IsNull": False}, {"NumericGreaterThan": 1}, {"IsString": True}]
            + [{"StringMatches": "x*"}, {"NumericLessThanPath": "$.b"}, {"BooleanEquals": True}]
        )
    )
    rule = {"Variable": draw(st.sampled_from(["$.a", "$.b", "$", "$set"])), **test}
    if draw(st.booleans()):
        rule = {draw(st.sampled_from(["And", "Or"])): [rule, rule]}
    return {**rule, "Next": draw(st.sampled_from(targets))}


@st.composite
def states(draw: st.DrawFn, prefix: str, name: str, targets: list[str], depth: int) -> JSON:
    """Return a state that goes on to one of the targets, or ends."""
    kinds = ["Pass", "Task", "Task", "Wait", "Succeed", "Fail", "Choice"]
    kind = draw(st.sampled_from(kinds + ["Parallel", "Map"] * (2 * (depth > 0))))
    goes = st.sampled_from(targets) if targets else st.nothing()
    step = {"Next": draw(goes)} if targets and draw(st.integers(0, 3)) else {"End": True}
    catching = {"Retry": st.lists(retriers, max_size=2)}
    if targets:
        catchers = st.fixed_dictionaries(
            {"ErrorEquals": errors.map(lambda one: [one]), "Next": goes},
            optional=some("ResultPath"),
        )
        catching["Catch"] = st.lists(catchers, max_size=2)
    shaping = some("InputPath", "OutputPath", "ResultPath", "Assign")
    match kind:
        case "Choice" if targets:
            body = {"Choices": draw(st.lists(rules(targets), min_size=1, max_size=2))}
            body |= {"Default": draw(goes)} if draw(st.booleans()) else {}
            return {"Type": kind, **body}
        case "Fail":
            told = {"Error": st.sampled_from(["Odd", "Even"]), "CausePath": causes}
            return {"Type": kind, **draw(st.fixed_dictionaries({}, optional=told))}
        case "Succeed" | "Choice":
            optional = some("InputPath", "OutputPath")
            return {"Type": "Succeed", **draw(st.fixed_dictionaries({}, optional=optional))}
        case "Wait":
            times = st.sampled_from(
                [{"Seconds": 3}, {"SecondsPath": "$.a"}, {"TimestampPath": "$.b"}]
                + [{"Timestamp": "2026-01-01T00:00:07Z"}]
            )
            return {"Type": kind, **draw(times), **step}
        case "Pass":
            optional = {**shaping, **some("Parameters"), "Result": inputs}
        case "Task":
            optional = {**shaping, **catching, **some("Parameters", "ResultSelector")}
            optional["TimeoutSeconds"] = st.integers(1, 20)
            step["Resource"] = FUNCTION
        case "Parallel":
            optional = {**shaping, **catching, **some("Parameters", "ResultSelector")}
            inner = [draw(tables(f"{prefix}{name}{n}", depth - 1)) for n in range(2)]
            step["Branches"] = inner
        case _:
            optional = {**shaping, **catching, "ItemSelector": templates}
            optional["MaxConcurrency"] = st.integers(0, 2)
            optional["ToleratedFailurePercentage"] = st.sampled_from([0, 50, 100])
            optional["ItemsPath"] = st.sampled_from(["$.items", "$.items", "$.items", "$.a"])
            step["ItemProcessor"] = draw(tables(f"{prefix}{name}", depth - 1))
    return {"Type": kind, **draw(st.fixed_dictionaries({}, optional=optional)), **step}


@st.composite
def tables(draw: st.DrawFn, prefix: str = "", depth: int = 2) -> JSON:
    """Return a StartAt and its States; each of them goes on to a later one, if anywhere."""
    names = [f"{prefix}S{number}" for number in range(draw(st.integers(1, 3)))]
    made = {
        name: draw(states(prefix, name, names[place + 1 :], depth))
        for place, name in enumerate(names)
    }
    return {"StartAt": names[0], "States": _met(names[0], made)}


def _met(start: str, made: dict[str, JSON]) -> dict[str, JSON]:
    """Leave out the states that nothing goes on to."""
    left, met = [start], {}
    while left:
        name = left.pop()
        if name not in met:
            state = met[name] = made[name]
            entries = [state, *state.get("Choices", ()), *state.get("Catch", ())]
            left += [one[key] for one in entries for key in ("Next", "Default") if key in one]
    return met


definitions = tables()


def compiled(definition: JSON, seed: int = 1) -> Machine | None:
    """Return the machine, or nothing if the definition is refused with its place."""
    try:
        chance = random.Random(seed).random
        return compile_definition(definition, name="any", random=chance, express=True)
    except DefinitionError as error:
        assert str(error)
        return None


def played(machine: Machine, given: JSON, seed: int, *, restarts: bool) -> VirtualHost:
    """Run an execution whose tasks succeed, fail or never answer, as the seed has it."""
    chance = random.Random(seed)

    def perform(task: RunTask) -> Answer:
        match chance.choice(["echo", "echo", "value", "Odd", "Even", "never"]):
            case "echo":
                return TaskSucceeded(task.token, task.parameters)
            case "value":
                return TaskSucceeded(task.token, {"a": chance.randint(0, 3), "items": [1, "x"]})
            case "never" if task.timeout_at is not None:
                return NEVER
            case error:
                return TaskFailed(task.token, error, json.dumps({"errorMessage": error}))

    machine = replace(machine, random=random.Random(seed).random)
    host = VirtualHost(machine, perform, restarts=restarts)
    context = {"Execution": {"Name": "one", "Input": given}, "StateMachine": {"Name": "any"}}
    host.run(given, context)
    return host


def named(ended: Ended) -> bool:
    """Say whether a run failed with texts, as its row in the journal and its history have them."""
    return ended.status == "FAILED" and all(
        text is None or isinstance(text, str) for text in (ended.error, ended.cause)
    )


@given(definitions, starts, st.integers(0, 99))
def test_a_run_ends_with_a_result_or_an_error(definition: JSON, given: JSON, seed: int) -> None:
    machine = compiled(definition)
    assert machine is not None
    ended = played(machine, given, seed, restarts=False).ended
    assert ended is not None
    assert ended.status == "SUCCEEDED" or named(ended)
    json.dumps(ended.output, allow_nan=False)


@given(definitions, starts, st.integers(0, 99))
def test_a_run_with_a_restart_between_any_two_signals_is_the_run_without(
    definition: JSON, given: JSON, seed: int
) -> None:
    machine = compiled(definition)
    assert machine is not None
    first, second = (played(machine, given, seed, restarts=one) for one in (True, False))
    assert first.ended == second.ended
    assert first.tasks == second.tasks
    assert first.timers == second.timers
    assert first.history == second.history


@given(damaged(definitions), starts, st.integers(0, 99))
def test_a_damaged_definition_is_refused_with_its_place_or_runs(
    definition: JSON, given: JSON, seed: int
) -> None:
    machine = compiled(definition)
    if machine is not None:
        assert played(machine, given, seed, restarts=False).ended is not None


@given(json_values)
@example({"StartAt": "A", "States": {"A": {"Type": []}}})
def test_what_is_no_definition_is_refused(value: JSON) -> None:
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


@pytest.mark.xfail(strict=True, reason="a Fail state hands on whatever its paths meet")
@pytest.mark.parametrize("field", ["ErrorPath", "CausePath"])
def test_an_error_is_text_whatever_its_path_meets(field: str) -> None:
    machine = compiled({"StartAt": "F", "States": {"F": {"Type": "Fail", field: "$.told"}}})
    assert machine is not None
    ended = played(machine, {"told": {"a": 1}}, 1, restarts=False).ended
    assert ended is not None
    assert named(ended)
