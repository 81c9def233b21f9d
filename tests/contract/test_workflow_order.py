"""The order of the steps, forward and compensating, read from the shipped definition."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest

from tests.contract.test_workflows import SLOW, TRANSIENT, definition, function_of, states

PROCESSING = definition("OrderProcessing")
STATES: Mapping[str, Any] = PROCESSING["States"]

FORWARD = ["ValidateOrder", "CheckInventory", "ProcessPayment", "ParallelFulfillment"]
BACK = ["Compensate", "VoidShipment", "RefundPayment", "ReleaseInventory", "OrderFailed"]

FUNCTIONS = {
    "ValidateOrder": "ValidateOrderFunction",
    "DeferOrder": None,
    "CheckInventory": "CheckInventoryFunction",
    "ProcessPayment": "ProcessPaymentFunction",
    "RequestApproval": "RequestApprovalFunction",
    "StartApproval": None,
    "SendConfirmation": None,
    "UpdateInventory": "UpdateInventoryFunction",
    "CreateShipment": "CreateShipmentFunction",
    "OrderCompleted": "CompleteOrderFunction",
    "PauseOrder": "PauseOrderFunction",
    "ScheduleRecovery": None,
    "Compensate": "CompensateOrderFunction",
    "VoidShipment": "VoidShipmentFunction",
    "RefundPayment": "RefundPaymentFunction",
    "ReleaseInventory": "ReleaseInventoryFunction",
    "OrderFailed": "FailOrderFunction",
    "QuarantineOrder": None,
    "RequestAttention": None,
}
"""The function of each task; None for a service integration."""

NEVER_RETRIED = {
    *("LeaseLost", "DuplicateOrder", "OrderCancelled", "PaymentDeclined", "OutOfStock"),
    *("ApprovalRequired", "ApprovalRejected", "ApprovalExpired"),
}
"""Errors that a retry repeats."""


def choices(name: str) -> list[tuple[list[tuple[str, Any]], str]]:
    """Return a choice's rules: their comparisons and their next states."""
    return [
        (
            [
                (one["Variable"], one.get("StringEquals"))
                for one in choice.get("And", [choice])
                if "Variable" in one
            ],
            choice["Next"],
        )
        for choice in STATES[name]["Choices"]
    ]


def ways_out(name: str) -> Iterator[str]:
    """Return the states that may follow a state."""
    state = STATES[name]
    for field in ("Next", "Default"):
        if field in state:
            yield state[field]
    for field in ("Catch", "Choices"):
        yield from (one["Next"] for one in state.get(field, ()))


def reachable(start: str, *, without: str = "") -> set[str]:
    """Return the states that may follow a state, directly or not, on ways around another."""
    found: set[str] = set()
    todo = [start]
    while todo:
        for name in ways_out(todo.pop()):
            if name not in found and name != without:
                found.add(name)
                todo.append(name)
    return found


def test_each_task_calls_the_function_of_its_step() -> None:
    tasks = {name for name, state in states(PROCESSING) if state["Type"] == "Task"}
    assert {name: function_of(name) for name in tasks} == FUNCTIONS


def test_the_forward_path_is_claim_stock_charge_fulfilment() -> None:
    assert PROCESSING["StartAt"] == "ValidateOrder"
    assert STATES["ValidateOrder"]["Next"] == "CheckInventory"
    assert STATES["CheckInventory"]["Next"] == "InventoryChoice"
    assert choices("InventoryChoice") == [
        ([("$.step.outcome", "RESERVED")], "ProcessPayment"),
        ([("$.step.outcome", "OUT_OF_STOCK")], "PauseOrder"),
    ]
    assert STATES["ProcessPayment"]["Next"] == "ParallelFulfillment"
    assert STATES["ParallelFulfillment"]["Next"] == "FulfillmentChoice"


def test_an_order_is_completed_only_if_it_is_taken_from_stock_and_shipped() -> None:
    branches = [branch["StartAt"] for branch in STATES["ParallelFulfillment"]["Branches"]]
    assert branches == ["SendConfirmation", "UpdateInventory", "CreateShipment"]
    assert choices("FulfillmentChoice")[0] == (
        [("$.step[1].outcome", "COMMITTED"), ("$.step[2].outcome", "CREATED")],
        "OrderCompleted",
    )
    assert [name for name in STATES if "OrderCompleted" in ways_out(name)] == ["FulfillmentChoice"]
    assert STATES["FulfillmentChoice"]["Default"] == "PauseOrder"


def test_the_compensation_path_has_one_order_and_one_end() -> None:
    """The shipment first: what was refunded must not be on its way."""
    followed = ["Compensate"]
    while "Next" in STATES[followed[-1]] and len(followed) <= len(BACK):
        followed.append(STATES[followed[-1]]["Next"])
    assert followed == BACK
    assert STATES["OrderFailed"]["End"] is True


