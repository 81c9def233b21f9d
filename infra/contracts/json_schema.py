"""An event's contract as JSON Schema 2020-12: the complete envelope that a consumer receives."""

from typing import Any

from infra.contracts.folder import slug
from kernel.events import CONTRACTS, MAX_EVENT_BYTES, SOURCE, Detail

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_ADDED = "EventBridge adds it."


def envelope_schema(name: str) -> dict[str, Any]:
    """Return the schema of an event in its EventBridge envelope; unknown fields are allowed.

    The sender's fields are required; EventBridge adds the other fields of the envelope.
    """
    contract = CONTRACTS[name]
    definitions = detail_definitions(contract)
    return {
        "$schema": DIALECT,
        "$id": f"urn:orderflow:{slug(name)}:{contract.version}",
        "title": name,
        "description": meaning(contract),
        "type": "object",
        "required": ["detail-type", "source", "detail"],
        "properties": {
            "version": {"type": "string", "description": f"Of the envelope. {_ADDED}"},
            "id": {"type": "string", "description": f"New for every PutEvents. {_ADDED}"},
            "detail-type": {"const": name, "description": "The event's name."},
            "source": {"const": SOURCE, "description": "The same for every event of Orderflow."},
            "account": {"type": "string", "description": f"The AWS account. {_ADDED}"},
            "time": {
                "type": "string",
                "format": "date-time",
                "description": "Time of sending, in seconds; the present time by default.",
            },
            "region": {"type": "string", "description": f"The AWS region. {_ADDED}"},
            "resources": {
                "type": "array",
                "items": {"type": "string"},
                "description": f"Not used here. {_ADDED}",
            },
            "replay-name": {
                "type": "string",
                "description": "Name of the archive replay that sent it again; otherwise absent.",
            },
            "detail": {
                "$ref": f"#/$defs/{contract.__name__}",
                "description": f"Content of the event; at most {MAX_EVENT_BYTES:,} bytes.",
            },
        },
        "$defs": definitions,
    }


def detail_definitions(contract: type[Detail]) -> dict[str, Any]:
    """Return the schemas of an event's detail and of its nested models, by class name."""
    schema = contract.model_json_schema()
    definitions = schema.pop("$defs", {})
    definitions[contract.__name__] = schema
    return {name: _plain(definitions[name]) for name in sorted(definitions)}


def meaning(contract: type[Detail]) -> str:
    """Return the meaning of an event in a sentence: the first line of its docstring."""
    return (contract.__doc__ or "").partition("\n")[0]


def _plain(schema: Any) -> Any:
    """Return a schema without pydantic's additions: titles from names, and null defaults."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {
        key: _plain(value)
        for key, value in schema.items()
        if key not in ("title", "properties") and (key, value) != ("default", None)
    }
    if "properties" in schema:  # a field may be called "title"
        plain["properties"] = {name: _plain(part) for name, part in schema["properties"].items()}
    return plain
