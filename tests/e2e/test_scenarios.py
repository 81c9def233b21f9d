"""The platform behaves as the scenario table of `workflows/README.md`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.scenarios import SITUATIONS, Story, run_situation

WORKFLOWS = Path(__file__).parents[2] / "workflows"


def _table() -> dict[str, Story]:
    lines = (WORKFLOWS / "README.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("| situation | paths of states | status | events published |") + 2
    rows = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        situation, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[situation] = Story(*cells)
    return rows


TABLE = _table()


def test_the_table_has_every_situation() -> None:
    assert list(TABLE) == list(SITUATIONS)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_situation_has_the_outcome_of_the_table(
    situation: str, tmp_path: Path, apart: Callable[..., Any]
) -> None:
    assert apart(run_situation, situation, tmp_path) == TABLE[situation]


def test_the_table_enters_every_state_except_those_of_failing_infrastructure() -> None:
    definition = yaml.safe_load((WORKFLOWS / "order_processing.asl.yaml").read_text())
    states = set(definition["States"])
    for branch in definition["States"]["ParallelFulfillment"]["Branches"]:
        states |= set(branch["States"])
    entered = set(re.findall(r"\w+", " ".join(story.paths for story in TABLE.values())))
    assert states - entered == {
        "ConfirmationNotQueued",
        "DeferOrder",
        "InventoryNotUpdated",
        "LeftToReconciler",
        "OrderDeferred",
        "OrderNotDeferred",
        "RunSuperseded",
    }
