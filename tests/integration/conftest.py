"""A deployed stack, given to the commands that ask for one, and a platform in this process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import kernel.clock
from infra.deployed.stack import DeployedStack
from tests.faults.scene import forget
from tests.host import Host, host
from tests.integration import deployed


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeployedStack]:
    with deployed.stack() as found:
        monkeypatch.setattr("infra.deployed.stack.find", lambda account, name: found)
        yield found


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Host]:
    """An open platform with some TEA."""
    environment = dict(os.environ)
    forget()
    with host(tmp_path / "data") as opened:
        opened.receive(TEA=10)
        yield opened
    forget()
    kernel.clock.shift(0.0)
    os.environ.clear()
    os.environ.update(environment)
