"""A run that the timeline tells, compared with the history that one machine keeps of it."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from infra.deployed.run_history import event_of
from infra.views.inferred_run import infer
from infra.views.local_story import read_story
from infra.views.run_story import read_run, visits_of
from tests.e2e.scenarios import SITUATIONS, parameters_of
from tests.host import host, order

FORWARD = [
    "ValidateOrder",
    "CheckInventory",
    "InventoryChoice",
    "ProcessPayment",
    "ParallelFulfillment",
    "FulfillmentChoice",
    "OrderCompleted",
]


def _runs(situation: str, root: Path) -> list[tuple[list[str], list[str]]]:
    """Return the inferred and the visited states of each run of a situation."""
    with host(root, parameters=parameters_of(situation)) as machine:
        machine.receive(TEA=1000, VASE=0)
        SITUATIONS[situation](machine)
        story = read_story(machine.directory, "T-1")
        found = []
        with closing(machine.directory.reader()) as database:
            for run in story.runs:
                actual = read_run(database, "T-1", run.name)
                assert actual is not None
                if actual.definition["StartAt"] != "ValidateOrder":
                    continue
                inferred = infer(story, run, actual.definition, "EXPRESS")
                states = inferred.story.visits if inferred else ()
                visited = [visit.state for visit in actual.visits]
                found.append(([visit.state for visit in states], visited))
    return found


@pytest.mark.parametrize(
    "situation", [name for name in SITUATIONS if name != "cancelled, but never created"]
)
def test_an_inferred_state_was_visited(
    situation: str, tmp_path: Path, apart: Callable[..., Any]
) -> None:
    runs = apart(_runs, situation, tmp_path)
    assert runs
    for inferred, visited in runs:
        assert [state for state in inferred if state not in visited] == []
    ended = [inferred for inferred, visited in runs if "OrderCompleted" in visited]
    for inferred in ended:
        expected = [state for state in FORWARD if state in inferred]
        assert [state for state in inferred if state in FORWARD] == expected
        assert inferred[0] == "ValidateOrder"
        assert inferred[-1] == "OrderCompleted"


def test_an_ordinary_run_is_inferred_whole(tmp_path: Path, apart: Callable[..., Any]) -> None:
    [(inferred, visited)] = apart(_runs, "in stock, card approved", tmp_path)
    assert set(FORWARD) <= set(inferred)
    assert set(visited) - set(inferred) == {"SendConfirmation"}


def _round_trip(root: Path) -> bool:
    with host(root) as machine:
        machine.receive(TEA=100)
        machine.put(order(payment_token="tok_timeout"))
        machine.settle()
        story = read_story(machine.directory, "T-1")
        with closing(machine.directory.reader()) as database:
            run = read_run(database, "T-1", story.runs[0].name)
            assert run is not None
            events = [event_of(event.to_json()) for event in run.events]
            return visits_of(events, is_running=False) == list(run.visits)


def test_a_history_in_the_shape_of_aws_gives_the_same_visits(
    tmp_path: Path, apart: Callable[..., Any]
) -> None:
    assert apart(_round_trip, tmp_path)
