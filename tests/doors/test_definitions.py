"""Any input through every part of the workflow language: each execution ends, or waits."""

from typing import Any

from tests.doors.conftest import Through
from tests.doors.definitions import DEFINITIONS, machine, template
from tests.doors.platforms import Small
from tests.doors.texts import REPORTED_VALUES, values
from infra.asl.expressions.intrinsics import _FUNCTIONS
from pathlib import Path


def test_every_definition_with_any_input(through: Through, folder: Path) -> None:
    text, files = template()
    small = Small(folder, template=text, files=files)

    def start(value: Any) -> None:
        for number in range(len(DEFINITIONS)):
            name = small.engine.executions.new_name()
            small.rig.start(name, value, machine(number))
        small.rest()

    through(small, values, start, REPORTED_VALUES)
    small.close()
