"""JSONata as query language: data flow, errors, and the bounds of an evaluation."""

import subprocess
import sys
import time
from typing import Any

import pytest

from infra.asl import DefinitionError, TaskFailed, compile_definition
from infra.asl.queries.client import SECONDS, Client, QueryProblem
from tests.unit.asl.virtual_host import EPOCH, VirtualHost

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
ENDLESS = "($f := function($x){$f($x)}; $f(1))"
MACHINE = {"Execution": {"Name": "one"}, "StateMachine": {"Name": "m"}}


def run(states: dict[str, Any], data: Any = None, **options: Any) -> VirtualHost:
    """Run a JSONata machine that starts at its first state."""
    definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states}
    host = VirtualHost(compile_definition(definition, name="m"), **options)
    host.run(data, MACHINE)
    return host


def output(query: Any, data: Any = None) -> Any:
    """Return the output of a Pass."""
    host = run({"S": {"Type": "Pass", "Output": query, "End": True}}, data)
    assert host.ended is not None
    assert host.ended.status == "SUCCEEDED", host.ended.cause
    return host.ended.output


def failure(state: dict[str, Any], data: Any = None) -> str:
    """Return the cause of a state's States.QueryEvaluationError."""
    host = run({"S": {"End": True, **state}}, data)
    assert host.ended is not None
    assert host.ended.error == "States.QueryEvaluationError"
    return str(host.ended.cause)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("1 /* a note */", 1),
        ("/* a */ 1 /* b */ + 1 /* c */ /* d */ ", 2),
        ("'a /* b' /* c */", "a /* b"),
        ('"*/"', "*/"),
    ],
)
def test_a_comment_may_end_an_expression(query: str, expected: Any) -> None:
    assert output(f"{{% {query} %}}") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{% $states.input.n + 1 %}", 6),
        ("{% 4 / 2 %}", 2),
        ("{% 1 / 4 %}", 0.25),
        ("{% $states.input.none %}", None),
        ("{% $states.input.items %}", [0]),
        ("{% $states.context.Execution.Name %}", "one"),
        ("{% $states.context.State.Name %}", "S"),
        ("{% $millis() %}", 1_767_225_600_000),
        ("{% $now() %}", "2026-01-01T00:00:00.000Z"),
        ("{% $partition([1, 2, 3], 2) %}", [[1, 2], [3]]),
        ("{% $range(0, 10, 5) %}", [0, 5, 10]),
        ("{% $range(5, 0, -5) %}", [5, 0]),
        ("{% $hash('a', 'MD5') %}", "0cc175b9c0f1b6a831c399e269772661"),
        ("""{% $parse('{"a":[null]}') %}""", {"a": [None]}),
        ("{% $random(7) = $random(7) %}", True),
        ("{% $length($uuid()) %}", 36),
        (["{% 1 %}", {"a": "{% 'b' %}", "c": "$d"}], [1, {"a": "b", "c": "$d"}]),
        (" {% 1 %}", " {% 1 %}"),
    ],
)
def test_an_expression_has_the_value_that_aws_documents(query: Any, expected: Any) -> None:
    result = output(query, {"n": 5, "none": None, "items": [0]})
    assert (type(result), result) == (type(expected), expected)


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("{% $nope %}", "for the field 'Output' returned nothing (undefined)."),
        ({"a": ["{% $nope %}"]}, "for the field 'Output/a[0]' returned nothing (undefined)."),
        ("{% function($x){$x} %}", "returned an unsupported result type."),
        ("{% $eval('1') %}", "during evaluation. T1006: Attempted to invoke a non-function"),
        ("{% 1 + 'a' %}", "T2002: The right side of the + operator must evaluate to a number"),
        ("{% $parse('{') %}", "is not JSON"),
        ("{% $hash('a', 'CRC') %}", "is not one of MD5"),
        ("{% $range(0, 9, 0) %}", "must not be zero"),
        ("{% $partition([1], 0) %}", "must be positive"),
    ],
)
def test_an_expression_without_a_result_fails_its_state(query: Any, cause: str) -> None:
    assert cause in failure({"Type": "Pass", "Output": query})


@pytest.mark.parametrize(
    "query",
    [
        ENDLESS,
        "($f := function($x){1 + $f($x)}; $f(1))",
        "$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /(a+)+$/)",
        "$pad('x', 4000000000)",
        "($f := function($x){$f($x & $x)}; $f('abc'))",
    ],
    ids=["endless loop", "endless recursion", "regular expression", "memory", "growth"],
)
def test_an_evaluation_is_bounded_and_others_go_on(query: str) -> None:
    began = time.monotonic()
    failure({"Type": "Pass", "Output": f"{{% {query} %}}"})
    assert time.monotonic() - began < SECONDS + 2
    assert output("{% 1 %}") == 1


def test_an_expression_that_exceeded_its_time_has_less_afterwards() -> None:
    client = Client()
    taken = []
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(QueryProblem, match="D1012"):
            client.evaluate([ENDLESS], {}, {}, EPOCH, 0.5)
        taken.append(time.monotonic() - began)
    client.close()
    assert taken[1] < taken[0] * 0.8
    assert taken[2] < taken[1] * 0.8


