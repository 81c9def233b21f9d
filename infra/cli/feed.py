"""Events on their way to the bus: batched by count and size, and what became of them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infra.cli.event_files import to_put_entry
from infra.local.bus import MAX_BYTES, MAX_ENTRIES, entry_size

Entry = dict[str, Any]


def to_entry(envelope: Mapping[str, Any], bus: str) -> Entry:
    """Return the PutEvents entry of an event in its envelope."""
    return {"EventBusName": bus, **to_put_entry(envelope)}


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Group entries so that each group is one PutEvents request."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        more = entry_size(entry)
        if batch and (len(batch) == MAX_ENTRIES or size + more > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += more
    if batch:
        yield batch
