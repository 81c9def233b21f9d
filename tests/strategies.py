"""Hypothesis strategies shared by property-based tests."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

LARGEST = 2**53
"""The largest integer that every JSON reader reads exactly."""

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
"""JSON values without inner values."""

json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=10,
)
"""Any shallow JSON value."""

json_objects = st.dictionaries(st.text(max_size=6), json_values, max_size=4)


def nested(depth: int, opening: str = "[", inner: str = "1") -> str:
    """Return JSON text of nested arrays, or of nested objects."""
    closing = "]" if opening == "[" else "}"
    return opening * depth + inner + closing * depth


@st.composite
def damaged(draw: st.DrawFn, valid: st.SearchStrategy[Any]) -> Any:
    """Return a valid JSON value with one part replaced or removed."""
    value = json.loads(json.dumps(draw(valid)))
    put, remove = draw(st.sampled_from(_edits(value)))
    if draw(st.booleans()):
        remove()
    else:
        put(draw(json_values))
    return value


def _edits(value: Any) -> list[tuple[Callable[[Any], None], Callable[[], Any]]]:
    """Return two functions for each part of a value: one replaces it, one removes it."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(len(value)))
    else:
        return []
    edits = []
    for key in keys:
        edits += [(_putter(value, key), _remover(value, key)), *_edits(value[key])]
    return edits


def _putter(holder: Any, key: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        holder[key] = value

    return put


def _remover(holder: Any, key: Any) -> Callable[[], Any]:
    return lambda: holder.pop(key)
