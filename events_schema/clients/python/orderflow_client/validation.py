"""Check an event against its contract, as far as a producer can: the schema, and its sums.

The schemas are those of the published contract, a copy of each in ``contracts/``. A newer contract
adds optional fields only, so an older copy refuses nothing that it would take.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from orderflow_client.errors import Problem

SOURCE = "orders.service"
"""The source of every event."""

MAX_BYTES = 262_144
"""Bytes of an event and of a PutEvents request: source, detail type and detail (EventBridge)."""

CENTS = 2
"""Decimals of an amount at most."""

REQUESTS = ("Order Created", "Order Updated", "Order Cancelled")
"""The detail types that a producer sends."""

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: not isinstance(value, bool) and _is_whole(value),
    "number": lambda value: not isinstance(value, bool) and isinstance(value, int | float),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_NAMES = {
    "object": "a JSON object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
}
_ZONED = re.compile(r".+(?:[Zz]|[+-]\d\d:\d\d)$")


def problems_of(detail_type: str, detail: object) -> list[Problem]:
    """Return every problem of an event's detail, in the order of the contract's fields."""
    if detail_type not in REQUESTS:
        known = ", ".join(REQUESTS)
        return [Problem("detail-type", f"{detail_type!r} is no request; send one of {known}")]
    schema = _schema(detail_type)
    found = list(_check(schema["properties"]["detail"], detail, "detail", schema["$defs"]))
    if not found and isinstance(detail, Mapping):
        found = list(_sums(detail_type, detail))
    if not found:
        found = list(_size(detail_type, detail))
    return found


@cache
def _schema(detail_type: str) -> dict[str, Any]:
    folder = detail_type.lower().replace(" ", "-")
    text = files("orderflow_client").joinpath("contracts", folder, "schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _check(
    rules: Mapping[str, Any], value: Any, at: str, definitions: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield the problems of a value, by the keywords that the contracts use."""
    if "$ref" in rules:
        rules = {**definitions[rules["$ref"].rpartition("/")[2]], **rules}
    if "anyOf" in rules:
        choices = [choice for choice in rules["anyOf"] if choice.get("type") != "null"]
        if value is not None or len(choices) == len(rules["anyOf"]):
            yield from _check(choices[0], value, at, definitions)
        return
    kind = rules.get("type")
    if kind is not None and not _TYPES[kind](value):
        yield Problem(at, f"is not {_NAMES[kind]}; send one")
        return
    if kind == "object":
        yield from _fields(rules, value, at, definitions)
    elif kind == "array":
        yield from _limits(rules, len(value), at, "Items", "entries")
        for number, entry in enumerate(value):
            yield from _check(rules["items"], entry, f"{at}[{number}]", definitions)
    elif kind == "string":
        yield from _text(rules, value, at)
    elif kind in ("number", "integer"):
        yield from _number(rules, value, at)


def _fields(
    rules: Mapping[str, Any], value: Mapping[str, Any], at: str, definitions: Mapping[str, Any]
) -> Iterator[Problem]:
    for name in rules.get("required", ()):
        if name not in value:
            yield Problem(f"{at}.{name}", "is missing; send it")
    for name, field in rules.get("properties", {}).items():
        if name in value:
            yield from _check(field, value[name], f"{at}.{name}", definitions)


def _text(rules: Mapping[str, Any], value: str, at: str) -> Iterator[Problem]:
    yield from _limits(rules, len(value), at, "Length", "characters")
    pattern = rules.get("pattern")
    if pattern and not re.search(_whole(pattern), value):
        yield Problem(at, f"does not have the form {pattern}")
    if rules.get("format") == "date-time" and not _is_time(value):
        yield Problem(at, "is not an RFC 3339 time with its zone, such as 2026-01-31T12:00:00Z")


def _whole(pattern: str) -> str:
    r"""Return a schema's pattern for Python, whose ``$`` also matches before a final line feed."""
    return f"{pattern[:-1]}\\Z" if pattern.endswith("$") else pattern


def _number(rules: Mapping[str, Any], value: float, at: str) -> Iterator[Problem]:
    low, high = rules.get("minimum"), rules.get("maximum")
    if not (low is None or value >= low) or not (high is None or value <= high):
        yield Problem(at, f"is not from {low} to {high}")
    elif rules["type"] == "number" and round(value, CENTS) != value:
        yield Problem(at, "has more than two decimals; round it to cents")


def _limits(
    rules: Mapping[str, Any], size: int, at: str, suffix: str, unit: str
) -> Iterator[Problem]:
    low, high = rules.get(f"min{suffix}", 0), rules.get(f"max{suffix}", size)
    if not low <= size <= high:
        yield Problem(at, f"has {size} {unit}; send from {low} to {high}")


def _sums(detail_type: str, detail: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems that no schema can express."""
    if detail_type == "Order Created":
        total = sum(
            int(item["quantity"]) * Decimal(str(item["unit_price"])) for item in detail["items"]
        )
        if Decimal(str(detail["total"])) != total:
            yield Problem("detail.total", f"is not the sum of the lines; send {total}")
        elif total == 0:
            yield Problem("detail.total", "is 0, which cannot be charged; send more")
    if detail_type == "Order Updated" and not (
        detail.get("email") or detail.get("shipping_address")
    ):
        yield Problem("detail.email", "nothing to change; send shipping_address, email, or both")


def _size(detail_type: str, detail: object) -> Iterator[Problem]:
    """Yield the problem of an event that is no JSON in UTF-8, or is too large."""
    try:
        text = json.dumps(detail, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        yield Problem("detail", f"is not JSON in UTF-8 ({error}); send text, finite numbers, lists")
        return
    size = len(SOURCE) + len(detail_type) + len(text)
    if size > MAX_BYTES:
        yield Problem("detail", f"the event has {size} bytes; send {MAX_BYTES} at most")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return bool(_ZONED.match(text)) and "T" in text.upper()
