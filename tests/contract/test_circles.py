"""No imports run in a circle, but for the typed one inside the workflow interpreter."""

import sys
from collections.abc import Iterator

import grimp
import pytest

from tests.reliability import ROOT

PACKAGES = [
    *("infra", "kernel", "storage", "lambda_support"),
    *("orders", "inventory", "payments", "shipping", "notifications", "high_value", "analytics"),
]
STATES_AND_ADVANCES = {
    "infra.asl.execution",
    "infra.asl.interpreter",
    "infra.asl.redrive",
    "infra.asl.states.state",
}
"""States, catchers and redrives act on an execution, and an execution is at a state: they name each
other's types."""


def circles(*, without_types: bool) -> Iterator[set[str]]:
    """Yield the modules of each circle: each reaches itself by imports within the set."""
    graph = grimp.build_graph(
        *PACKAGES, exclude_type_checking_imports=without_types, cache_dir=None
    )
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    left = set(imports)
    while left:  # modules that import none of the others are in no circle, nor those above them
        ends = {name for name in left if not imports[name] & left}
        if not ends:
            break
        left -= ends
    while left:  # nor are modules that none of the others imports
        tops = {name for name in left if all(name not in imports[other] for other in left)}
        if not tops:
            yield left
            return
        left -= tops


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), str(ROOT / "services"), *sys.path])


def test_no_import_runs_in_a_circle() -> None:
    assert list(circles(without_types=True)) == []


def test_the_only_circle_of_types_is_in_the_workflow_interpreter() -> None:
    assert list(circles(without_types=False)) == [STATES_AND_ADVANCES]
