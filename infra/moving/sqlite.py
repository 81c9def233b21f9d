"""A data directory of one machine as a place to move from or to."""

import json
import sqlite3
from collections.abc import Iterator, Mapping

from infra.cli.output import CommandError
from infra.local.journal import Journal
from infra.local.platform import STORES
from infra.moving.lines import COUNTS, Row, from_record, identity, to_record
from shared.record import Change, Entry
from shared.sqlite import Database, SQLiteRecords, add_entry, apply

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
}
"""Kinds that are rows of a table, their id first."""


class SQLitePlace:
    """A database (see `infra.cli.moving.Place`); it is written to by its one writer only."""

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        self.name = name
        self._events_known: dict[str, int] | None = None

    def prepare(self) -> None:
        """Create the tables that are not there yet."""
        Journal(self.database)
        for store in STORES:
            store(self.database)

    def rows(self) -> Iterator[Row]:
        """Return everything that is carried.

        Raises
        ------
        CommandError
            Messages wait in the outbox, which are not carried.
        """
        waiting = self.database.row("select count(*) from outbox")
        if waiting and waiting[0]:
            raise CommandError(
                f"{waiting[0]} messages wait in the outbox of {self.name};"
                " send them first: `orders run --count 0`"
            )
        for kind, (table, columns) in _TABLES.items():
            for row in self.database.rows(f"select {', '.join(columns)} from {table} order by 1"):
                yield {"kind": kind, **dict(row)}
        for row in self.database.rows("select order_id from orders order by created_at, order_id"):
            yield self._order(row["order_id"])
        yield from self._events("archived order by seq")

    def find(self, row: Row) -> Row | None:
        """Return what stands here under a line's id."""
        kind, name = identity(row)
        if kind == "order":
            known = self.database.row("select 1 from orders where order_id = ?", name)
            return self._order(name) if known else None
        if kind == "event":
            return next(self._events("seq = ?", self._sequence(name)), None)
        table, columns = _TABLES[kind]
        query = f"select {', '.join(columns)} from {table} where {columns[0]} = ?"
        found = self.database.row(query, name)
        return None if found is None else {"kind": kind, **dict(found)}

    def add(self, row: Row) -> None:
        """Write a line that is not here yet."""
        with self.database.write() as connection:
            kind = row["kind"]
            if kind == "order":
                _add_order(connection, row)
            elif kind == "event":
                _add_event(connection, row)
                self._events_known = None
            else:
                table, columns = _TABLES[kind]
                _insert(connection, table, {name: row[name] for name in columns})

    def _order(self, order_id: str) -> Row:
        timeline = self.database.rows(
            "select what, at, epoch, detail from timeline where order_id = ? order by seq", order_id
        )
        return {
            "kind": "order",
            "record": from_record(SQLiteRecords(self.database).read(order_id)),
            "timeline": [{**dict(one), "detail": json.loads(one["detail"])} for one in timeline],
            "charge": self._one("charges", _CHARGE, order_id),
            "shipment": self._one("shipments", _SHIPMENT, order_id),
        }

    def _one(self, table: str, columns: tuple[str, ...], order_id: str) -> Row | None:
        query = f"select {', '.join(columns)} from {table} where order_id = ?"
        row = self.database.row(query, order_id)
        return None if row is None else dict(row)

    def _sequence(self, event_id: str) -> int:
        """Return where an event is in the journal, which has no index of their ids."""
        if self._events_known is None:
            self._events_known = dict(
                self.database.connection.execute("select id, seq from events").fetchall()
            )
        return self._events_known.get(event_id, 0)

    def _events(self, condition: str, *parameters: object) -> Iterator[Row]:
        query = f"select envelope, arrived_at from events where {condition}"
        for row in self.database.connection.execute(query, parameters):
            envelope = json.loads(row["envelope"])
            yield {"kind": "event", "envelope": envelope, "arrived_at": row["arrived_at"]}


def _add_order(connection: sqlite3.Connection, row: Row) -> None:
    record = to_record(row["record"])
    apply(connection, Change(record._replace(version=0), {}, (), (), record))
    for one in row["timeline"]:
        entry = Entry(one["what"], one["at"], one["detail"])
        add_entry(connection, record.order_id, one["epoch"], entry)
    common = {"order_id": record.order_id}
    if row["charge"]:
        paid = {"amount": record.total, "currency": record.currency}
        _insert(connection, "charges", {**common, **paid, **row["charge"]})
    if row["shipment"]:
        _insert(connection, "shipments", {**common, **row["shipment"]})


def _add_event(connection: sqlite3.Connection, row: Row) -> None:
    envelope = row["envelope"]
    order_id = envelope["detail"].get("order_id")
    values = {
        "id": envelope["id"],
        "detail_type": envelope["detail-type"],
        "order_id": order_id if isinstance(order_id, str) else None,
        "envelope": json.dumps(envelope),
        "arrived_at": row["arrived_at"],
        "archived": 1,
    }
    _insert(connection, "events", values)


def _insert(connection: sqlite3.Connection, table: str, values: Row) -> None:
    marks = ", ".join("?" * len(values))
    connection.execute(
        f"insert into {table} ({', '.join(values)}) values ({marks})", tuple(values.values())
    )
