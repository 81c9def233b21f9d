"""A deployed stack, given to the commands that ask for one."""

from collections.abc import Iterator

import pytest

from infra.deployed.stack import DeployedStack
from tests.integration import deployed


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployedStack]:
    with deployed.stack() as found:
        monkeypatch.setattr("infra.deployed.stack.find", lambda account, name: found)
        yield found
