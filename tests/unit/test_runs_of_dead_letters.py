"""The state machine ARN that a redriven dead letter's run is started with."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.deployed.dead_letter_runs import Runs

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:orderflow-order-processing"


class States:
    """Step Functions: keeps each request."""

    exceptions = SimpleNamespace(ExecutionAlreadyExists=KeyError)

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []

    def start_execution(self, **request: Any) -> None:
        self.started.append(request)


def run_of(names: Mapping[str, str]) -> tuple[str, str]:
    """Return the state machine's ARN of a start, and the run's own ARN."""
    states = States()
    stack = SimpleNamespace(
        names=names,
        name=names.__getitem__,
        client=lambda _: states,
        table=lambda: None,
    )
    received = SimpleNamespace(dead_letter=SimpleNamespace(order_id=None, id="1"))
    runs = Runs(cast("Any", stack), cast("Any", None), lambda: 0.0)
    run = runs.start(cast("Any", received), "{}", "redrive-1")
    [request] = states.started
    return request["stateMachineArn"], run.arn


@pytest.mark.parametrize("alias", [f"{MACHINE}:live-EXPRESS", None])
def test_a_run_is_started_through_the_alias_if_the_stack_has_one(alias: str | None) -> None:
    names = {"OrderProcessing": MACHINE, **({"OrderProcessingAlias": alias} if alias else {})}
    started_by, arn = run_of(names)
    assert started_by == (alias or MACHINE)
    assert arn == f"{MACHINE.replace(':stateMachine:', ':execution:')}:redrive-1"
