"""Every event in one document: AsyncAPI 3.0, with the bus as its channel."""

from typing import Any

from infra.contracts.json_schema import detail_definitions, meaning
from infra.contracts.sample_orders import examples
from infra.contracts.snippets import BUS
from kernel.events import CONTRACTS, REQUESTS, SOURCE, Detail


def asyncapi() -> dict[str, Any]:
    """Return the document; ``send`` and ``receive`` are from Orderflow's point of view."""
    schemas: dict[str, Any] = {}
    for contract in CONTRACTS.values():
        schemas |= in_components(detail_definitions(contract))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Orderflow events",
            "version": max(contract.version for contract in CONTRACTS.values()),
            "description": "The events that Orderflow receives and those that it publishes.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:8080",
                "protocol": "http",
                "description": "`orders serve`, as an endpoint for AWS's own clients.",
            },
            "aws": {
                "host": "events.{region}.amazonaws.com",
                "protocol": "https",
                "description": "Amazon EventBridge.",
                "variables": {"region": {"default": "us-east-1", "description": "AWS region."}},
            },
        },
        "channels": {
            BUS: {
                "address": BUS,
                "description": "The event bus; rules match `source` and `detail-type`.",
                "messages": {
                    contract.__name__: {"$ref": f"#/components/messages/{contract.__name__}"}
                    for contract in CONTRACTS.values()
                },
            }
        },
        "operations": dict(_operation(contract) for contract in CONTRACTS.values()),
        "components": {
            "messages": {contract.__name__: _message(contract) for contract in CONTRACTS.values()},
            "schemas": {name: schemas[name] for name in sorted(schemas)},
        },
    }


def _operation(contract: type[Detail]) -> tuple[str, dict[str, Any]]:
    action = "receive" if contract.name in REQUESTS else "send"
    return f"{action}{contract.__name__}", {
        "action": action,
        "channel": {"$ref": f"#/channels/{BUS}"},
        "summary": meaning(contract),
        "messages": [{"$ref": f"#/channels/{BUS}/messages/{contract.__name__}"}],
    }


def _message(contract: type[Detail]) -> dict[str, Any]:
    return {
        "name": contract.name,
        "title": contract.name,
        "summary": meaning(contract),
        "payload": {
            "type": "object",
            "required": ["detail-type", "source", "detail"],
            "properties": {
                "detail-type": {"const": contract.name},
                "source": {"const": SOURCE},
                "time": {"type": "string", "format": "date-time"},
                "detail": {"$ref": f"#/components/schemas/{contract.__name__}"},
            },
        },
        "examples": [
            {"name": example.name, "summary": example.shows, "payload": example.envelope}
            for example in examples()[contract.name]
        ],
    }


def in_components(schema: Any) -> Any:
    """Return a schema whose references point to the document's own schemas."""
    if isinstance(schema, list):
        return [in_components(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("#/$defs/", "#/components/schemas/")
        if key == "$ref"
        else in_components(value)
        for key, value in schema.items()
    }
