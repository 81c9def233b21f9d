"""Fixtures: a platform for each test, in this process, which a test can restart."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import kernel.clock
from tests.faults.scene import Scene, forget
from tests.host import Host


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """The platform's folder, in which it can be opened, killed, and opened again."""
    environment = dict(os.environ)
    forget()
    yield Scene(tmp_path)
    forget()
    kernel.clock.shift(0.0)
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def machine(scene: Scene) -> Iterator[Host]:
    """An open platform with plenty of TEA, and a VASE known but out of stock."""
    with scene.open() as machine:
        machine.receive(TEA=1000, VASE=0)
        yield machine
