"""The compiler of definitions: it compiles every expression once and refuses unknown fields.

Source: "Amazon States Language" in the AWS Step Functions Developer Guide; states-language.net.
"""

import random as chance
from collections.abc import Callable, Collection

from infra.asl.errors import DefinitionError
from infra.asl.expressions.values import JSON
from infra.asl.fields import MAX_SECONDS, Fields
from infra.asl.interpreter import Machine
from infra.asl.states.flow import (
    compile_choice,
    compile_fail,
    compile_pass,
    compile_succeed_state,
    compile_wait,
)
from infra.asl.states.fork import compile_map, compile_parallel
from infra.asl.states.state import State, StateTable
from infra.asl.states.task import compile_task
from infra.asl.variables import check_variables
from kernel.json_text import MAX_DEPTH, InvalidJSON, is_nested_deeper, read

_MAX_NAME_CHARACTERS = 80
_VERSION = "1.0"
"""The only version of the language (states-language.net, Top-level fields)."""


def compile_definition(
    definition: JSON,
    *,
    name: str,
    integrations: Collection[str] | None = None,
    random: Callable[[], float] = chance.random,
    express: bool = False,
) -> Machine:
    """Compile a definition, which is a value or JSON text.

    Parameters
    ----------
    integrations
        The integrations that a Task may call: optimised ones such as ``sqs:sendMessage``, and
        ``lambda`` for a function by its own ARN. None allows all.
    random
        Source of floats in [0, 1) for jitter, ``States.UUID`` and ``States.MathRandom``.
    express
        Whether the state machine is an Express one, which has no ``.sync`` or callback tasks.

    Raises
    ------
    DefinitionError
        The definition is invalid, or uses a feature that is not supported.
    """
    if isinstance(definition, str) and definition.strip():  # AWS calls a blank text no object
        definition = _parsed(definition)
    if is_nested_deeper(definition):
        raise DefinitionError("", f"The definition is nested deeper than {MAX_DEPTH} levels")
    fields = Fields(definition, "", [])
    if fields.get("Version", str, _VERSION) != _VERSION:
        raise fields.refuse(f"Value is not one of {_VERSION}", "Version")
    timeout = fields.number("TimeoutSeconds", None, 1, MAX_SECONDS)
    table = _Compiler(integrations, express=express, language=fields.language).table(fields)
    check_variables(fields.value, "", fields.language)
    return Machine(name, table, timeout, random)


def _parsed(text: str) -> JSON:
    """Return the value of a definition's JSON text; raise DefinitionError if it is not JSON."""
    try:
        return read(text)
    except InvalidJSON as error:
        raise DefinitionError("", f"It is not JSON: {error}", "INVALID_JSON_DESCRIPTION") from None


class _Compiler:
    def __init__(
        self, integrations: Collection[str] | None, *, express: bool, language: str
    ) -> None:
        self.language = language
        self.names: set[str] = set()
        self.types: dict[str, Callable[[str, Fields], State]] = {
            "Pass": compile_pass,
            "Choice": compile_choice,
            "Wait": compile_wait,
            "Succeed": compile_succeed_state,
            "Fail": compile_fail,
            "Task": lambda name, fields: compile_task(name, fields, integrations, express=express),
            "Parallel": lambda name, fields: compile_parallel(name, fields, self.table),
            "Map": lambda name, fields: compile_map(name, fields, self.table),
        }

    def table(self, fields: Fields) -> StateTable:
        """Compile ``StartAt`` and ``States``; each name must be unique, each state reachable."""
        start, definitions = fields.require("StartAt", str), fields.nested("States")
        states: dict[str, State] = {}
        targets: dict[str, list[tuple[str, str]]] = {}
        for name, definition in definitions.value.items():
            place = f"{definitions.place}/{name}"
            if name in self.names or not 0 < len(name) <= _MAX_NAME_CHARACTERS:
                problem = "A state name must be unique and have from 1 to 80 characters"
                raise DefinitionError(place, problem)
            self.names.add(name)
            state_fields = Fields(definition, place, [], self.language)
            states[name] = self.state(name, state_fields)
            targets[name] = state_fields.targets
        fields.refuse_unread()
        _check_targets({"": [(f"{fields.place}/StartAt", start)], **targets}, definitions.place)
        return StateTable(states[start], states)

    def state(self, name: str, fields: Fields) -> State:
        """Compile one state."""
        kind = fields.require("Type", str)
        if kind not in self.types:
            raise fields.refuse(f"Value is not one of {', '.join(sorted(self.types))}", "Type")
        state = self.types[kind](name, fields)
        fields.refuse_unread()
        return state


def _check_targets(targets: dict[str, list[tuple[str, str]]], place: str) -> None:
    """Check that all targets exist and that each state is reachable from ``""``, the start."""
    reached, queue = {""}, [""]
    while queue:
        for source, target in targets[queue.pop()]:
            if target not in targets or not target:
                problem = f"Missing '{source.rsplit('/', 1)[1]}' target: {target}"
                raise DefinitionError(source, problem, "MISSING_TRANSITION_TARGET")
            if target not in reached:
                reached.add(target)
                queue.append(target)
    for name in targets:
        if name not in reached:
            problem = f'State "{name}" is not reachable.'
            raise DefinitionError(f"{place}/{name}", problem, "MISSING_TRANSITION_TARGET")
