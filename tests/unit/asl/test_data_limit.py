"""256 KiB: the limit of a state's parameters, output and variables."""

import json
from typing import Any

import pytest

from infra.asl import JSON, Ended, TaskSucceeded, compile_definition
from infra.asl.expressions.values import exceeds_data_limit
from tests.strategies import nested
from tests.unit.asl.virtual_host import VirtualHost

HALF = "x" * 131_072
DOUBLE = {"a.$": "$", "b.$": "$"}
ITEM: dict[str, Any] = {
    "StartAt": "Item",
    "States": {"Item": {"Type": "Pass", "Parameters": {"v": HALF}, "End": True}},
}
RESULT, PARAMETERS = "returned a result", "provided parameters"


def run(state: dict[str, Any], data: JSON = HALF) -> Ended:
    """Return the end of a workflow of one state without catchers."""
    states = {"S": {**state, "End": True}}
    perform = lambda task: TaskSucceeded(task.token, task.parameters)  # noqa: E731
    definition = {"StartAt": "S", "States": states}
    return VirtualHost(compile_definition(definition, name="large"), perform).run(data)


FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
MANY = {"items": [1, 2, 3], "v": "x" * 100_000}
LARGE: dict[str, tuple[dict[str, Any], JSON, str]] = {
    "parameters of a Pass": ({"Type": "Pass", "Parameters": DOUBLE}, HALF, PARAMETERS),
    "parameters of a Task": (
        {"Type": "Task", "Resource": FUNCTION, "Parameters": DOUBLE},
        HALF,
        PARAMETERS,
    ),
    "parameters of a Parallel": (
        {"Type": "Parallel", "Branches": [ITEM], "Parameters": DOUBLE},
        HALF,
        PARAMETERS,
    ),
    "branches of a Parallel": (
        {
            "Type": "Parallel",
            "Branches": [
                ITEM,
                {"StartAt": "Other", "States": {"Other": {"Type": "Pass", "End": True}}},
            ],
        },
        HALF,
        RESULT,
    ),
    "items of a Map": ({"Type": "Map", "ItemProcessor": ITEM}, [1, 2], RESULT),
    "a selected item": (
        {"Type": "Map", "ItemProcessor": ITEM, "ItemSelector": DOUBLE, "ItemsPath": "$.items"},
        {"items": [1], "v": HALF},
        PARAMETERS,
    ),
    "items that a path selects": (
        {"Type": "Map", "ItemProcessor": ITEM, "ItemsPath": "$..*"},
        MANY | {"a": [[MANY]]},
        PARAMETERS,
    ),
    "a result in its input": ({"Type": "Pass", "ResultPath": "$.r"}, {"v": "x" * 140_000}, RESULT),
    "an output that a path selects": ({"Type": "Pass", "OutputPath": "$..a"}, None, RESULT),
    "a task's result where it is put": (
        {"Type": "Task", "Resource": FUNCTION, "ResultPath": "$.r"},
        {"v": "x" * 140_000},
        RESULT,
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_state_over_the_data_limit_fails(kind: str) -> None:
    state, data, action = LARGE[kind]
    if data is None:  # so deep that the selected values are 400 times as long
        data = deep(800)
    ended = run(state, data)
    assert (ended.status, ended.error) == ("FAILED", "States.DataLimitExceeded")
    problem = "with a size exceeding the maximum number of bytes service limit."
    assert ended.cause == f"The state/task 'S' {action} {problem}"


def deep(levels: int) -> JSON:
    """Return nested objects with some text on each level."""
    value: JSON = {}
    for _ in range(levels):
        value = {"a": value, "text": "x" * 50}
    return value


def test_data_that_doubles_in_a_loop_ends_the_execution_at_the_limit() -> None:
    states = {
        name: {"Type": "Pass", "Parameters": DOUBLE, "Next": then} for name, then in ("AB", "BA")
    }
    ended = VirtualHost(compile_definition({"StartAt": "A", "States": states}, name="loop")).run(
        "x"
    )
    assert ended.error == "States.DataLimitExceeded"


def test_data_that_nests_in_a_loop_ends_the_execution_before_serialisation_fails() -> None:
    nest = {"Type": "Pass", "Parameters": {"a.$": "$"}}
    states = {"A": {**nest, "Next": "B"}, "B": {**nest, "Next": "A"}}
    machine = compile_definition({"StartAt": "A", "States": states}, name="loop")
    ended = VirtualHost(machine).run({})
    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")
    assert str(ended.cause).endswith("The data is nested deeper than 1100 levels.")


def test_variables_that_double_in_a_loop_end_the_execution() -> None:
    grown = {"v.$": "States.Array($v, $v)"}
    states = {
        "Begin": {"Type": "Pass", "Assign": {"v": "x"}, "Next": "A"},
        "A": {"Type": "Pass", "Assign": grown, "Next": "B"},
        "B": {"Type": "Pass", "Assign": grown, "Next": "A"},
    }
    ended = VirtualHost(
        compile_definition({"StartAt": "Begin", "States": states}, name="loop")
    ).run({})
    assert ended.error == "States.DataLimitExceeded"


def test_a_catcher_catches_the_error() -> None:
    catch = [{"ErrorEquals": ["States.DataLimitExceeded"], "ResultPath": None, "Next": "Caught"}]
    states = {
        "S": {
            "Type": "Parallel",
            "Branches": [ITEM],
            "Parameters": DOUBLE,
            "Catch": catch,
            "End": True,
        },
        "Caught": {"Type": "Pass", "Result": "caught", "End": True},
    }
    machine = compile_definition({"StartAt": "S", "States": states}, name="catch")
    assert VirtualHost(machine).run(HALF).output == "caught"


def test_an_error_output_over_the_limit_fails_the_catching_state() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}]
    failing = {"StartAt": "F", "States": {"F": {"Type": "Fail", "CausePath": "$.v", "Error": "E"}}}
    states = {
        "S": {"Type": "Parallel", "Branches": [failing], "Catch": catch, "End": True},
        "Caught": {"Type": "Pass", "End": True},
    }
    machine = compile_definition({"StartAt": "S", "States": states}, name="catch")
    assert VirtualHost(machine).run({"v": "x" * 140_000}).error == "States.DataLimitExceeded"


@pytest.mark.parametrize(
    ("value", "exceeds"),
    [
        ("x" * 262_142, False),
        ("x" * 262_143, True),
        ("\u00fc" * 131_071, False),
        ("\u00fc" * 131_072, True),
        ([10**300] * 868, False),
        ([10**300] * 869, True),
        ([[10**300, {"a": "x" * 261_800}]], False),
        ([[10**300, {"a": "x" * 262_000}]], True),
    ],
    ids=range(8),
)
def test_the_limit_counts_bytes(value: JSON, *, exceeds: bool) -> None:
    assert exceeds_data_limit(value) is exceeds


@pytest.mark.parametrize("inner", ["1", '"' + "x" * 262_000 + '"'])
def test_a_value_too_deep_for_orjson_is_counted(inner: str) -> None:
    assert exceeds_data_limit(json.loads(nested(900, "[", inner))) is (len(inner) > 1)
