"""TestState: the result of one state, and each step of its data flow."""

import json
from typing import Any

import pytest

from infra.asl.single_state import Given, MissingAnswer, run_state
from infra.errors import InvalidRequest
from infra.server.single_state import answer_test_state

TASK: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
    "InputPath": "$.order",
    "Parameters": {"id.$": "$.id"},
    "ResultSelector": {"paid.$": "$.amount"},
    "ResultPath": "$.payment",
    "OutputPath": "$.payment",
    "Next": "Ship",
    "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 3, "MaxAttempts": 2}],
    "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Refund"}],
}
DATA = {"order": {"id": 7}}


def test_each_step_of_a_tasks_data_flow_is_shown() -> None:
    found = run_state("Pay", TASK, DATA, given=Given({"amount": 5, "rest": 1}))
    assert (found.status, found.output, found.next_state) == ("SUCCEEDED", {"paid": 5}, "Ship")
    assert found.steps == {
        "input": DATA,
        "afterInputPath": {"id": 7},
        "afterParameters": {"id": 7},
        "result": {"amount": 5, "rest": 1},
        "afterResultSelector": {"paid": 5},
        "afterResultPath": {**DATA, "payment": {"paid": 5}},
    }


@pytest.mark.parametrize(
    ("retries", "error", "status", "following", "seconds"),
    [
        (0, "Busy", "RETRIABLE", None, 3),
        (1, "Busy", "RETRIABLE", None, 6),
        (2, "Busy", "CAUGHT_ERROR", "Refund", None),
        (0, "Broken", "CAUGHT_ERROR", "Refund", None),
    ],
)
def test_an_error_is_retried_or_caught(
    retries: int, error: str, status: str, following: str | None, seconds: float | None
) -> None:
    state = {**TASK, "OutputPath": "$"}
    found = run_state("Pay", state, DATA, given=Given(error=error, cause="c"), retries=retries)
    assert (found.status, found.next_state, found.error, found.cause) == (
        *(status, following),
        *(error, "c"),
    )
    assert found.retry_seconds == seconds
    if following:
        assert found.output == {**DATA, "failure": {"Error": error, "Cause": "c"}}


def test_an_error_without_retriers_fails() -> None:
    state = {key: value for key, value in TASK.items() if key not in ("Retry", "Catch")}
    found = run_state("Pay", state, DATA, given=Given(error="E", cause="c"))
    assert (found.status, found.error, found.cause) == ("FAILED", "E", "c")


def test_the_steps_end_where_a_path_selects_nothing() -> None:
    found = run_state("Pay", TASK, {"order": {}}, given=Given({}))
    assert found.status == "FAILED"
    assert found.steps == {"input": {"order": {}}, "afterInputPath": {}}


def test_a_choice_names_its_successor() -> None:
    rule = {"Variable": "$.n", "NumericEquals": 1, "Next": "One"}
    state = {"Type": "Choice", "Choices": [rule], "Default": "Other"}
    assert run_state("C", state, {"n": 1}).next_state == "One"
    assert run_state("C", state, {"n": 2}).next_state == "Other"


def test_jsonata_has_arguments_variables_and_a_result() -> None:
    state = {
        "Type": "Task",
        "Resource": TASK["Resource"],
        "Arguments": {"n": "{% $states.input.n + $v %}"},
        "Assign": {"w": "{% $states.result %}"},
        "Output": "{% $states.result * 2 %}",
        "End": True,
    }
    found = run_state("T", state, {"n": 1}, given=Given(4), variables={"v": 2}, language="JSONata")
    assert (found.output, found.next_state, found.variables) == (8, None, {"w": 4})
    assert found.steps["afterArguments"] == {"n": 3}


def test_a_map_is_tested_with_its_result() -> None:
    inner = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
    state = {"Type": "Map", "ItemProcessor": inner, "ResultPath": "$.r", "End": True}
    assert run_state("M", state, {"a": 1}, given=Given([1])).output == {"a": 1, "r": [1]}


