"""The folder of the contracts: ``events_schema/``, with a folder for each event."""

from pathlib import Path

FOLDER = Path(__file__).parents[2] / "events_schema"

SCHEMA = "schema.json"
REGISTRY_SCHEMA = "schema.draft4.json"
CHANGELOG = "CHANGELOG.md"
EXAMPLES = "examples"
ASYNCAPI = "asyncapi.json"
OPENAPI = "openapi.json"
BASELINE = "baseline.json"
INVALID = "invalid.json"
PARTICIPANTS = "participants.json"
INDEX = "index.html"
STOCK = "sample_stock.csv"
CLIENT = "clients/python/orderflow_client"

NO_EVENTS = frozenset({SCHEMA, REGISTRY_SCHEMA, ASYNCAPI, OPENAPI, BASELINE, INVALID, PARTICIPANTS})
"""JSON files in the folder that are no examples."""


def slug(name: str) -> str:
    """Return the folder of a detail type: ``order-created`` for ``Order Created``."""
    return name.lower().replace(" ", "-")
