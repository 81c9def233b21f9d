"""The path of a run, from histories with and without the states inside branches."""

import json
from typing import Any

from tests.rehearsal.history import path


def _entered(*names: str) -> list[dict[str, Any]]:
    return [
        {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": name}} for name in names
    ]


def _exited(*outcomes: str) -> dict[str, Any]:
    output = json.dumps({"step": [{"outcome": outcome} for outcome in outcomes]})
    return {
        "type": "ParallelStateExited",
        "stateExitedEventDetails": {"name": "ParallelFulfillment", "output": output},
    }


def test_branches_are_derived_from_their_outcomes() -> None:
    taken = path([
        *_entered("ProcessPayment", "ParallelFulfillment"),
        _exited("QUEUED", "COMMITTED", "FAILED"),
        *_entered("FulfillmentChoice"),
    ])  # fmt: skip
    assert taken == (
        "ProcessPayment → ParallelFulfillment (SendConfirmation; UpdateInventory;"
        " CreateShipment → ShipmentNotCreated) → FulfillmentChoice"
    )


def test_states_inside_branches_are_not_repeated() -> None:
    inside = _entered("SendConfirmation", "CreateShipment", "UpdateInventory")
    outcomes = _exited("NOT_QUEUED", "COMMITTED", "CREATED")
    assert path([*_entered("ParallelFulfillment"), *inside, outcomes]) == (
        "ParallelFulfillment (SendConfirmation → ConfirmationNotQueued; UpdateInventory;"
        " CreateShipment)"
    )


def test_a_run_without_states_has_an_empty_path() -> None:
    assert path([{"type": "ExecutionStarted"}]) == ""
