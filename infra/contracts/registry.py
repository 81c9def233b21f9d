"""An event's contract in the form of the EventBridge schema registry: type ``JSONSchemaDraft4``."""

from typing import Any

from infra.contracts.json_schema import envelope_schema
from kernel.events import SOURCE

DIALECT = "http://json-schema.org/draft-04/schema#"

MAX_CHARACTERS = 100_000
"""Maximum length of a schema's content (EventBridge Schemas API, CreateSchema)."""


def registry_schema(name: str) -> dict[str, Any]:
    """Return an event's schema in JSON Schema draft 4, with EventBridge's two extra names."""
    schema: dict[str, Any] = _draft4(envelope_schema(name))
    names = {"x-amazon-events-detail-type": name, "x-amazon-events-source": SOURCE}
    return {"$schema": DIALECT, **schema, **names}


def _draft4(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_draft4(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    older: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "$schema" | "$id" | "examples":
                continue
            case "$defs" | "properties":
                named = {name: _draft4(part) for name, part in value.items()}
                older["definitions" if key == "$defs" else key] = named
            case "$ref":
                older["$ref"] = value.replace("#/$defs/", "#/definitions/")
            case "const":
                older["enum"] = [value]
            case "exclusiveMinimum" | "exclusiveMaximum":
                older |= {f"m{key[len('exclusiveM') :]}": value, key: True}
            case _:
                older[key] = _draft4(value)
    if "$ref" in older:  # draft 4 ignores the siblings of a reference
        return {"$ref": older["$ref"]}
    return older
