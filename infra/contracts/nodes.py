"""A schema as a flat list of its fields with resolved references, to document or to compare."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ANNOTATIONS = frozenset(
    {"$schema", "$id", "$defs", "$comment", "title", "description", "default", "examples"}
)
"""Keywords without effect on validity."""

_STRUCTURE = frozenset({"$ref", "anyOf", "type", "properties", "required", "items"})


@dataclass(frozen=True, slots=True)
class Node:
    """A field and its valid values; ``path`` is such as ``detail.items[].sku``.

    ``rules`` are the other keywords of JSON Schema that restrict it.
    """

    path: str
    types: frozenset[str]
    required: bool
    rules: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    examples: tuple[Any, ...] = ()

    @property
    def parent(self) -> str:
        """The path of the containing field."""
        if self.path.endswith("[]"):
            return self.path[:-2]
        return self.path.rpartition(".")[0]


def walk(schema: Mapping[str, Any]) -> Iterator[Node]:
    """Yield each field of a schema, a container before its fields; the root's path is empty."""
    yield from _walk(schema, schema, "", required=True)


def _walk(
    schema: Mapping[str, Any], root: Mapping[str, Any], path: str, *, required: bool
) -> Iterator[Node]:
    merged = _merged(schema, root)
    yield Node(
        path,
        _types(merged),
        required,
        {key: merged[key] for key in merged if key not in ANNOTATIONS | _STRUCTURE},
        merged.get("description", ""),
        tuple(merged.get("examples", ())),
    )
    if isinstance(merged.get("items"), Mapping):
        yield from _walk(merged["items"], root, f"{path}[]", required=True)
    for name, property_schema in merged.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield from _walk(property_schema, root, below, required=name in merged.get("required", ()))


def _merged(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with resolved references, and "this or null" as two types of one field."""
    merged = dict(schema)
    if "$ref" in merged:
        target: Any = root
        for step in merged.pop("$ref").removeprefix("#/").split("/"):
            target = target[step]
        merged = _merged(target, root) | merged
    if "anyOf" in merged:
        choices = [_merged(choice, root) for choice in merged.pop("anyOf")]
        real = [choice for choice in choices if choice.get("type") != "null"]
        if len(real) > 1:  # alternatives are compared as a unit; no contract has any
            return merged | {"forms": real}
        merged = real[0] | merged
        if len(real) < len(choices):
            merged["type"] = sorted({*_types(merged), "null"})
    return merged


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    kind = schema.get("type")
    if kind is not None:
        return frozenset([kind] if isinstance(kind, str) else kind)
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return frozenset("string" if isinstance(value, str) else "other" for value in values)
