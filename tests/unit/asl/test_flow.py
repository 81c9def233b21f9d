"""Pass, Choice, Wait, Succeed and Fail: their data and variables."""

from typing import Any

import pytest

from infra.asl import JSON, Ended, compile_definition
from tests.unit.asl.virtual_host import EPOCH, VirtualHost

NOT_IN_INPUT = """could not be found in the input '{"a":1}'"""
NO_TIMESTAMP = "does not reference a valid ISO-8601 extended offset date-time format string"


def run(states: dict[str, Any], data: JSON = None) -> Ended:
    definition = {"StartAt": next(iter(states)), "States": states}
    return VirtualHost(compile_definition(definition, name="flow")).run(data)


def run_state(state: dict[str, Any], data: JSON = None) -> Ended:
    return run({"S": state if state["Type"] == "Fail" else {**state, "End": True}}, data)


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, {"a": 1, "b": [2]}),
        ({"Result": 5}, 5),
        ({"Result": None}, None),
        ({"Result": {"x.$": "$.a"}}, {"x.$": "$.a"}),
        ({"InputPath": "$.b"}, [2]),
        ({"InputPath": None}, {}),
        ({"OutputPath": "$.b[0]"}, 2),
        ({"OutputPath": None}, {}),
        (
            {"Parameters": {"a.$": "$.b", "c": {"d.$": "$.a"}, "e": [{"f.$": "$.a"}, "$.a"]}},
            {"a": [2], "c": {"d": 1}, "e": [{"f": 1}, "$.a"]},
        ),
        ({"Result": 5, "ResultPath": "$.c.d"}, {"a": 1, "b": [2], "c": {"d": 5}}),
        ({"Result": 5, "ResultPath": None}, {"a": 1, "b": [2]}),
        ({"InputPath": "$.b", "ResultPath": "$.copy"}, {"a": 1, "b": [2], "copy": [2]}),
        (
            {
                "InputPath": "$.b",
                "Parameters": {"x.$": "$[0]"},
                "ResultPath": "$.c",
                "OutputPath": "$.c",
            },
            {"x": 2},
        ),
    ],
)
def test_pass_combines_input_and_result(fields: dict[str, Any], output: JSON) -> None:
    data = {"a": 1, "b": [2]}
    assert run_state({"Type": "Pass", **fields}, data).output == output
    assert data == {"a": 1, "b": [2]}


def test_variables_are_visible_from_the_next_state() -> None:
    ended = run(
        {
            "First": {"Type": "Pass", "Assign": {"n": 1, "all.$": "$"}, "Next": "Second"},
            "Second": {
                "Type": "Pass",
                "Assign": {"n": 2, "old.$": "$n"},
                "OutputPath": "$n",
                "Next": "Third",
            },
            "Third": {
                "Type": "Pass",
                "Parameters": {"n.$": "$n", "old.$": "$old", "all.$": "$all"},
                "End": True,
            },
        },
        "in",
    )
    assert ended.output == {"n": 2, "old": 1, "all": "in"}


def test_a_choice_assigns_the_variables_of_its_rule_or_of_its_default() -> None:
    states: dict[str, Any] = {
        "C": {
            "Type": "Choice",
            "Choices": [{"Variable": "$", "NumericEquals": 1, "Assign": {"v": "one"}, "Next": "P"}],
            "Assign": {"v": "other"},
            "Default": "P",
        },
        "P": {"Type": "Pass", "InputPath": "$v", "End": True},
    }
    assert [run(states, data).output for data in (1, 2)] == ["one", "other"]


def test_a_choice_without_a_match_or_a_default_ends_the_execution() -> None:
    rule = {"Variable": "$", "NumericEquals": 1, "Next": "P"}
    ended = run({"C": {"Type": "Choice", "Choices": [rule]}, "P": {"Type": "Succeed"}}, 2)
    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")
    assert ended.cause == (
        "An error occurred while executing the state 'C' (entered at the event id #2). "
        "Failed to transition out of the state. The state does not point to a next state."
    )


@pytest.mark.parametrize(
    ("fields", "waited"),
    [
        ({"Seconds": 90}, 90),
        ({"Seconds": 0}, 0),
        ({"SecondsPath": "$.s"}, 30),
        ({"Timestamp": "2026-01-01T00:01:00Z"}, 60),
        ({"Timestamp": "2001-01-01T00:00:00Z"}, 0),
        ({"TimestampPath": "$.t"}, 3600),
    ],
)
def test_a_wait_has_the_declared_duration(fields: dict[str, Any], waited: float) -> None:
    data = {"s": 30, "t": "2026-01-01T02:00:00+01:00"}
    definition = {"StartAt": "W", "States": {"W": {"Type": "Wait", **fields, "End": True}}}
    host = VirtualHost(compile_definition(definition, name="wait"))
    assert host.run(data).output == data
    assert host.now - EPOCH == waited


