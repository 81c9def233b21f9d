"""The definition that ships, by a virtual clock: what Lambda's trouble does to a run."""

import re
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.asl import RunTask, TaskFailed, TaskSucceeded, compile_definition
from tests.unit.asl.virtual_host import EPOCH, NEVER, Answer, VirtualHost

PATH = Path(__file__).parents[3] / "workflows" / "order_processing.asl.yaml"
DEFINITION = yaml.safe_load(re.sub(r"\$\{(\w+)\}", r"\1", PATH.read_text()))
EVENT = {"detail-type": "Order Created", "detail": {"order_id": "A-1"}}

ANSWERS: Mapping[str, Any] = {
    "ValidateOrder": {"order_id": "A-1", "epoch": 1},
    "CheckInventory": {"outcome": "RESERVED", "reason": "", "message": "", "missing": []},
    "UpdateInventory": {"outcome": "COMMITTED"},
    "CreateShipment": {"outcome": "CREATED"},
    "OrderCompleted": {"status": "COMPLETED"},
    "PauseOrder": {"outcome": "WAITING", "wait_seconds": 300},
    "Compensate": {"order_id": "A-1", "epoch": 2},
    "OrderFailed": {"status": "FAILED"},
}
FORWARD = ["ValidateOrder", "CheckInventory", "ProcessPayment", "UpdateInventory",
           "CreateShipment", "OrderCompleted"]  # fmt: skip

THROTTLED = "Lambda.TooManyRequestsException"
Fails = Callable[[RunTask], str | None]
"""The error of a call, ``never`` for one that is not answered, or None."""


def run(fails: Fails, chance: float = 0.999) -> VirtualHost:
    """Run the workflow to its end; a task that does not fail answers as its function does."""

    def perform(task: RunTask) -> Answer:
        error = fails(task)
        if error == "never":
            return NEVER
        if error is not None:
            return TaskFailed(task.token, error, "injected")
        payload = ANSWERS.get(str(task.state), {})
        return TaskSucceeded(task.token, {"Payload": payload, "StatusCode": 200})

    machine = compile_definition(DEFINITION, name="order_processing", random=lambda: chance)
    host = VirtualHost(machine, perform)
    context = {
        "Execution": {"Input": EVENT, "Name": "run-1"},
        "StateMachine": {},
    }
    host.run(EVENT, context)
    return host


def always(state: str, error: str) -> Fails:
    return lambda task: error if task.state == state else None


def first(state: str, error: str, times: int) -> Fails:
    return lambda task: error if task.state == state and task.attempt < times else None


@pytest.mark.parametrize("state", FORWARD)
@pytest.mark.parametrize(
    "error",
    [
        THROTTLED,
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.CodeArtifactUserPendingException",
        "VersionConflict",
    ],
)
def test_five_errors_of_lambda_cost_a_run_nothing_but_time(state: str, error: str) -> None:
    host = run(first(state, error, 5))
    assert host.ended is not None
    assert host.ended.output == {"status": "COMPLETED"}


@pytest.mark.parametrize("state", FORWARD)
@pytest.mark.parametrize("error", ["Sandbox.Timedout", "never"])
def test_a_call_that_times_out_is_made_again(state: str, error: str) -> None:
    host = run(first(state, error, 1))
    assert host.ended is not None
    assert host.ended.output == {"status": "COMPLETED"}


@pytest.mark.parametrize("error", [THROTTLED, "never", "Runtime.ImportModuleError", "KeyError"])
def test_before_the_claim_the_event_is_deferred_and_not_quarantined(error: str) -> None:
    host = run(always("ValidateOrder", error))
    assert host.states_entered == ["ValidateOrder", "DeferOrder", "OrderDeferred"]
    sent = host.tasks[-1]
    assert sent.resource.endswith("sqs:sendMessage")
    assert sent.parameters["MessageBody"] == EVENT
    assert sent.parameters["QueueUrl"] == "RetryQueueUrl"
    assert 60 <= sent.parameters["DelaySeconds"] < 300


