"""Hypothesis strategies that several property-based tests draw from."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

LARGEST = 2**53
"""Integers up to here are the same for every reader of JSON."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
"""JSON values that hold no others."""

json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=10,
)
"""Any JSON value, not deep."""

json_objects = st.dictionaries(st.text(max_size=6), json_values, max_size=4)


def nested(depth: int, opening: str = "[", inner: str = "1") -> str:
    """Return JSON text of arrays, or of objects, inside each other."""
    closing = "]" if opening == "[" else "}"
    return opening * depth + inner + closing * depth


@st.composite
def damaged(draw: st.DrawFn, sound: st.SearchStrategy[Any]) -> Any:
    """Return a sound JSON value with one place in it replaced, removed, or added to."""
    value = json.loads(json.dumps(draw(sound)))
    places = list(_places(value))
    put, remove = draw(st.sampled_from(places))
    if draw(st.booleans()):
        remove()
    else:
        put(draw(json_values))
    return value


def _places(value: Any) -> list[tuple[Callable[[Any], None], Callable[[], Any]]]:
    """Return, for each place in a value, what replaces it and what removes it."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    found = []
    for key in keys:
        found += [(_putter(value, key), _remover(value, key)), *_places(value[key])]
    return found


def _putter(holder: Any, key: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        holder[key] = value

    return put


def _remover(holder: Any, key: Any) -> Callable[[], Any]:
    return lambda: holder.pop(key)