@pytest.mark.parametrize(
    ("fields", "given", "problem"),
    [
        (
            {"SecondsPath": "$.s"},
            {},
            "The SecondsPath parameter does not reference an input value: $.s",
        ),
        (
            {"SecondsPath": "$.s"},
            {"s": "5"},
            "The SecondsPath parameter cannot be parsed as a long value: $.s == 5",
        ),
        (
            {"SecondsPath": "$.s"},
            {"s": None},
            "The SecondsPath parameter cannot be parsed as a long value: $.s == null",
        ),
        (
            {"SecondsPath": "$.s"},
            {"s": -1},
            "The SecondsPath parameter references a negative value: $.s == -1",
        ),
        ({"SecondsPath": "$.s"}, {"s": 2**31}, "Wait state delay is too long."),
        (
            {"TimestampPath": "$.t"},
            {},
            "The TimestampPath parameter does not reference an input value: $.t",
        ),
        (
            {"TimestampPath": "$.t"},
            {"t": 5},
            f"The TimestampPath parameter {NO_TIMESTAMP}: $.t == 5",
        ),
        ({"Timestamp": "2999-01-01T00:00:00Z"}, {}, "Wait state delay is too long."),
    ],
)
def test_a_wait_for_an_invalid_time_ends_the_execution(
    fields: dict[str, Any], given: JSON, problem: str
) -> None:
    ended = run_state({"Type": "Wait", **fields}, given)
    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")
    prefix = "An error occurred while executing the state 'S' (entered at the event id #2). "
    assert ended.cause == prefix + problem


@pytest.mark.parametrize(
    ("fields", "error", "cause"),
    [
        ({}, None, None),
        ({"Error": "E", "Cause": "C"}, "E", "C"),
        ({"ErrorPath": "$.e", "CausePath": "States.Format('{}!', $.e)"}, "Gone", "Gone!"),
    ],
)
def test_a_fail_state_ends_the_execution_with_its_error_and_cause(
    fields: dict[str, Any], error: str | None, cause: str | None
) -> None:
    ended = run_state({"Type": "Fail", **fields}, {"e": "Gone"})
    assert (ended.status, ended.error, ended.cause) == ("FAILED", error, cause)


def test_succeed_ends_the_execution() -> None:
    ended = run(
        {"S": {"Type": "Succeed", "InputPath": "$.a", "OutputPath": "$.b"}}, {"a": {"b": 1}}
    )
    assert ended == Ended("SUCCEEDED", 1, None, None)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"InputPath": "$.x"}, "Invalid path '$.x' : No results for path: $['x']"),
        ({"OutputPath": "$.x.y"}, "Invalid path '$.x.y' : Missing property in path $['x']"),
        (
            {"Parameters": {"p.$": "$.x"}},
            f"The JSONPath '$.x' specified for the field 'p.$' {NOT_IN_INPUT}",
        ),
    ],
)
def test_a_path_that_selects_nothing_ends_the_execution(
    fields: dict[str, Any], problem: str
) -> None:
    ended = run_state({"Type": "Pass", **fields}, {"a": 1})
    assert (ended.status, ended.error) == ("FAILED", "States.Runtime")
    assert ended.cause is not None
    assert ended.cause.endswith(f"(entered at the event id #2). {problem}")


def test_an_endless_loop_ends_at_the_limit_of_events() -> None:
    ended = run({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}})
    assert ended.error == "States.Runtime"
    assert ended.cause == "The execution reached the maximum number of history events (25000)."


def test_an_execution_can_time_out() -> None:
    states = {"W": {"Type": "Wait", "Seconds": 60, "End": True}}
    definition = {"StartAt": "W", "States": states, "TimeoutSeconds": 5}
    host = VirtualHost(compile_definition(definition, name="late"))
    assert host.run() == Ended("TIMED_OUT", None, None, None)
    assert (host.now - EPOCH, host.cancelled) == (5, [1])


def test_an_execution_that_ends_in_time_cancels_its_timer() -> None:
    states = {"W": {"Type": "Wait", "Seconds": 3, "End": True}}
    definition = {"StartAt": "W", "States": states, "TimeoutSeconds": 5}
    host = VirtualHost(compile_definition(definition, name="in-time"))
    assert host.run().status == "SUCCEEDED"
    assert (host.now - EPOCH, host.cancelled) == (3, [0])
