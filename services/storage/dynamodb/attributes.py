"""JSON values as DynamoDB attributes; boto3's own serializer refuses floats."""

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any

Attribute = dict[str, Any]
"""A value under the name of its type, such as ``{"S": "text"}``."""


def to_attribute(value: object) -> Attribute:
    """Return a value as an attribute; a float keeps all its digits.

    Raises
    ------
    TypeError
        The value is neither JSON nor bytes.
    """
    for kinds, name, encode in _KINDS:
        if isinstance(value, kinds):
            return {name: encode(value)}
    raise TypeError(f"{value!r} cannot be stored: it is no JSON")


_KINDS: tuple[tuple[Any, str, Callable[[Any], Any]], ...] = (
    (NoneType, "NULL", lambda _: True),
    (str, "S", str),
    (bool, "BOOL", bool),  # before the numbers: a bool is an int
    ((int, float), "N", repr),
    (bytes, "B", bytes),
    (Mapping, "M", lambda value: {str(key): to_attribute(item) for key, item in value.items()}),
    (Sequence, "L", lambda value: [to_attribute(item) for item in value]),
)


def from_attribute(attribute: Mapping[str, Any]) -> Any:
    """Return the value of an attribute; a number without a fraction is an int."""
    [(kind, value)] = attribute.items()
    if kind == "NULL":
        return None
    if kind == "N":
        return int(value) if value.lstrip("-").isdecimal() else float(value)
    if kind == "M":
        return {key: from_attribute(item) for key, item in value.items()}
    if kind == "L":
        return [from_attribute(item) for item in value]
    return value


def from_item(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return an item's values by name."""
    return {name: from_attribute(attribute) for name, attribute in item.items()}
