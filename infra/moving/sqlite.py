"""A data directory of one machine as the source or the destination of a move."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

from infra.audit.directory import imported
from infra.audit.in_flight import RECONCILER
from infra.errors import MoveError
from infra.local.directory.journal import KIND, REAL, Journal, set_directory_value
from infra.local.engine.measures import count_unmeasured
from infra.local.orderflow import create_tables
from infra.local.template.stack import Stack
from infra.moving.export_file import Checked
from infra.moving.in_flight import messages, outbox, runs
from infra.moving.lines import COUNTS, Row, from_record, identity, numbered, to_record
from kernel import json_text
from kernel.order_record import Change, Entry, OrderRecord
from orders.dynamodb import key_item
from orders.early_requests import EarlyRequest
from orders.idempotency_key import Key
from orders.model import waits_for_stock
from storage.sqlite.database import Database
from storage.sqlite.records import RECORD, add_entry, write_change
from storage.sqlite.records import to_record as record_of
from storage.sqlite.waiting import add_waiting

SCHEMA = """
create table if not exists imports (
    digest text primary key,
    place text not null,
    imported_at real not null,
    last_event integer not null,
    newest_order real not null,
    whole integer not null
) without rowid;
create table if not exists carried (id text primary key) without rowid;
"""
"""Table ``imports``: each file by its digest, with the last event at that time, the time of its
newest order, and whether it had all events of its orders. Table ``carried``: the ids of its
messages, which leave their queues."""

_CHARGE = ("charge_id", "status", "reference", "opened_at", "updated_at")
_SHIPMENT = ("shipment_id", "status", "tracking_number", "updated_at")
_REVIEW = (
    "order_id",
    "customer_id",
    "currency",
    "total",
    "threshold",
    "flagged_at",
    "event_id",
    "status",
)
_TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "stock": ("stock", ("sku", *COUNTS)),
    "receipt": ("receipts", ("digest", "received_at", "units")),
    "mail": ("mails", ("message_id", "order_id", "sent_at")),
    "review": ("reviews", _REVIEW),
    "early": (
        "early_requests",
        ("request_id", *(name for name in EarlyRequest._fields if name != "request_id")),
    ),
}
"""Kinds that are rows of a table, with its columns; the id is the first column."""

_KEY = ("sender", "key", "order_id", "fingerprint", "used_at")
_IN_FLIGHT = ("outbox", "message", "letter")


class SQLitePlace:
    """The database of a data directory (a `infra.moving.place.Place`), used by its one writer."""

    def __init__(self, database: Database, name: str, stack: Stack | None = None) -> None:
        self.database = database
        self.name = name
        self.stack = stack or Stack()
        self._known_sequences: dict[str, int] | None = None
        self._waiting: dict[tuple[str, str], Row] | None = None

    def prepare(self) -> None:
        """Create missing tables."""
        Journal(self.database)
        create_tables(self.database)
        self.database.define(SCHEMA)

    def rows(self) -> Iterator[Row]:
        """Yield all exported lines, as of one moment."""
        with self.database.snapshot():
            for kind, (table, columns) in _TABLES.items():
                query = f"select {', '.join(columns)} from {table} order by 1"
                for row in self.database.connection.execute(query):
                    yield {"kind": kind, **dict(row)}
            query = f"select {RECORD} from orders order by created_at, order_id"
            for row in self.database.connection.execute(query):
                yield self._order(record_of(row))
            yield from self._events("archived order by seq")
            yield from _keys(self.database.connection)
            yield from self._in_flight()

    @property
    def archive(self) -> bool:
        """Whether the directory has all events of its orders: those of a table stay on its bus."""
        imports = imported(self.database)
        return imports is None or imports.whole

    def notes(self) -> list[str]:
        """Return no notes, because everything is exported."""
        return []

    def find(self, row: Row) -> Row | None:
        """Return the line that the directory has under the id of ``row``, or None."""
        kind, name = identity(row)
        if kind == "order":
            known = self.database.row(f"select {RECORD} from orders where order_id = ?", name)
            return self._order(record_of(known)) if known else None
        if kind == "event":
            return next(self._events("seq = ?", self._sequence(name)), None)
        if kind == "key":
            return self._key(row)
        if kind in _IN_FLIGHT:
            if self.database.row("select 1 from carried where id = ?", name) is not None:
                return row  # imported before, and perhaps consumed since
            if self._waiting is None:
                self._waiting = {identity(waiting): waiting for waiting in self._in_flight()}
            return self._waiting.get((kind, name))
        table, columns = _TABLES[kind]
        query = f"select {', '.join(columns)} from {table} where {columns[0]} = ?"
        stored = self.database.row(query, name)
        return None if stored is None else {"kind": kind, **dict(stored)}

    @contextmanager
    def importing(self, file: Checked, now: float) -> Iterator[None]:
        """Write added lines and the record of the import in one transaction.

        Raises
        ------
        MoveError
            A line violates a constraint.
        """
        try:
            with self.database.write(durable=True) as connection:
                yield
                count_unmeasured(connection)
                set_directory_value(connection, KIND, REAL)
                for schedule in self.stack.schedules:
                    if schedule.function == RECONCILER:  # due at once
                        connection.execute(
                            "insert or replace into schedules values (?, ?, 0)",
                            (schedule.name, schedule.expression),
                        )
                connection.execute(
                    "insert or ignore into imports values (?, ?, ?,"
                    " (select coalesce(max(seq), 0) from events), ?, ?)",
                    (
                        file.digest,
                        str(file.header.get("from")),
                        now,
                        file.newest_order,
                        int(file.has_archive),
                    ),
                )
        except sqlite3.IntegrityError as error:
            raise MoveError(
                f"{self.name} does not take a line ({error}); nothing was imported"
            ) from None

    def add(self, row: Row) -> None:
        """Write a line that the directory does not have, within `importing`."""
        connection, kind = self.database.connection, row["kind"]
        if kind == "order":
            _add_order(connection, row)
        elif kind == "event":
            self._add_event(connection, row)
        elif kind in _IN_FLIGHT:
            _add_in_flight(connection, row)
        elif kind == "key":
            _insert(connection, "idempotency_keys", {name: row[name] for name in _KEY})
        else:
            table, columns = _TABLES[kind]
            _insert(connection, table, {name: row[name] for name in columns if name in row})

    def _order(self, record: OrderRecord) -> Row:
        order_id = record.order_id
        timeline = self.database.rows(
            "select what, at, epoch, detail from timeline where order_id = ? order by seq", order_id
        )
        return {
            "kind": "order",
            "record": from_record(record),
            "timeline": [
                {**dict(entry), "detail": json_text.parse(entry["detail"])} for entry in timeline
            ],
            "charge": self._one("charges", _CHARGE, order_id),
            "shipment": self._one("shipments", _SHIPMENT, order_id),
        }

    def _one(self, table: str, columns: tuple[str, ...], order_id: str) -> Row | None:
        query = f"select {', '.join(columns)} from {table} where order_id = ?"
        row = self.database.row(query, order_id)
        return None if row is None else dict(row)

    def _in_flight(self) -> Iterator[Row]:
        connection = self.database.connection
        waiting = (runs(connection, self.stack), messages(connection, self.stack))
        yield from numbered(chain(outbox(connection), *waiting))

    def _key(self, row: Row) -> Row | None:
        """Return an idempotency key of the directory.

        A key without text, from a table, counts as present and is not imported.
        """
        if row["key"] is None:
            return row
        query = "select order_id, fingerprint from idempotency_keys where sender = ? and key = ?"
        stored = self.database.row(query, row["sender"], row["key"])
        return None if stored is None else {**row, **dict(stored)}

    def _sequences(self) -> dict[str, int]:
        """Return sequence numbers by event id, because the journal has no index of ids."""
        if self._known_sequences is None:
            query = "select id, seq from events"
            self._known_sequences = dict(self.database.connection.execute(query).fetchall())
        return self._known_sequences

    def _sequence(self, event_id: str) -> int:
        return self._sequences().get(event_id, 0)

    def _events(self, condition: str, *parameters: object) -> Iterator[Row]:
        query = f"select id, envelope, arrived_at from events where {condition}"
        for row in self.database.connection.execute(query, parameters):
            yield {"kind": "event", **dict(row)}

    def _add_event(self, connection: sqlite3.Connection, row: Row) -> None:
        """Add an event and its pending delivery to the analysts' files of this directory."""
        envelope = json_text.parse(row["envelope"])
        order_id = envelope["detail"].get("order_id")
        values = {
            "id": row["id"],
            "detail_type": envelope["detail-type"],
            "order_id": order_id if isinstance(order_id, str) else None,
            "envelope": row["envelope"],
            "arrived_at": row["arrived_at"],
            "archived": 1,
        }
        sequence = _insert(connection, "events", values)
        self._sequences()[row["id"]] = sequence
        for rule in self.stack.rules:
            for target in rule.targets:
                if target.kind == "stream" and rule.pattern.matches(envelope):
                    due = {"due": row["arrived_at"], "attempts": 0}
                    values = {"event_seq": sequence, "target": target.key, **due}
                    _insert(connection, "deliveries", values)