@pytest.mark.parametrize(("before", "step"), list(pairwise(BACK)))
def test_no_compensation_step_is_skipped_or_early(before: str, step: str) -> None:
    assert [name for name in STATES if step in ways_out(name)] == [before]
    assert step not in reachable("ValidateOrder", without=before)


@pytest.mark.parametrize("step", BACK)
def test_a_failed_compensation_step_requests_attention_and_skips_nothing(step: str) -> None:
    catchers = STATES[step]["Catch"]
    assert (catchers[0]["ErrorEquals"], catchers[0]["Next"]) == (["LeaseLost"], "RunSuperseded")
    assert (catchers[-1]["ErrorEquals"], catchers[-1]["Next"]) == (
        ["States.ALL"],
        "RequestAttention",
    )
    assert {one["Next"] for one in catchers[1:-1]} == {"LeftToReconciler"}


def test_compensation_starts_after_all_branches_have_ended() -> None:
    parallel = STATES["ParallelFulfillment"]
    undoing = {FUNCTIONS[step] for step in BACK}
    for branch in parallel["Branches"]:
        for name, state in branch["States"].items():
            if state["Type"] != "Task":
                assert (state["Type"], state["End"]) == ("Pass", True)
                continue
            assert function_of(name) not in undoing
            [last] = state["Catch"]
            assert last["ErrorEquals"] == ["States.ALL"], "a branch that fails ends its siblings"
            assert branch["States"][last["Next"]]["Type"] == "Pass"
    assert [one["Next"] for one in parallel["Catch"]] == ["PauseOrder"]


def test_an_order_with_a_charge_ends_completed_compensated_waiting_or_in_a_queue() -> None:
    """No way leads from the charge to an end that forgets it."""
    after = reachable("ProcessPayment")
    ends = {name for name in after if STATES[name]["Type"] in ("Succeed", "Fail")}
    paused = {"OrderWaiting", "OrderAwaitsApproval", "LeftToReconciler"}
    assert ends == paused | {"RunSuperseded", "AttentionRequested"}
    assert {name for name in after if STATES[name].get("End")} == {"OrderCompleted", "OrderFailed"}
    assert set(ways_out("ProcessPayment")) == {
        "ParallelFulfillment",
        "RequestApproval",
        "Compensate",
        "PauseOrder",
        "RunSuperseded",
    }
    assert not {"OrderIgnored", "QuarantineOrder", "OrderQuarantined"} & after


def test_the_compensation_steps_use_the_epoch_of_compensate() -> None:
    for step in ("ValidateOrder", "Compensate"):
        assert STATES[step]["ResultSelector"] == {
            "order_id.$": "$.Payload.order_id",
            "epoch.$": "$.Payload.epoch",
        }
        assert "ResultPath" not in STATES[step], "its answer is what all that follows goes by"
    for step in [*FORWARD[1:], *BACK[1:-1]]:
        assert STATES[step]["ResultPath"] in (None, "$.step"), "what it goes by stays"


def test_every_step_of_a_claimed_order_sends_its_epoch() -> None:
    for name, state in states(PROCESSING):
        if name != "ValidateOrder" and FUNCTIONS.get(name):
            payload = state["Parameters"]["Payload"]
            assert payload["order_id.$"] == "$.order_id"
            assert payload["epoch.$"] == "$.epoch"


@pytest.mark.parametrize("step", [name for name in STATES if FUNCTIONS.get(name)])
def test_a_superseded_run_stops_and_compensates_nothing(step: str) -> None:
    [first] = [one for one in STATES[step]["Catch"] if "LeaseLost" in one["ErrorEquals"]]
    assert (first["ErrorEquals"], first["Next"]) == (["LeaseLost"], "RunSuperseded")
    before = STATES[step]["Catch"][: STATES[step]["Catch"].index(first)]
    assert all("States.ALL" not in one["ErrorEquals"] for one in before)
    assert STATES["RunSuperseded"]["Type"] == "Succeed"


def test_a_superseded_branch_stops_its_run_before_compensation() -> None:
    rule = STATES["FulfillmentChoice"]["Choices"][1]
    assert rule["Next"] == "RunSuperseded"
    compared = [
        [(one["Variable"], one.get("IsPresent", one.get("StringEquals"))) for one in part["And"]]
        for part in rule["Or"]
    ]
    assert compared == [
        [(f"$.step[{branch}].Error", True), (f"$.step[{branch}].Error", "LeaseLost")]
        for branch in (1, 2)
    ]


@pytest.mark.parametrize("task", FUNCTIONS)
def test_only_transient_errors_are_retried(task: str) -> None:
    state = dict(states(PROCESSING))[task]
    retried = {error for one in state["Retry"] for error in one["ErrorEquals"]}
    assert not retried & (NEVER_RETRIED | {"States.ALL"})


