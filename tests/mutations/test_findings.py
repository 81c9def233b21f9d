"""Each row of docs/aws.md's findings has a test that fails without its change."""

from pathlib import Path

import pytest

from tests.mutations.findings import Mutation, copy_sources, is_detected, mutations, status_of


def _name(mutation: Mutation) -> str:
    return f"{mutation.finding} {mutation.test} {mutation.new or mutation.old}"[:100]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    if not request.config.getoption("--all-mutations"):
        pytest.skip("some seconds each; `make mutations` plays them")
    folder: Path = tmp_path_factory.mktemp("sources")
    copy_sources(folder)
    return folder


@pytest.mark.parametrize("mutation", mutations(), ids=_name)
def test_a_findings_test_fails_without_its_change(sources: Path, mutation: Mutation) -> None:
    assert is_detected(mutation, sources), f"{mutation.test} passes without it: {mutation.old}"


@pytest.mark.parametrize("test", sorted({mutation.test for mutation in mutations()}))
def test_a_findings_test_passes_in_a_copy_of_the_sources(sources: Path, test: str) -> None:
    """A test that fails in any copy would detect nothing."""
    assert status_of(test, sources) == 0