@pytest.mark.parametrize("error", ["InvalidEvent", "OrderConflict", "OrderNotFound"])
def test_the_senders_fault_is_quarantined_at_once(error: str) -> None:
    host = run(always("ValidateOrder", error))
    assert host.states_entered == ["ValidateOrder", "QuarantineOrder", "OrderQuarantined"]
    assert [task.state for task in host.tasks] == ["ValidateOrder", "QuarantineOrder"]


def test_an_event_that_cannot_be_deferred_fails_its_run() -> None:
    host = run(
        lambda task: THROTTLED if task.state == "ValidateOrder" else "SQS.SdkClientException"
    )
    assert host.states_entered == ["ValidateOrder", "DeferOrder", "OrderNotDeferred"]
    assert host.ended is not None
    assert (host.ended.status, host.ended.error) == ("FAILED", "SQS.SdkClientException")


@pytest.mark.parametrize("state", FORWARD[1:])
@pytest.mark.parametrize("error", [THROTTLED, "never", "StoreError", "KeyError"])
def test_after_the_claim_what_outlasts_the_retries_pauses(state: str, error: str) -> None:
    host = run(always(state, error))
    assert host.states_entered[-4:] == [
        "PauseOrder",
        "PauseChoice",
        "ScheduleRecovery",
        "OrderWaiting",
    ]
    assert "Compensate" not in host.states_entered
    [asked] = [task for task in host.tasks if task.state == "PauseOrder"]
    because = asked.parameters["Payload"]["because"]
    reason = "States.Timeout" if error == "never" else error
    assert reason in str(because)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("ProcessPayment", "PaymentDeclined"),
        ("ProcessPayment", "OrderCancelled"),
        ("UpdateInventory", "OrderCancelled"),
        ("CreateShipment", "OrderCancelled"),
        ("CreateShipment", "CarrierError"),
    ],
)
def test_a_business_reason_compensates(state: str, error: str) -> None:
    host = run(always(state, error))
    assert "PauseOrder" not in host.states_entered
    back = ["Compensate", "VoidShipment", "RefundPayment", "ReleaseInventory", "OrderFailed"]
    assert host.states_entered[-5:] == back


@pytest.mark.parametrize("error", [THROTTLED, "never"])
@pytest.mark.parametrize(
    "step", ["Compensate", "VoidShipment", "RefundPayment", "ReleaseInventory", "OrderFailed"]
)
def test_a_compensation_that_lambda_fails_at_is_the_reconcilers(step: str, error: str) -> None:
    failing = {"ProcessPayment": "PaymentDeclined", step: error}
    host = run(lambda task: failing.get(task.state))
    assert host.states_entered[-2:] == [step, "LeftToReconciler"]
    assert host.ended is not None
    assert host.ended.status == "SUCCEEDED"


@pytest.mark.parametrize("error", [THROTTLED, "never"])
def test_a_pause_that_cannot_be_made_is_the_reconcilers(error: str) -> None:
    failing = {"CheckInventory", "PauseOrder"}
    host = run(lambda task: error if task.state in failing else None)
    assert host.states_entered[-2:] == ["PauseOrder", "LeftToReconciler"]
    assert host.ended is not None
    assert host.ended.status == "SUCCEEDED"


def test_a_run_that_is_throttled_at_each_step_ends_before_its_limit() -> None:
    host = run(lambda task: THROTTLED if task.attempt < 5 else None)
    assert host.ended is not None
    assert host.ended.output == {"status": "COMPLETED"}
    assert host.now - EPOCH < DEFINITION["TimeoutSeconds"] - 100


def test_a_run_in_which_nothing_ends_is_ended_by_its_limit() -> None:
    numbers = count()
    host = run(
        lambda task: "never" if task.state != "ValidateOrder" and next(numbers) < 99 else None
    )
    assert host.ended is not None
    assert host.now - EPOCH <= DEFINITION["TimeoutSeconds"]
