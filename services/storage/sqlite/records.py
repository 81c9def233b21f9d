"""Orders' records, timelines and outbox in SQLite (the tables are `storage.sqlite.schema.ORDERS`).

Each service's store extends `SQLiteRecords`, and writes its own rows in the transaction of
`write_change`.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from kernel import current_order, json_text
from kernel.errors import OrderNotFound, VersionConflict
from kernel.order_record import Change, Entry, Line, Message, OrderRecord
from kernel.order_status import (
    ENDED,
    Approval,
    ChargeStatus,
    Reservation,
    ShipmentStatus,
    Status,
)
from storage.sqlite.database import Database
from storage.sqlite.schema import ORDERS

_COLUMNS = OrderRecord._fields
RECORD = ", ".join(_COLUMNS)
"""The columns of ``orders``, in the order that `to_record` expects."""

_INSERT = (
    f"insert into orders (in_flight, {RECORD}) values (?{', ?' * len(_COLUMNS)})"
    " on conflict do nothing"
)

_INSERT_FIRST = (
    f"insert into orders (in_flight, {RECORD}) select ?{', ?' * len(_COLUMNS)}"
    " where not exists (select 1 from early_requests where order_id ="
    f" ?{_COLUMNS.index('order_id') + 2}) and not exists (select 1 from pruned_orders where"
    f" order_id = ?{_COLUMNS.index('order_id') + 2}) on conflict do nothing"
)
"""Insert a new order unless ``early_requests`` has requests for it, or it was pruned: without a
query of its own."""

NOTES = 1 << 20
"""Timeline sequence numbers reserved for each version of an order: the entries of its change first,
notes after them."""

_ITEMS, _ADDRESS, _CANCEL_REQUESTED = (
    _COLUMNS.index(name) for name in ("items", "shipping_address", "cancel_requested")
)
# used at each read of an order: a dictionary's look-up is faster than the enumeration's call
_MEMBERS: tuple[tuple[int, Mapping[str | None, Any]], ...] = tuple(
    (_COLUMNS.index(name), {None: None} | {str(member): member for member in kind})
    for name, kind in (
        ("status", Status),
        ("reservation", Reservation),
        ("charge", ChargeStatus),
        ("shipment", ShipmentStatus),
        ("approval", Approval),
    )
)


_line = partial(tuple.__new__, Line)
"""`Line._make` without the call of a Python function: each step reads its order's lines."""


class SQLiteRecords:
    """Orders' records, timelines and outbox in SQLite (see `kernel.order_record.Records`)."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.define(ORDERS)

    def find(self, order_id: str) -> OrderRecord | None:
        """Return the record of an order, or ``None``."""
        row = self.database.row(f"select {RECORD} from orders where order_id = ?", order_id)
        if row is None:
            return None
        record = to_record(row)
        current_order.notice(record)
        return record

    def read(self, order_id: str) -> OrderRecord:
        """Return the record of an order, or raise `OrderNotFound`."""
        record = self.find(order_id)
        if record is None:
            raise OrderNotFound(f"no order has the id {order_id!r}")
        return record

    def save(self, change: Change) -> OrderRecord:
        """Write a change with its timeline entries and messages, or raise `VersionConflict`."""
        with self.database.write() as connection:
            write_change(connection, change)
        return change.after

    def note(self, order_id: str, entry: Entry) -> None:
        """Add an entry to an order's timeline without changing the order."""
        with self.database.write() as connection:
            add_entry(connection, order_id, None, entry)

    def send(self, message: Message, at: float) -> None:
        """Put a message into the outbox that belongs to no change of a record."""
        self.send_all((message,), at)

    def send_all(self, messages: Sequence[Message], at: float) -> None:
        """Put messages into the outbox that belong to no change of a record, all or none."""
        with self.database.write() as connection:
            for message in messages:
                add_message(connection, message, at)


def require_unchanged(connection: sqlite3.Connection, record: OrderRecord) -> None:
    """Raise `VersionConflict` if a record has changed since it was read."""
    query = "select 1 from orders where order_id = ? and version = ?"
    if connection.execute(query, (record.order_id, record.version)).fetchone() is None:
        raise VersionConflict(f"order {record.order_id} has changed meanwhile")


def write_change(
    connection: sqlite3.Connection, change: Change, *, unrequested: bool = False
) -> None:
    """Write a change in the caller's transaction, or raise `VersionConflict`.

    With ``unrequested``, a new order conflicts with requests in ``early_requests``.
    """
    if change.before.version == 0:
        values = {"in_flight": 1} | _encoded(change.after._asdict())
        insert = _INSERT_FIRST if unrequested else _INSERT
        cursor = connection.execute(insert, tuple(values.values()))
    else:
        values = _encoded(change.fields)
        cursor = connection.execute(
            _update(tuple(values)),
            (*values.values(), change.before.order_id, change.before.version),
        )
    if cursor.rowcount != 1:
        raise VersionConflict(f"order {change.before.order_id} has changed meanwhile")
    for number, entry in enumerate(change.entries):
        connection.execute(
            "insert into timeline (order_id, seq, at, epoch, what, detail)"
            " values (?, ?, ?, ?, ?, ?)",
            (
                change.before.order_id,
                change.after.version * NOTES + number,
                entry.at,
                change.after.epoch,
                entry.what,
                _text(entry.detail),
            ),
        )
    for message in change.messages:
        add_message(connection, message, change.after.updated_at)


@cache
def _update(names: tuple[str, ...]) -> str:
    return (
        f"update orders set {', '.join(f'{name} = ?' for name in names)}"
        " where order_id = ? and version = ?"
    )


def add_message(connection: sqlite3.Connection, message: Message, at: float) -> None:
    """Put a message into the outbox in the caller's transaction."""
    connection.execute(
        "insert into outbox (kind, body, created_at) values (?, ?, ?)",
        (message.kind, _text(message.body), at),
    )


def to_record(row: sqlite3.Row) -> OrderRecord:
    """Return the record in a row of the columns `RECORD`."""
    values = list(row)
    # quantities and prices are bounded: no integer is beyond 64 bits
    lines = json_text.parse(values[_ITEMS], exact=False)
    values[_ITEMS] = tuple(map(_line, lines))
    values[_CANCEL_REQUESTED] = values[_CANCEL_REQUESTED] == 1
    if values[_ADDRESS]:
        values[_ADDRESS] = json_text.parse(values[_ADDRESS])
    for column, members in _MEMBERS:
        values[column] = members[values[column]]
    return tuple.__new__(OrderRecord, values)


def _encoded(fields: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(fields)
    if "items" in values:
        values["items"] = _text([tuple(line) for line in values["items"]])
    if values.get("shipping_address"):
        values["shipping_address"] = _text(values["shipping_address"])
    if values.get("status") in ENDED:
        values["in_flight"] = None  # an index on the status would change at each step
    return values


def _text(value: Any) -> str:
    return json_text.write(value).decode()


def add_entry(
    connection: sqlite3.Connection, order_id: str, epoch: int | None, entry: Entry
) -> None:
    """Add an entry to an order's timeline in the caller's transaction."""
    connection.execute(
        "insert into timeline (order_id, seq, at, epoch, what, detail) values (?1,"
        " (select coalesce(max(seq), 0) + 1 from timeline where order_id = ?1), ?2, ?3, ?4, ?5)",
        (order_id, entry.at, epoch, entry.what, _text(entry.detail)),
    )
