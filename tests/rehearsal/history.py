"""The path of an execution through its states, from its Step Functions history."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

PARALLEL = "ParallelFulfillment"

BRANCHES = (
    ("SendConfirmation", "ConfirmationNotQueued"),
    ("UpdateInventory", "InventoryNotUpdated"),
    ("CreateShipment", "ShipmentNotCreated"),
)
"""The states of each branch; the second follows the final failure of the first."""

FAILED = ("FAILED", "NOT_QUEUED")
"""Outcomes of a branch's second state."""


def path(events: Iterable[Mapping[str, Any]]) -> str:
    """Return the entered states; the branches of the Parallel state are in parentheses.

    MiniStack's history has no states inside branches, so they are derived from the branches'
    outputs.
    """
    names: list[str] = []
    for event in events:
        if event["type"].endswith("StateEntered"):
            name = event["stateEnteredEventDetails"]["name"]
            if not any(name in branch for branch in BRANCHES):
                names.append(name)
        elif event["type"] == "ParallelStateExited" and names and names[-1] == PARALLEL:
            names[-1] = f"{PARALLEL} ({_branches(event['stateExitedEventDetails']['output'])})"
    return " → ".join(names)


def _branches(output: str) -> str:
    answers = json.loads(output)["step"]
    return "; ".join(
        f"{first} → {second}" if answer.get("outcome") in FAILED else first
        for (first, second), answer in zip(BRANCHES, answers, strict=True)
    )
