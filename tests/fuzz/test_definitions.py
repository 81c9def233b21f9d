"""Fuzz every part of the workflow language with any input: each execution ends, or waits."""

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from infra.asl.expressions.intrinsics import _FUNCTIONS
from tests.fuzz.conftest import Fuzz
from tests.fuzz.definitions import CALLS, DEFINITIONS, state_machine_name, template
from tests.fuzz.platforms import Small
from tests.fuzz.texts import REPORTED_VALUES, values

PARTS = 8
"""An example runs every `PARTS`-th definition; `PARTS` examples run them all."""


def test_every_definition_with_any_input(fuzz: Fuzz, folder: Path) -> None:
    text, files = template()
    small = Small(folder, template=text, files=files)

    def start(case: tuple[Any, int]) -> None:
        value, part = case
        for number in range(part % PARTS, len(DEFINITIONS), PARTS):
            name = small.engine.executions.new_name()
            small.rig.start(name, value, state_machine_name(number))
        small.rest()

    fixed = [(value, part) for part, value in enumerate(REPORTED_VALUES)]
    try:
        fuzz(small, st.tuples(values, st.integers(0, PARTS - 1)), start, fixed)
    finally:
        small.close()


def test_every_intrinsic_function_is_called() -> None:
    called = {call.partition("(")[0].removeprefix("States.") for call in CALLS}
    assert called == _FUNCTIONS.keys()
