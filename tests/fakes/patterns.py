"""Event patterns by their definition: every choice of values tried, however long that takes.

The definition is event-ruler's (ACFinder.java): conditions in the order of their dotted names, each
met by a value that agrees with those before it on the element of every list, or by the absence of
such a value. It knows numbers and `exists` alone, and no `$or`.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

Place = dict[int, int]


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Return whether the event meets the pattern."""
    values = list(_values(event, "", {}, count()))
    return _hold(sorted(_conditions(pattern, "").items()), values, {})


def _conditions(pattern: dict[str, Any], prefix: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key, wanted in pattern.items():
        if isinstance(wanted, dict):
            found |= _conditions(wanted, f"{prefix}{key}.")
        else:
            found[prefix + key] = wanted
    return found


def _values(
    value: Any, name: str, place: Place, arrays: Iterator[int]
) -> Iterator[tuple[str, Any, Place]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, f"{name}.{key}" if name else key, place, arrays)
    elif isinstance(value, list):
        array = next(arrays)
        for index, inner in enumerate(value):
            nested = isinstance(inner, (dict, list))
            yield from _values(inner, name, {**place, array: index} if nested else place, arrays)
    else:
        yield name, value, place


def _hold(
    conditions: list[tuple[str, list[Any]]], values: list[tuple[str, Any, Place]], chosen: Place
) -> bool:
    if not conditions:
        return True
    (wanted_name, wanted), *others = conditions
    agreeing = [
        (value, place)
        for name, value, place in values
        if name == wanted_name and all(chosen.get(array, at) == at for array, at in place.items())
    ]
    if not agreeing:
        return {"exists": False} in wanted and _hold(others, values, chosen)
    return any(
        _hold(others, values, {**chosen, **place})
        for value, place in agreeing
        if value in wanted or {"exists": True} in wanted
    )
