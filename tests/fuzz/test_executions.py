"""Fuzz StartExecution: an input is refused or its execution ends, with a readable history."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from infra.local.engine.executions import MAX_INPUT
from tests.fuzz.conftest import Fuzz
from tests.fuzz.platforms import Shipped, Small
from tests.fuzz.port import Port
from tests.fuzz.texts import REPORTED, REPORTED_VALUES, is_taken, objects, texts, values
from tests.host import order
from tests.strategies import damaged

ARN = "arn:aws:states:us-east-1:000000000000:stateMachine"


def status_of(port: Port, arn: str) -> str:
    """Return an execution's status, after reading its description and history."""
    body = json.dumps({"executionArn": arn}).encode()
    described = port.call("AWSStepFunctions.DescribeExecution", body)
    assert described.status == 200, described
    history = port.call("AWSStepFunctions.GetExecutionHistory", body)
    assert history.status == 200, history
    assert history.body["events"]
    return str(described.body["status"])


def test_an_input_of_any_json(fuzz: Fuzz, small: Small) -> None:
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
        assert status_of(port, started.body["executionArn"]) == "SUCCEEDED"

    fuzz(small, texts | objects, start, REPORTED)


def test_any_name(fuzz: Fuzz, small: Small) -> None:
    def start(name: Any) -> None:
        port = Port(small.engine)
        request = {"stateMachineArn": f"{ARN}:shop-flow", "input": "{}", "name": name}
        started = port.call("AWSStepFunctions.StartExecution", json.dumps(request).encode())
        if started.status != 200:
            refusals = {"InvalidName", "ExecutionAlreadyExists", "SerializationException"}
            if not isinstance(name, str):  # a number out of range is refused first
                refusals.add("ValidationException")
            assert started.body["__type"] in refusals, started
            return
        small.rest()
        assert status_of(port, started.body["executionArn"]) == "SUCCEEDED"

    fuzz(small, values | st.text(max_size=90), start, REPORTED_VALUES)


@pytest.mark.parametrize("state_machine", ["orderflow-order-processing", "OrderRecovery"])
def test_a_shipped_workflow_with_any_input(
    fuzz: Fuzz, shipped: Shipped, state_machine: str
) -> None:
    def start(value: Any) -> None:
        executions = shipped.engine.executions
        number = executions.new_name()
        answered = shipped.engine.call(
            lambda now: executions.start(state_machine, number, value, now)
        )
        shipped.rest()
        status = status_of(Port(shipped.engine), answered.result(0))
        assert status in {"SUCCEEDED", "FAILED", "TIMED_OUT", "RUNNING"}
        given_up = "select body from messages where queue = 'RetryDeadLetterQueue'"
        assert shipped.rows(given_up) == [], "no retry corrects an input"

    inputs = values | damaged(st.just(order("A-1"))) | damaged(st.just(RESUME))
    fuzz(shipped, inputs, start, REPORTED_VALUES)


RESUME = {"resume": {"order_id": "PLAIN-1"}, "order_id": "PLAIN-1", "wait_seconds": 5}
