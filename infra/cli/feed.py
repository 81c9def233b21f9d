"""Events on their way to the bus: batched by count and size, and what became of them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infra.cli.event_files import to_put_entry
from shared.batches import batches as grouped
from shared.batches import entry_size

Entry = dict[str, Any]


def to_entry(envelope: Mapping[str, Any], bus: str) -> Entry:
    """Return the PutEvents entry of an event in its envelope."""
    return {"EventBusName": bus, **to_put_entry(envelope)}


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Group entries so that each group is one PutEvents request."""
    return grouped(entries, entry_size)
