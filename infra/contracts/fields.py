"""An event's fields as rows of a readable table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.contracts.nodes import Node, walk

_TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "object": "object",
    "array": "list",
    "boolean": "true or false",
}
_UNITS = {"string": "characters", "array": "entries"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an event's detail; ``name`` is its path, such as ``items[].sku``."""

    name: str
    type: str
    required: bool
    description: str
    limits: str
    pattern: str


def detail_fields(schema: Mapping[str, Any]) -> list[Field]:
    """Return the fields of the detail in an envelope's schema: required ones first, metadata last.

    A list and its entries share a row.
    """
    nodes = [node for node in walk(schema) if node.path.startswith("detail.")]
    entries = {node.parent: node for node in nodes if node.path.endswith("[]")}
    rows = [_field(node, entries.get(node.path)) for node in nodes if node.path[-2:] != "[]"]
    places = {row.name: (row.name == "metadata", not row.required) for row in rows}
    return sorted(rows, key=lambda row: places[re.split(r"\[]|\.", row.name)[0]])


def _field(node: Node, entry: Node | None) -> Field:
    return Field(
        node.path.removeprefix("detail."),
        _type(node, entry),
        node.required,
        node.description or (entry.description if entry else ""),
        limits(node),
        str(node.rules.get("pattern", "")),
    )


def _type(node: Node, entry: Node | None) -> str:
    if node.rules.get("format") == "date-time":
        return "time"
    name = " or ".join(_TYPES[kind] for kind in sorted(node.types) if kind in _TYPES)
    return f"{name} of {_type(entry, None)}s" if entry else name


def limits(node: Node) -> str:
    """Return the limits of a field in words, without its pattern."""
    rules = node.rules
    if "const" in rules:
        return f"always {rules['const']}"
    if "enum" in rules:
        return "one of " + ", ".join(str(value) for value in rules["enum"])
    unit = next((f" {_UNITS[value]}" for value in sorted(node.types) if value in _UNITS), "")
    low = next((rules[key] for key in ("minimum", "minLength", "minItems") if key in rules), None)
    high = next((rules[key] for key in ("maximum", "maxLength", "maxItems") if key in rules), None)
    parts = []
    if low is not None and high is not None:
        parts.append(f"{low:,} to {high:,}{unit}")
    elif low is not None:
        parts.append(f"at least {low:,}{unit}")
    elif high is not None:
        parts.append(f"at most {high:,}{unit}")
    parts += [f"more than {rules[key]:,}" for key in ("exclusiveMinimum",) if key in rules]
    parts += [f"less than {rules[key]:,}" for key in ("exclusiveMaximum",) if key in rules]
    if rules.get("format") == "date-time":
        parts.append("RFC 3339, with its zone")
    return ", ".join(parts)