@pytest.mark.parametrize("task", ["QuarantineOrder", "RequestAttention"])
def test_an_order_given_up_by_a_run_is_sent_to_a_queue_with_its_reason(task: str) -> None:
    body = STATES[task]["Parameters"]["MessageBody"]
    assert body["reason"] == {"error.$": "$.failure.Error", "cause.$": "$.failure.Cause"}
    caught = [
        one for name in STATES for one in STATES[name].get("Catch", ()) if one["Next"] == task
    ]
    assert caught
    assert all(one["ResultPath"] == "$.failure" for one in caught)


SENDERS_FAULT = {"InvalidEvent", "OrderConflict", "OrderNotFound"}
"""Errors of an event that no retry corrects."""


def test_only_the_senders_fault_is_quarantined_and_nothing_else_is_lost_before_the_claim() -> None:
    caught = {
        error: one["Next"]
        for one in STATES["ValidateOrder"]["Catch"]
        for error in one["ErrorEquals"]
    }
    quarantined = {error for error, state in caught.items() if state == "QuarantineOrder"}
    assert quarantined == SENDERS_FAULT
    assert caught["States.ALL"] == "DeferOrder"
    assert [name for name in STATES if "QuarantineOrder" in ways_out(name)] == ["ValidateOrder"]
    assert [name for name in STATES if "DeferOrder" in ways_out(name)] == ["ValidateOrder"]


def test_a_deferred_event_comes_back_whole_and_with_jitter() -> None:
    sent = STATES["DeferOrder"]["Parameters"]
    assert sent == {
        "QueueUrl": "${RetryQueueUrl}",
        "DelaySeconds.$": "States.MathRandom(60, 300)",
        "MessageBody.$": "$$.Execution.Input",
    }
    assert STATES[STATES["DeferOrder"]["Next"]]["Type"] == "Succeed"
    [lost] = STATES["DeferOrder"]["Catch"]
    assert STATES[lost["Next"]]["Type"] == "Fail", "an alarm says that it went nowhere"


BUSINESS = {
    *("PaymentDeclined", "OrderCancelled", "CarrierError"),
    *("ApprovalRejected", "ApprovalExpired"),
}
"""Errors that say that an order cannot be fulfilled."""


def compensating() -> Iterator[tuple[str, str]]:
    """Yield state and error of each way from an error to the compensation."""
    for name, state in STATES.items():
        for one in state.get("Catch", ()):
            if one["Next"] == "Compensate":
                yield from ((name, error) for error in one["ErrorEquals"])
    for choice in STATES["FulfillmentChoice"]["Choices"]:
        if choice["Next"] == "Compensate":
            for part in choice["Or"]:
                yield "FulfillmentChoice", part["And"][1]["StringEquals"]


def test_only_a_business_reason_undoes_an_order() -> None:
    """An error that outlasts the retries pauses the order: a slow function refunds nothing."""
    assert {error for _, error in compensating()} == BUSINESS
    assert {name for name, _ in compensating()} == {
        "ProcessPayment",
        "RequestApproval",
        "FulfillmentChoice",
    }
    for step in ("CheckInventory", "ProcessPayment", "ParallelFulfillment", "OrderCompleted"):
        last = STATES[step]["Catch"][-1]
        assert (last["ErrorEquals"], last["Next"]) == (["States.ALL"], "PauseOrder")
        assert last["ResultPath"] == "$.step", "the pause says because of what"


@pytest.mark.parametrize("step", ["PauseOrder", *BACK])
def test_what_lambda_fails_at_after_every_retry_is_left_to_the_reconciler(step: str) -> None:
    """Neither a pause nor a compensation asks a person because a function was throttled."""
    caught = {error: one["Next"] for one in STATES[step]["Catch"] for error in one["ErrorEquals"]}
    assert caught.pop("States.ALL") == "RequestAttention"
    assert caught.pop("LeaseLost") == "RunSuperseded"
    assert set(caught) == TRANSIENT | SLOW
    assert set(caught.values()) == {"LeftToReconciler"}


def test_an_order_that_needs_an_approval_is_not_charged_in_this_run() -> None:
    [caught] = [
        one for one in STATES["ProcessPayment"]["Catch"] if "ApprovalRequired" in one["ErrorEquals"]
    ]
    assert caught["Next"] == "RequestApproval"
    after = reachable("RequestApproval", without="Compensate")
    assert not {"ProcessPayment", "ParallelFulfillment", "OrderCompleted"} & after
    assert STATES["StartApproval"]["Parameters"]["Name.$"] == (
        "States.Format('{}-approval', $.order_id)"
    ), "one wait for each order"


def test_a_wait_that_did_not_start_is_told_to_a_person() -> None:
    caught = [(one["ErrorEquals"], one["Next"]) for one in STATES["StartApproval"]["Catch"]]
    assert caught == [
        (["StepFunctions.ExecutionAlreadyExistsException"], "OrderAwaitsApproval"),
        (["States.ALL"], "RequestAttention"),
    ]