def test_a_wait_takes_no_time() -> None:
    assert run_state("W", {"Type": "Wait", "Seconds": 900, "Next": "N"}, 1).next_state == "N"


def test_a_task_needs_an_answer() -> None:
    with pytest.raises(MissingAnswer, match="the state Pay is a Task"):
        run_state("Pay", TASK, DATA)


def test_the_operation_answers_as_aws_does() -> None:
    request = {
        "definition": json.dumps(TASK),
        "input": json.dumps(DATA),
        "mock": {"result": '{"amount":5}'},
    }
    assert answer_test_state(request) == {
        "status": "SUCCEEDED",
        "output": '{"paid":5}',
        "nextState": "Ship",
    }
    debug = answer_test_state({**request, "inspectionLevel": "DEBUG"})
    assert debug["inspectionData"]["afterParameters"] == '{"id":7}'


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"definition": "{"}, "ValidationException", "definition is not JSON"),
        ({"definition": "{}"}, "InvalidDefinition", "'Type' is required"),
        ({"definition": json.dumps(TASK)}, "ValidationException", "in mock"),
        ({"definition": "{}", "mock": {}}, "ValidationException", "either result or errorOutput"),
        ({"definition": "{}", "x": 1}, "ValidationException", "x is not supported"),
        ({"definition": "{}", "inspectionLevel": "ALL"}, "ValidationException", "one of INFO"),
    ],
)
def test_the_operation_refuses(request_: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as refused:
        answer_test_state(request_)
    assert refused.value.code == code


INVOKE: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "process-order"},
    "End": True,
}
PROCESSED: dict[str, Any] = {"orderId": "12345", "status": "processed"}
BRANCH = {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": True}}}


@pytest.mark.parametrize(
    ("state", "data", "given", "steps"),
    [
        (
            INVOKE,
            {},
            Given(PROCESSED),
            {
                "input": {},
                "afterInputPath": {},
                "afterParameters": {"FunctionName": "process-order"},
                "result": PROCESSED,
                "afterResultSelector": PROCESSED,
                "afterResultPath": PROCESSED,
            },
        ),
        (
            INVOKE,
            {},
            Given(error="Lambda.ServiceException", cause="Function failed"),
            {
                "input": {},
                "afterInputPath": {},
                "afterParameters": {"FunctionName": "process-order"},
            },
        ),
        (
            {"Type": "Map", "ItemProcessor": BRANCH, "End": True},
            [1, 2],
            Given([3, 4]),
            {
                "input": [1, 2],
                "afterInputPath": [1, 2],
                "afterResultSelector": [3, 4],
                "afterResultPath": [3, 4],
            },
        ),
        (
            {"Type": "Parallel", "Branches": [BRANCH, BRANCH], "End": True},
            {},
            Given([1, 2]),
            {"input": {}, "afterResultSelector": [1, 2], "afterResultPath": [1, 2]},
        ),
        (
            {
                "Type": "Pass",
                "InputPath": "$.payload",
                "Parameters": {"data": 1},
                "ResultPath": "$.result",
                "OutputPath": "$.result.data",
                "Next": "Another State",
            },
            {"payload": {"foo": "bar"}},
            None,
            {
                "input": {"payload": {"foo": "bar"}},
                "afterInputPath": {"foo": "bar"},
                "afterParameters": {"data": 1},
                "afterResultSelector": {"data": 1},
                "afterResultPath": {"payload": {"foo": "bar"}, "result": {"data": 1}},
            },
        ),
    ],
)
def test_the_steps_are_those_of_awss_own_answers(
    state: dict[str, Any], data: Any, given: Given | None, steps: dict[str, Any]
) -> None:
    """The answers are in AWS's Developer Guide and in its announcement of mocks."""
    assert run_state("S", state, data, given=given).steps == steps


@pytest.mark.parametrize(
    ("error", "details"),
    [
        ("Busy", {"retryIndex": 1, "retryBackoffIntervalSeconds": 3}),
        ("Odd", {"catchIndex": 0}),
        ("Else", {"catchIndex": 1}),
    ],
)
def test_the_handler_of_an_error_is_told(error: str, details: Any) -> None:
    state = {
        **INVOKE,
        "Retry": [
            {"ErrorEquals": ["Never"]},
            {"ErrorEquals": ["Busy"], "IntervalSeconds": 3},
        ],
        "Catch": [
            {"ErrorEquals": ["Odd"], "Next": "Handle"},
            {"ErrorEquals": ["States.ALL"], "Next": "Handle"},
        ],
    }
    request = {
        "definition": json.dumps(state),
        "mock": {"errorOutput": {"error": error}},
        "inspectionLevel": "DEBUG",
    }
    assert answer_test_state(request)["inspectionData"]["errorDetails"] == details


ITEMS: dict[str, Any] = {
    "Type": "Map",
    "ItemsPath": "$.items",
    "ItemSelector": {
        "value.$": "$$.Map.Item.Value",
        "index.$": "$$.Map.Item.Index",
        "kind.$": "$.kind",
    },
    "MaxConcurrencyPath": "$.most",
    "ToleratedFailurePercentage": 12.5,
    "ItemProcessor": {
        "StartAt": "Item",
        "States": {
            "Item": {"Type": "Pass", "Parameters": {"at.$": "$$.Map.Item.Index"}, "End": True}
        },
    },
    "End": True,
}


def test_a_map_shows_its_items_and_its_limits() -> None:
    data = {"items": [1, 2], "kind": "k", "most": 3}
    found = run_state("Each", ITEMS, data, given=Given([10, 20]))
    assert found.steps == {
        "input": data,
        "afterInputPath": data,
        "afterItemsPath": [1, 2],
        "afterItemSelector": [
            {"value": 1, "index": 0, "kind": "k"},
            {"value": 2, "index": 1, "kind": "k"},
        ],
        "maxConcurrency": 3,
        "toleratedFailurePercentage": 12.5,
        "afterResultSelector": [10, 20],
        "afterResultPath": [10, 20],
    }
    request = {
        "definition": json.dumps(ITEMS),
        "input": json.dumps(data),
        "mock": {"result": "[10,20]"},
        "inspectionLevel": "DEBUG",
    }
    told = answer_test_state(request)["inspectionData"]
    assert (told["maxConcurrency"], told["afterItemsPath"]) == (3, "[1,2]")


def test_a_jsonata_map_shows_its_items() -> None:
    state = {
        "Type": "Map",
        "Items": "{% $states.input.items %}",
        "ItemSelector": {"twice": "{% $states.context.Map.Item.Value * 2 %}"},
        "ItemProcessor": BRANCH,
        "End": True,
    }
    found = run_state("Each", state, {"items": [1, 2]}, given=Given([3]), language="JSONata")
    assert found.steps["afterItemSelector"] == [{"twice": 2}, {"twice": 4}]


def test_a_state_within_a_map_is_named_and_has_the_first_item() -> None:
    fork = {"Type": "Parallel", "Branches": [BRANCH], "Next": "Each"}
    machine = {"StartAt": "Fork", "States": {"Fork": fork, "Each": ITEMS}}
    request = {"definition": json.dumps(machine), "stateName": "Item", "input": "7"}
    assert answer_test_state(request)["output"] == '{"at":0}'
    given = {**request, "context": '{"Map":{"Item":{"Index":4,"Value":7}}}'}
    assert answer_test_state(given)["output"] == '{"at":4}'
    assert answer_test_state({**request, "stateName": "B"})["output"] == "7"
    with pytest.raises(InvalidRequest, match="names no state"):
        answer_test_state({**request, "stateName": "None"})
    with pytest.raises(InvalidRequest, match="stateName is a text"):
        answer_test_state({**request, "stateName": ["B"]})


def test_another_setting_is_refused_by_name() -> None:
    request = {"definition": '{"Type":"Succeed"}', "stateConfiguration": {"retries": 1}}
    with pytest.raises(InvalidRequest, match=r"stateConfiguration\.retries is not supported"):
        answer_test_state(request)
