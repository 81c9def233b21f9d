"""Names of variables, their size, and the parts of ``$states`` that a field may read."""

from typing import Any

import pytest

from infra.asl import DefinitionError, TaskSucceeded, compile_definition
from infra.asl.virtual import run_virtually

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
CONTEXT: dict[str, Any] = {"Execution": {"Input": {}}, "StateMachine": {}}


def compiled(state: dict[str, Any], language: str = "JSONPath", *, more: Any = None) -> Any:
    states = {"S": {"End": True, **state}, **(more or {})}
    definition = {"QueryLanguage": language, "StartAt": "S", "States": states}
    return compile_definition(definition, name="flow")


@pytest.mark.parametrize("language", ["JSONPath", "JSONata"])
@pytest.mark.parametrize("name", ["x", "a1", "a_b", "é", "ひ", "x" * 80])
def test_a_variable_is_named_by_a_unicode_identifier(name: str, language: str) -> None:
    compiled({"Type": "Pass", "Assign": {name: 1}}, language)


@pytest.mark.parametrize("language", ["JSONPath", "JSONata"])
@pytest.mark.parametrize(
    "name", ["", "1x", "_x", "$x", "a-b", "a b", "x.y", "x[2]", "states", "x" * 81]
)
def test_another_name_is_refused(name: str, language: str) -> None:
    with pytest.raises(DefinitionError, match="variable name") as refused:
        compiled({"Type": "Pass", "Assign": {name: 1}}, language)
    assert refused.value.place == f"/States/S/Assign/{name}"


def test_a_path_is_assigned_by_a_name_with_a_suffix_in_jsonpath_only() -> None:
    state: dict[str, Any] = {"Type": "Pass", "Assign": {"x.$": "$"}}
    compiled(state)
    with pytest.raises(DefinitionError):
        compiled(state, "JSONata")
    with pytest.raises(DefinitionError, match="'x y'"):
        compiled({"Type": "Pass", "Assign": {"x y.$": "$"}})


INNER = {"StartAt": "I", "States": {"I": {"Type": "Pass", "Assign": {"1": 1}, "End": True}}}


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"Type": "Parallel", "Branches": [INNER]}, "Branches[0]/States/I/Assign/1"),
        ({"Type": "Map", "ItemProcessor": INNER}, "ItemProcessor/States/I/Assign/1"),
        ({"Type": "Map", "Iterator": INNER}, "Iterator/States/I/Assign/1"),
        (
            {
                "Type": "Task",
                "Resource": FUNCTION,
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "T", "Assign": {"1": 1}}],
            },
            "Catch[0]/Assign/1",
        ),
    ],
)
def test_each_assignment_is_checked(state: dict[str, Any], place: str) -> None:
    others = {"T": {"Type": "Succeed"}} if "Catch" in state else {}
    with pytest.raises(DefinitionError) as refused:
        compiled(state, more=others)
    assert refused.value.place == f"/States/S/{place}"


def test_a_rule_of_a_choice_is_checked() -> None:
    rule = {"Variable": "$.a", "IsNull": True, "Next": "S", "Assign": {"a b": 1}}
    choice = {"Type": "Choice", "Choices": [rule], "Default": "S"}
    states = {"C": choice, "S": {"Type": "Succeed"}}
    with pytest.raises(DefinitionError, match="'a b'"):
        compile_definition({"StartAt": "C", "States": states}, name="flow")


TASK = {"Type": "Task", "Resource": FUNCTION}


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ({"Type": "Pass", "Output": "{% $states.result %}"}, "result"),
        ({"Type": "Wait", "Seconds": "{% $states . result.n %}"}, "result"),
        ({**TASK, "Arguments": {"a": ["{% 1 + $states.`result` %}"]}}, "result"),
        ({**TASK, "Output": "{% $states.errorOutput %}"}, "errorOutput"),
        ({**TASK, "Assign": {"x": "{% $states.errorOutput.Error %}"}}, "errorOutput"),
    ],
)
def test_a_part_of_states_is_refused_where_it_is_not_accessible(
    state: dict[str, Any], name: str
) -> None:
    with pytest.raises(DefinitionError, match=rf"\$states.{name}' is not accessible"):
        compiled(state, "JSONata")


@pytest.mark.parametrize(
    "state",
    [
        {**TASK, "Output": "{% $states.result %}", "Assign": {"x": "{% $states.result %}"}},
        {"Type": "Pass", "Output": "{% '$states.result' & \"$states.errorOutput\" %}"},
        {"Type": "Pass", "Output": "{% /* $states.result */ 1 %}"},
        {"Type": "Pass", "Output": "{% $states.input.result %}"},
        {"Type": "Pass", "Output": "{% $states.resultant %}"},
    ],
)
def test_other_expressions_are_accepted(state: dict[str, Any]) -> None:
    compiled(state, "JSONata")


def test_a_catcher_reads_the_error_but_not_the_result() -> None:
    catch = {"ErrorEquals": ["States.ALL"], "Next": "T"}
    last = {"T": {"Type": "Succeed"}}
    known = {**catch, "Output": "{% $states.errorOutput %}"}
    compiled({**TASK, "Catch": [known]}, "JSONata", more=last)
    unknown = {**catch, "Assign": {"x": "{% $states.result %}"}}
    with pytest.raises(DefinitionError, match="is not accessible"):
        compiled({**TASK, "Catch": [unknown]}, "JSONata", more=last)


@pytest.mark.parametrize(("number", "status"), [(40, "SUCCEEDED"), (42, "FAILED")])
def test_all_variables_of_an_execution_have_at_most_ten_mebibytes(number: int, status: str) -> None:
    """Each is as large as one may be: 256 KiB with its name."""
    text = "x" * (256 * 1024 - 12)
    states: dict[str, Any] = {}
    for index in range(number):
        following = {"Next": f"S{index + 1}"} if index < number - 1 else {"End": True}
        states[f"S{index}"] = {"Type": "Pass", "Assign": {f"v{index:02}.$": "$"}, **following}
    machine = compile_definition({"StartAt": "S0", "States": states}, name="flow")
    answer = lambda task: TaskSucceeded(task.token, None)  # noqa: E731
    ran = run_virtually(machine, text, CONTEXT, answer, 0.0)
    assert ran.ended.status == status
    if status == "FAILED":
        assert ran.ended.error == "States.DataLimitExceeded"
        assert "stored variables" in str(ran.ended.cause)
