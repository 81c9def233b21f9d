"""StartExecution: any input is refused, or its execution ends; what is told of it can be read."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from infra.local.engine.executions import MAX_INPUT
from tests.doors.conftest import Through
from tests.doors.platforms import Shipped, Small
from tests.doors.port import Port
from tests.doors.texts import REPORTED, REPORTED_VALUES, is_taken, objects, texts, values
from tests.host import order
from tests.strategies import damaged

ARN = "arn:aws:states:us-east-1:000000000000:stateMachine"


def told(port: Port, arn: str) -> str:
    """Return an execution's status, having read all that the port tells of it."""
    body = json.dumps({"executionArn": arn}).encode()
    described = port.call("AWSStepFunctions.DescribeExecution", body)
    assert described.status == 200, described
    history = port.call("AWSStepFunctions.GetExecutionHistory", body)
    assert history.status == 200, history
    assert history.body["events"]
    return str(described.body["status"])


def test_an_input_of_any_json(through: Through, small: Small) -> None:
    def start(text: str) -> None:
        port = Port(small.engine)
        request = {"stateMachineArn": f"{ARN}:shop-flow", "input": text}
        started = port.call("AWSStepFunctions.StartExecution", json.dumps(request).encode())
        taken = not text or (is_taken(text) and len(text.encode(errors="replace")) <= MAX_INPUT)
        assert (started.status == 200) is taken, started
        if not taken:
            assert started.body["__type"] == "InvalidExecutionInput", started
            return
        small.rest()
        assert told(port, started.body["executionArn"]) == "SUCCEEDED"

    through(small, texts | objects, start, REPORTED)


def test_any_name(through: Through, small: Small) -> None:
    def start(name: Any) -> None:
        port = Port(small.engine)
        request = {"stateMachineArn": f"{ARN}:shop-flow", "input": "{}", "name": name}
        started = port.call("AWSStepFunctions.StartExecution", json.dumps(request).encode())
        if started.status != 200:
            refusals = {"InvalidName", "ExecutionAlreadyExists", "SerializationException"}
            if isinstance(name, int):  # a number that no field may have is refused first
                refusals.add("ValidationException")
            assert started.body["__type"] in refusals, started
            return
        small.rest()
        assert told(port, started.body["executionArn"]) == "SUCCEEDED"

    through(small, values | st.text(max_size=90), start, REPORTED_VALUES)


@pytest.mark.parametrize("machine", ["orderflow-order-processing", "OrderRecovery"])
def test_a_shipped_workflow_with_any_input(
    through: Through, shipped: Shipped, machine: str
) -> None:
    def start(value: Any) -> None:
        executions = shipped.engine.executions
        number = executions.new_name()
        asked = shipped.engine.call(lambda now: executions.start(machine, number, value, now))
        shipped.rest()
        status = told(Port(shipped.engine), asked.result(0))
        assert status in {"SUCCEEDED", "FAILED", "TIMED_OUT", "RUNNING"}

    inputs = values | damaged(st.just(order("A-1"))) | damaged(st.just(RESUME))
    through(shipped, inputs, start, REPORTED_VALUES)


RESUME = {"resume": {"order_id": "PLAIN-1"}, "order_id": "PLAIN-1", "wait_seconds": 5}
