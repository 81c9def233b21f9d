"""Changes of an event before it is sent again: the replay's name, and new ids for a load test."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from infra.cli.event_files import Line, to_put_entry
from infra.cli.json_stream import members
from kernel.events import MAX_EVENT_BYTES, parse
from kernel.json_text import read, write
from lambda_support.batches import entry_size

MAX_ID = 64
"""Characters of an order's id (`kernel.event_fields`)."""

IDS = ("event_id", "correlation_id", "causation_id", "idempotency_key")
"""Ids of an event's metadata that a new order does not have."""


def named(line: Line, name: str) -> Line:
    """Return an event with the replay's name in its metadata, which analysts read.

    The order's content and the event's id do not depend on it. An event that would become too
    large keeps its metadata.
    """
    assert line.entry is not None
    assert line.envelope is not None
    metadata = line.envelope["detail"].get("metadata")
    content = {**(metadata if isinstance(metadata, dict) else {}), "replay_name": name}
    detail = with_members(line.entry["Detail"], {"metadata": write(content).decode()})
    entry = {**line.entry, "Detail": detail}
    return line if entry_size(entry) > MAX_EVENT_BYTES else replace(line, entry=entry)


def with_new_ids(line: Line, suffix: str) -> Line:
    """Return an event of another order: its id has a suffix, and other ids are left out.

    The events of one order are again those of one order.
    """
    assert line.entry is not None
    assert line.envelope is not None
    detail = line.envelope["detail"]
    changes = {"order_id": write(new_id(detail["order_id"], suffix)).decode()}
    if isinstance(detail.get("metadata"), dict):
        kept = {key: value for key, value in detail["metadata"].items() if key not in IDS}
        changes["metadata"] = write(kept).decode()
    text = with_members(line.entry["Detail"], changes)
    envelope = {**line.envelope, "detail": read(text)}
    event, entry = parse(envelope), to_put_entry(envelope, text)
    return replace(line, envelope=envelope, event=event, entry=entry)


def new_id(order_id: str, suffix: str) -> str:
    """Return an order's id with a suffix; a long one is shortened, and stays unique by a digest."""
    text = f"{order_id}-{suffix}"
    if len(text) <= MAX_ID:
        return text
    digest = sha256(order_id.encode()).hexdigest()[:12]
    return f"{order_id[: MAX_ID - len(suffix) - len(digest) - 2]}-{digest}-{suffix}"


def with_members(text: str, values: Mapping[str, str]) -> str:
    """Return JSON text of an object with members set to JSON texts; the rest is unchanged."""
    places = members(text)
    known = sorted((places[name], value) for name, value in values.items() if name in places)
    for (start, end), value in reversed(known):
        text = f"{text[:start]}{value}{text[end:]}"
    for name, value in values.items():
        if name not in places:
            at = text.index("{") + 1
            comma = "" if text[at:].lstrip().startswith("}") else ","
            text = f'{text[:at]}"{name}":{value}{comma}{text[at:]}'
    return text
