"""The names of variables, which a definition assigns by ``Assign``, and their maximum size.

A name may be assigned in an inner scope and in an outer one: the Developer Guide says otherwise,
but AWS accepts such definitions.

Source: "Passing data between states with variables" in the AWS Step Functions Developer Guide.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.asl.errors import DefinitionError

MAX_NAME = 80
"""Maximum characters of a variable's name."""

MAX_BYTES = 10 * 1024 * 1024
"""Maximum bytes of all variables that a state may read."""

RESERVED = "states"

_FEWEST = MAX_BYTES // (256 * 1024)
"""Variables that reach the maximum only together, as one has at most 256 KiB."""


def check_variables(table: Mapping[str, Any], place: str, language: str) -> None:
    """Check the names of a compiled definition's variables, and those of its inner scopes.

    Raises
    ------
    DefinitionError
        A name is no identifier, or is reserved.
    """
    for name, state in table["States"].items():
        where, own = f"{place}/States/{name}", state.get("QueryLanguage", language)
        for at, key in _assignments(state, where):
            _check_name(key if own == "JSONata" else key.removesuffix(".$"), f"{at}/{key}")
        for at, inner in _inner(state, where):
            check_variables(inner, at, language)


def could_exceed(variables: Mapping[str, Any]) -> bool:
    """Return whether variables are so many that together they may exceed their maximum."""
    return len(variables) >= _FEWEST


def _check_name(name: str, place: str) -> None:
    if name == RESERVED:
        raise DefinitionError(place, f"The variable name '{RESERVED}' is reserved")
    # Python's identifiers are those of UAX 31, with an underscore as a first character too
    if not name.isidentifier() or name.startswith("_") or len(name) > MAX_NAME:
        problem = (
            f"The variable name '{name[:MAX_NAME]}' must begin with a letter, have letters, digits"
            f" and underscores only, and at most {MAX_NAME} characters"
        )
        raise DefinitionError(place, problem)


def _assignments(state: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    """Yield the place and the key of each assignment of a state, its rules and its catchers."""
    parts = [(place, state)]
    for field in ("Choices", "Catch"):
        parts += [
            (f"{place}/{field}[{index}]", part) for index, part in enumerate(state.get(field, ()))
        ]
    for at, part in parts:
        yield from ((f"{at}/Assign", key) for key in part.get("Assign", ()))


def _inner(state: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the place and the definition of each inner scope of a state."""
    for index, branch in enumerate(state.get("Branches", ())):
        yield f"{place}/Branches[{index}]", branch
    for field in ("ItemProcessor", "Iterator"):
        if field in state:
            yield f"{place}/{field}", state[field]