def test_a_killed_evaluator_is_replaced() -> None:
    client = Client()
    assert client.evaluate(["1"], {}, {}, EPOCH, 0.5) == [1]
    process = client._process  # noqa: SLF001
    assert process is not None
    process.kill()
    process.wait()
    assert client.evaluate(["2"], {}, {}, EPOCH, 0.5) == [2]
    client.close()


def test_output_and_assign_read_the_variables_before_the_state() -> None:
    first = {
        "Type": "Pass",
        "Assign": {"x": 1},
        "Next": "B",
    }
    second = {
        "Type": "Pass",
        "Assign": {"x": "{% $x + 1 %}"},
        "Output": "{% $x %}",
        "Next": "C",
    }
    third = {"Type": "Pass", "Output": ["{% $states.input %}", "{% $x %}"], "End": True}
    host = run({"A": first, "B": second, "C": third})
    assert host.ended is not None
    assert host.ended.output == [1, 2]


def test_a_task_has_arguments_and_a_result() -> None:
    task = {
        "Type": "Task",
        "Resource": FUNCTION,
        "Arguments": {"n": "{% $states.input.n * 2 %}"},
        "Output": "{% [$states.input.n, $states.result.n] %}",
        "End": True,
    }
    host = run({"S": task}, {"n": 4})
    assert host.ended is not None
    assert host.ended.output == [4, 8]


def test_a_catcher_reads_the_error_output() -> None:
    catcher = {
        "ErrorEquals": ["States.ALL"],
        "Output": "{% $states.errorOutput.Error & $states.input %}",
        "Assign": {"cause": "{% $states.errorOutput.Cause %}"},
        "Next": "B",
    }
    states = {
        "A": {"Type": "Task", "Resource": FUNCTION, "Catch": [catcher], "End": True},
        "B": {"Type": "Pass", "Output": ["{% $states.input %}", "{% $cause %}"], "End": True},
    }
    host = run(states, "!", perform=lambda task: TaskFailed(task.token, "Bad", "why"))
    assert host.ended is not None
    assert host.ended.output == ["Bad!", "why"]


def test_a_query_failure_can_be_caught() -> None:
    catcher = {"ErrorEquals": ["States.QueryEvaluationError"], "Output": "caught", "Next": "B"}
    task = {"Type": "Task", "Resource": FUNCTION, "Arguments": "{% $nope %}", "Catch": [catcher]}
    host = run({"A": {**task, "End": True}, "B": {"Type": "Succeed"}})
    assert host.ended is not None
    assert host.ended.output == "caught"


def test_a_restarted_map_has_the_items_of_its_start() -> None:
    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 10, "End": True}}}
    items = "{% [$millis(), $millis() + 1, $millis() + 2] %}"
    state = {"Type": "Map", "Items": items, "MaxConcurrency": 1, "ItemProcessor": wait}
    host = run({"S": {**state, "End": True}})
    assert host.ended is not None
    start = int(EPOCH * 1000)
    assert host.ended.output == [start, start + 1, start + 2]


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ({"Type": "Wait", "Seconds": "{% 'a' %}"}, "Expected 'number', but was 'string'"),
        ({"Type": "Wait", "Seconds": "{% 0.5 %}"}, "cannot be parsed as an integer: 0.5"),
        ({"Type": "Wait", "Seconds": "{% -1 %}"}, "must be between 0 and 99999999 but was: -1"),
        ({"Type": "Wait", "Timestamp": "{% 'noon' %}"}, "cannot be parsed as an ISO-8601"),
        (
            {"Type": "Task", "Resource": FUNCTION, "TimeoutSeconds": "{% 0 %}"},
            "TimeoutSeconds must be from 1",
        ),
    ],
)
def test_a_setting_of_another_type_fails_its_state(state: dict[str, Any], cause: str) -> None:
    assert cause in failure(state)


def test_a_condition_must_be_boolean() -> None:
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% 1 %}", "Next": "B"}]}
    host = run({"S": choice, "B": {"Type": "Succeed"}})
    assert host.ended is not None
    assert "Expected 'boolean', but was 'number' for value: 1" in str(host.ended.cause)


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({"Type": "Pass", "Output": "{% (1 %}", "End": True}, "not a valid JSONata expression"),
        ({"Type": "Pass", "Parameters": {}, "End": True}, "'Parameters' is not supported by"),
        ({"Type": "Pass", "OutputPath": "$", "End": True}, "'OutputPath' is not supported by"),
        ({"Type": "Wait", "SecondsPath": "$.s", "End": True}, "One of Seconds, Timestamp"),
        (
            {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "S"}]},
            "'Condition' is required",
        ),
        ({"Type": "Pass", "QueryLanguage": "JSONPath", "End": True}, "cannot use"),
    ],
)
def test_a_field_of_jsonpath_is_refused_by_name(state: dict[str, Any], problem: str) -> None:
    definition = {"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}}
    with pytest.raises(DefinitionError, match=problem):
        compile_definition(definition, name="m")


def test_a_machine_of_jsonpath_neither_imports_nor_starts_the_library() -> None:
    program = (
        "import sys\nfrom infra.asl import compile_definition\n"
        "from infra.asl.queries.client import CLIENT\n"
        "states = {'S': {'Type': 'Pass', 'End': True}}\n"
        "compile_definition({'StartAt': 'S', 'States': states}, name='m').start({}, {}, 0)\n"
        "assert 'jsonata' not in sys.modules\nassert CLIENT.get()._process is None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
