"""Each row of docs/aws.md's findings has a test that fails without its change."""

from pathlib import Path

import pytest

from tests.mutations.findings import Mutation, copy_sources, is_detected, mutations, status_of


def _name(mutation: Mutation) -> str:
    return f"{mutation.finding} {mutation.test} {mutation.new or mutation.old}"[:100]


@pytest.fixture(scope="module")
def chosen(request: pytest.FixtureRequest) -> list[Mutation]:
    """Return as many mutations as the option says, spread evenly over the rows."""
    every, number = mutations(), request.config.getoption("--findings")
    step = max(1.0, len(every) / max(1, number))
    return [every[int(place * step)] for place in range(min(number, len(every)))]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, chosen: list[Mutation]) -> Path:
    folder: Path = tmp_path_factory.mktemp("sources")
    copy_sources(folder)
    return folder


@pytest.mark.parametrize("mutation", mutations(), ids=_name)
def test_a_findings_test_fails_without_its_change(
    sources: Path, chosen: list[Mutation], mutation: Mutation
) -> None:
    if mutation not in chosen:
        pytest.skip("not one of --findings")
    assert is_detected(mutation, sources), f"{mutation.test} passes without it: {mutation.old}"


@pytest.mark.parametrize("test", sorted({mutation.test for mutation in mutations()}))
def test_a_findings_test_passes_in_a_copy_of_the_sources(
    sources: Path, chosen: list[Mutation], test: str
) -> None:
    """A test that fails in any copy would detect nothing."""
    if test not in {mutation.test for mutation in chosen}:
        pytest.skip("not one of --findings")
    assert status_of(test, sources) == 0
