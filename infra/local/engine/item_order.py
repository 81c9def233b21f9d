"""The order that a failed item is about, for its line in the log."""

import sqlite3
from contextlib import suppress

from infra.local.directory.crash_marker import Item, Kind
from kernel import current_order, json_text
from storage.sqlite.database import Database

_DOCUMENTS = {
    Kind.EVENT: "select envelope from events where seq = ?",
    Kind.DELIVERY: "select envelope from events join deliveries on event_seq = seq"
    " where deliveries.id = ?",
    Kind.MESSAGE: "select body from messages where id = ?",
    Kind.LETTER: "select body from messages where id = ?",
    Kind.LETTER_JOB: "select body from messages where id = ?",
    Kind.EXECUTION: "select input from executions where id = ?",
    Kind.OUTBOX: "select body from outbox where id = ?",
}
"""Queries of the document of an item, by its kind; a record is a delivery."""

_CORRELATION = "select correlation_id from orders where order_id = ?"


def order_of(database: Database, item: Item) -> dict[str, str | None]:
    """Return ``order_id`` and ``correlation_id`` of an item; None where they are unknown.

    An item of many, or one that the journal does not have, names no order.
    """
    ids: tuple[str | None, str | None] = (None, None)
    with suppress(sqlite3.Error, ValueError):  # an error here must not hide the item's own
        ids = _ids_of(database, item)
    return {"order_id": ids[0], "correlation_id": ids[1]}


def _ids_of(database: Database, item: Item) -> tuple[str | None, str | None]:
    kind = Kind.DELIVERY if item.kind is Kind.RECORD else item.kind
    query = _DOCUMENTS.get(kind)
    row = database.row(query, item.first) if query and item.first == item.last else None
    if row is None:
        return None, None
    order_id, correlation_id = current_order.ids_in(json_text.read(row[0]))
    if order_id is not None and correlation_id is None:
        known = database.row(_CORRELATION, order_id)
        correlation_id = None if known is None else known[0]
    return order_id, correlation_id
