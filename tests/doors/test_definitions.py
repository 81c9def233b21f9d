"""Any input through every part of the workflow language: each execution ends, or waits."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from infra.asl.expressions.intrinsics import _FUNCTIONS
from tests.doors.conftest import Through
from tests.doors.definitions import CALLS, DEFINITIONS, machine, template
from tests.doors.platforms import Small
from tests.doors.texts import REPORTED_VALUES, values

PARTS = 8
"""An example goes through each so many-th of the definitions; together they go through all."""


def test_every_definition_with_any_input(through: Through, folder: Path) -> None:
    text, files = template()
    small = Small(folder, template=text, files=files)

    def start(given: tuple[Any, int]) -> None:
        value, part = given
        for number in range(part % PARTS, len(DEFINITIONS), PARTS):
            name = small.engine.executions.new_name()
            small.rig.start(name, value, machine(number))
        small.rest()

    always = [(value, part) for part, value in enumerate(REPORTED_VALUES)]
    try:
        through(small, st.tuples(values, st.integers(0, PARTS - 1)), start, always)
    finally:
        small.close()


def test_no_intrinsic_function_is_left_out() -> None:
    called = {call.partition("(")[0].removeprefix("States.") for call in CALLS}
    assert called == _FUNCTIONS.keys()