def _keys(connection: sqlite3.Connection) -> Iterator[Row]:
    for row in connection.execute(f"select {', '.join(_KEY)} from idempotency_keys order by 1, 2"):
        item, _ = key_item(Key(row["sender"], row["key"], row["fingerprint"]))
        yield {"kind": "key", "id": item.partition("#")[2], **dict(row)}


def _add_order(connection: sqlite3.Connection, row: Row) -> None:
    record = to_record(row["record"])
    change = Change(record._replace(version=0), {}, (), (), record)
    write_change(connection, change)
    if waits_for_stock(record):
        add_waiting(connection, change, sorted(record.demand))
    for stored in row["timeline"]:
        entry = Entry(stored["what"], stored["at"], stored["detail"])
        add_entry(connection, record.order_id, stored["epoch"], entry)
    common = {"order_id": record.order_id}
    if row["charge"]:
        paid = {"amount": record.total, "currency": record.currency}
        _insert(connection, "charges", {**common, **paid, **row["charge"]})
    if row["shipment"]:
        _insert(connection, "shipments", {**common, **row["shipment"]})


def _add_in_flight(connection: sqlite3.Connection, row: Row) -> None:
    if row["kind"] == "outbox":
        body = json_text.write(row["body"]).decode()
        values = {"kind": row["what"], "body": body, "created_at": row["created_at"]}
        _insert(connection, "outbox", values)
    else:
        attributes = json_text.write(row["attributes"]).decode()
        sent = {"sent_at": row["sent_at"], "visible_at": row["sent_at"], "receives": 0}
        values = {"queue": row["queue"], "body": row["body"], "attributes": attributes, **sent}
        _insert(connection, "messages", values)
    connection.execute("insert into carried values (?)", (row["id"],))


def _insert(connection: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> int:
    marks = ", ".join("?" * len(values))
    names = ", ".join(values)
    cursor = connection.execute(
        f"insert into {table} ({names}) values ({marks})", tuple(values.values())
    )
    return cursor.lastrowid or 0
