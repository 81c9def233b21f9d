"""The path of an execution through its states, from its history on Step Functions."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

PARALLEL = "ParallelFulfillment"

BRANCHES = (
    ("SendConfirmation", "ConfirmationNotQueued"),
    ("UpdateInventory", "InventoryNotUpdated"),
    ("CreateShipment", "ShipmentNotCreated"),
)
"""The states of each branch; the second is entered when the first has failed for good."""

FAILED = ("FAILED", "NOT_QUEUED")
"""Outcomes of a branch that its second state answers."""


def path(events: Iterable[Mapping[str, Any]]) -> str:
    """Return the states entered; the branches of the parallel one in parentheses.

    MiniStack's history has no states inside branches, so they follow from what the branches
    answered.
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
