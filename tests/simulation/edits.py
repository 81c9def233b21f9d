"""Events with which operators of a simulation replace those of dead letters."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from infra.dead_letters.edit import NothingToEdit, event_in
from storage.sqlite.database import Database

Letter = Mapping[str, Any]


def editable(store: Database, ids: Sequence[int]) -> dict[str, Any]:
    """Return the first of some dead letters that is open and has an event, else the first."""
    query = "select id, queue, body from messages where id in (select value from json_each(?))"
    for row in store.rows(f"{query} order by id", json.dumps(list(ids))):
        letter = {"id": row["id"], "queue": row["queue"], "body": json.loads(row["body"])}
        try:
            letter["event"] = event_in(letter)
        except NothingToEdit:
            continue
        return letter
    return {"id": ids[0], "event": {"source": "orders.service"}}


def valid(letter: Letter, mark: str) -> Any:
    """Return the event of a dead letter with its mistakes mended, and with a mark if it can be."""
    event = deepcopy(letter["event"])
    detail = event.get("detail") if isinstance(event, dict) else None
    if not isinstance(detail, dict):
        return event
    if "items" in detail and "total" in detail:
        detail["total"] = sum(line["quantity"] * line["unit_price"] for line in detail["items"])
    if detail.get("metadata", {}).get("schema_version", "1.0") != "1.0":
        detail["metadata"]["schema_version"] = "1.0"
    if detail.get("timestamp") == "yesterday":
        detail["timestamp"] = "2026-01-31T12:05:00Z"
    if isinstance(detail.get("shipping_address"), dict):
        detail["shipping_address"]["street"] = f"1 {mark} Lane"
    elif event.get("detail-type") == "Order Cancelled":
        detail["reason"] = f"asked by {mark} now"
    return event


def broken(letter: Letter, roll: float) -> Any:
    """Return an event that breaks its contract."""
    event = deepcopy(letter["event"])
    if not isinstance(event, dict) or roll < 0.25:
        return ["nonsense"]
    if roll < 0.5:
        return {**event, "detail": {"order_id": 5}}
    if roll < 0.75:
        return {**event, "detail-type": "Order Teleported"}
    detail = event.get("detail")
    return {**event, "detail": {**detail, "order_id": ""} if isinstance(detail, dict) else None}
