"""The history: AWS's events, their numbers and their shape."""

from typing import Any

from infra.asl import RunTask, TaskFailed, TaskSucceeded, compile_definition
from tests.unit.asl.virtual_host import EPOCH, Answer, VirtualHost

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:pay"


def history_of(states: dict[str, Any], data: Any = None, **host: Any) -> list[dict[str, Any]]:
    machine = compile_definition({"StartAt": next(iter(states)), "States": states}, name="history")
    played = VirtualHost(machine, **host)
    played.run(data, {"Execution": {"Input": data, "RoleArn": "role"}})
    return [event.to_json() for event in played.history]


def test_events_have_the_shape_of_get_execution_history() -> None:
    state = {"Type": "Pass", "Result": {"x": "\u00fc"}, "Assign": {"v": 1}, "End": True}
    assert history_of({"P": state}, {"a": None}) == [
        {
            "id": 1,
            "previousEventId": 0,
            "timestamp": EPOCH,
            "type": "ExecutionStarted",
            "executionStartedEventDetails": {
                "input": '{"a":null}',
                "inputDetails": {"truncated": False},
                "roleArn": "role",
            },
        },
        {
            "id": 2,
            "previousEventId": 0,
            "timestamp": EPOCH,
            "type": "PassStateEntered",
            "stateEnteredEventDetails": {
                "name": "P",
                "input": '{"a":null}',
                "inputDetails": {"truncated": False},
            },
        },
        {
            "id": 3,
            "previousEventId": 2,
            "timestamp": EPOCH,
            "type": "PassStateExited",
            "stateExitedEventDetails": {
                "name": "P",
                "output": '{"x":"\u00fc"}',
                "outputDetails": {"truncated": False},
                "assignedVariables": {"v": "1"},
                "assignedVariablesDetails": {"truncated": False},
            },
        },
        {
            "id": 4,
            "previousEventId": 3,
            "timestamp": EPOCH,
            "type": "ExecutionSucceeded",
            "executionSucceededEventDetails": {
                "output": '{"x":"\u00fc"}',
                "outputDetails": {"truncated": False},
            },
        },
    ]


def test_functions_and_services_have_different_events() -> None:
    def once_failing(task: RunTask) -> Answer:
        if task.attempt == 0:
            return TaskFailed(task.token, "Boom", "why")
        return TaskSucceeded(task.token, 1)

    retry = [{"ErrorEquals": ["Boom"]}]
    states = {
        "F": {
            "Type": "Task",
            "Resource": FUNCTION,
            "TimeoutSeconds": 9,
            "Retry": retry,
            "Next": "S",
        },
        "S": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Retry": retry,
            "End": True,
        },
    }
    events = history_of(states, 0, perform=once_failing)[1:-1]
    assert [event["type"] for event in events] == [
        "TaskStateEntered",
        *("LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionFailed"),
        *("LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionSucceeded"),
        *("TaskStateExited", "TaskStateEntered"),
        *("TaskScheduled", "TaskStarted", "TaskFailed"),
        *("TaskScheduled", "TaskStarted", "TaskSucceeded"),
        "TaskStateExited",
    ]
    assert events[1]["lambdaFunctionScheduledEventDetails"] == {
        "resource": FUNCTION,
        "input": "0",
        "inputDetails": {"truncated": False},
        "timeoutInSeconds": 9,
    }
    assert "lambdaFunctionStartedEventDetails" not in events[2]
    assert events[3]["lambdaFunctionFailedEventDetails"] == {"error": "Boom", "cause": "why"}
    assert events[9]["taskScheduledEventDetails"] == {
        "resource": "sendMessage",
        "resourceType": "sqs",
        "parameters": "1",
    }
    assert [event["timestamp"] - EPOCH for event in events] == [0] * 4 + [1] * 8 + [2] * 4


def test_a_map_records_its_iterations_with_consecutive_ids() -> None:
    states = {
        "M": {
            "Type": "Map",
            "MaxConcurrency": 1,
            "End": True,
            "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}},
        }
    }
    events = history_of(states, ["a", "b"])
    iteration = [
        *("MapIterationStarted", "PassStateEntered", "PassStateExited", "MapIterationSucceeded"),
    ]
    assert [event["type"] for event in events] == [
        *("ExecutionStarted", "MapStateEntered", "MapStateStarted"),
        *iteration,
        *iteration,
        *("MapStateSucceeded", "MapStateExited", "ExecutionSucceeded"),
    ]
    assert events[2]["mapStateStartedEventDetails"] == {"length": 2}
    assert events[7]["mapIterationStartedEventDetails"] == {"name": "M", "index": 1}
    assert [event["id"] for event in events] == list(range(1, 15))
    assert all(event["previousEventId"] < event["id"] for event in events)


def test_history_is_drained_once_and_survives_a_snapshot() -> None:
    states = {"W": {"Type": "Wait", "Seconds": 1, "End": True}}
    machine = compile_definition({"StartAt": "W", "States": states}, name="history")
    execution, _ = machine.start(None, {}, EPOCH)
    assert [event.type for event in execution.drain_history()] == [
        "ExecutionStarted",
        "WaitStateEntered",
    ]
    assert execution.drain_history() == []
