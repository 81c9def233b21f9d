"""The mock configuration of Step Functions Local leads where the scenario table says."""

import os
from collections.abc import Iterator

import pytest

from tests.rehearsal import sfn_local
from tests.rehearsal.ministack import PYTHON, MiniStack, ministack
from tests.rehearsal.mocks import MACHINE, Mocks, TestCase, definition, run

MOCKS = Mocks()
CASES = {case.name: case for case in MOCKS.cases()}

NOT_ON_MINISTACK = {
    name
    for name, case in CASES.items()
    if any(len(MOCKS.responses[one]) > 1 for one in case.states.values())
}
"""MiniStack throws a mocked error again at every retry, so none of its retries succeeds."""


@pytest.mark.parametrize("name", CASES)
def test_a_mocked_run_takes_the_path_of_the_scenario_table(name: str) -> None:
    assert run(CASES[name], MOCKS) == CASES[name].expected


def test_every_answer_is_used_and_every_state_mocked_exists() -> None:
    used = {one for case in CASES.values() for one in case.states.values()}
    assert used == set(MOCKS.responses)
    states = definition()["States"]
    for branch in states["ParallelFulfillment"]["Branches"]:
        states = states | branch["States"]
    assert {state for case in CASES.values() for state in case.states} <= set(states)


@pytest.fixture(scope="module")
def mocked() -> Iterator[MiniStack]:
    if not PYTHON.exists():
        pytest.skip("MiniStack is not installed; `make rehearse` installs it")
    with ministack() as stack:
        stack.configure(_SFN_WAIT_SCALE=0, _sfn_mock_config=MOCKS.content)
        yield stack


@pytest.fixture(scope="module")
def machine(mocked: MiniStack) -> str:
    return sfn_local.create(mocked.client("stepfunctions"), MACHINE)


@pytest.mark.parametrize("name", sorted(set(CASES) - NOT_ON_MINISTACK))
def test_the_same_configuration_runs_on_ministack(
    name: str, mocked: MiniStack, machine: str
) -> None:
    case: TestCase = CASES[name]
    assert sfn_local.run(mocked.client("stepfunctions"), machine, case) == case.expected


def test_the_same_configuration_runs_on_step_functions_local() -> None:
    url = os.environ.get("SFN_LOCAL", sfn_local.URL)
    if not sfn_local.answers(url):
        pytest.skip(f"Step Functions Local does not answer at {url}; `docker compose up` starts it")
    assert sfn_local.differing(url) == {}
