"""An event's contract as JSON Schema 2020-12: the whole envelope, as a consumer gets it."""

from typing import Any

from infra.contracts.folder import slug
from kernel.events import CONTRACTS, MAX_EVENT_BYTES, SOURCE, Detail

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_ADDED = "EventBridge adds it."


def envelope_schema(name: str) -> dict[str, Any]:
    """Return the schema of an event in its EventBridge envelope; unknown fields are allowed.

    What the sender decides is required; EventBridge adds the rest of the envelope to every event.
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
                "description": "When it was sent, to the second; now unless the sender says.",
            },
            "region": {"type": "string", "description": f"The AWS region. {_ADDED}"},
            "resources": {
                "type": "array",
                "items": {"type": "string"},
                "description": f"Not used here. {_ADDED}",
            },
            "replay-name": {
                "type": "string",
                "description": "The archive replay that sent it again; else absent.",
            },
            "detail": {
                "$ref": f"#/$defs/{contract.__name__}",
                "description": f"What the event says; at most {MAX_EVENT_BYTES:,} bytes.",
            },
        },
        "$defs": definitions,
    }


def detail_definitions(contract: type[Detail]) -> dict[str, Any]:
    """Return the schemas of an event's detail and of all in it, by class name."""
    schema = contract.model_json_schema()
    definitions = schema.pop("$defs", {})
    definitions[contract.__name__] = schema
    return {name: _plain(definitions[name]) for name in sorted(definitions)}


def meaning(contract: type[Detail]) -> str:
    """Return what an event means, in a sentence."""
    return (contract.__doc__ or "").partition("\n")[0]


def _plain(schema: Any) -> Any:
    """Leave out what pydantic adds and nobody needs: titles made of names, and null defaults."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _plain(value)
        for key, value in schema.items()
        if key not in ("title", "properties") and (key, value) != ("default", None)
    }
    if "properties" in schema:  # a field may be called "title"
        kept["properties"] = {name: _plain(one) for name, one in schema["properties"].items()}
    return kept
