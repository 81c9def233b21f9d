"""Orders in SQLite: their queries, their early requests and their idempotency keys."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kernel import json_text
from kernel.errors import DuplicateOrder, VersionConflict
from kernel.order_record import Change, Message, OrderRecord
from orders.early_requests import MAX_KEPT, EarlyRequest, RequestedBefore, too_many
from orders.idempotency_key import Key, Use
from storage.sqlite.database import Database
from storage.sqlite.records import RECORD, SQLiteRecords, add_message, to_record, write_change
from storage.sqlite.schema import IDEMPOTENCY_KEYS
from storage.sqlite.waiting import add_waiting, forget_waiting, waiting_for

_REQUEST = ", ".join(EarlyRequest._fields)


class SQLiteOrders(SQLiteRecords):
    """The orders' store (see `orders.usecases.OrderStore`)."""

    def open(
        self, change: Change, requests: Sequence[EarlyRequest] = (), key: Key | None = None
    ) -> OrderRecord:
        """Write a new order, and delete the early requests that its record accounts for."""
        order_id = change.before.order_id
        with self.database.write() as connection:
            _open(connection, change, requests)
            if key is not None:
                _write_key(connection, key, order_id, change.after.created_at)
        return change.after

    def keep_request(self, request: EarlyRequest) -> None:
        """Store a request for an order that does not exist yet, once."""
        with self.database.write() as connection:
            query = "select 1 from orders where order_id = ?"
            if connection.execute(query, (request.order_id,)).fetchone() is not None:
                raise VersionConflict(f"order {request.order_id} has come meanwhile")
            stored = {each.request_id for each in _stored(connection, request.order_id)}
            if request.request_id in stored:
                return
            if len(stored) >= MAX_KEPT:
                raise too_many(request.order_id)
            values = request._asdict() | {"detail": json_text.write(request.detail).decode()}
            placeholders = ", ".join("?" * len(values))
            connection.execute(
                f"insert into early_requests ({_REQUEST}) values ({placeholders})",
                tuple(values.values()),
            )

    def expired_requests(self, before: float, limit: int) -> list[list[EarlyRequest]]:
        """Return the early requests of each missing order whose newest one is older than a time."""
        rows = self.database.rows(
            "select order_id from early_requests group by order_id having max(came_at) < ?"
            " order by max(came_at) limit ?",
            before,
            limit,
        )
        return [_stored(self.database.connection, row["order_id"]) for row in rows]

    def give_up(
        self, requests: Sequence[EarlyRequest], messages: Sequence[Message], at: float
    ) -> None:
        """Replace an order's early requests by messages in the outbox, in one transaction."""
        order_id = requests[0].order_id
        with self.database.write() as connection:
            stored = {request.request_id for request in _stored(connection, order_id)}
            if stored != {request.request_id for request in requests}:
                raise VersionConflict(f"order {order_id} or another request has come meanwhile")
            connection.execute("delete from early_requests where order_id = ?", (order_id,))
            for message in messages:
                add_message(connection, message, at)

    def save_waiting(self, change: Change, skus: Sequence[str]) -> OrderRecord:
        """Write a change, and an index entry of the order under each SKU that it waits for."""
        with self.database.write() as connection:
            write_change(connection, change)
            add_waiting(connection, change, skus)
        return change.after

    def waiting_for(self, sku: str, limit: int) -> list[str]:
        """Return the ids of orders that waited for a SKU, the oldest order first."""
        return waiting_for(self.database, sku, limit)

    def forget_waiting(self, sku: str, records: Sequence[OrderRecord]) -> None:
        """Delete the index entries of these orders under a SKU."""
        forget_waiting(self.database, sku, records)

    def by_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        """Return a customer's orders, newest first; with ``after``, those older than that order."""
        start = self.find(after) if after else None
        created = start.created_at if start else 1e18
        rows = self.database.rows(
            f"select {RECORD} from orders where customer_id = ? and (created_at, order_id) < (?, ?)"
            " order by created_at desc, order_id desc limit ?",
            customer_id,
            created,
            start.order_id if start else "",
            limit,
        )
        return [to_record(row) for row in rows]

    def is_unconfirmed(self, order_id: str) -> bool:
        """Return whether an order's confirmation failed and was not sent since."""
        rows = self.database.rows(
            "select distinct what from timeline where order_id = ? and"
            " (what = 'CONFIRMATION_FAILED' or what = 'CONFIRMATION_SENT')",
            order_id,
        )
        return [row["what"] for row in rows] == ["CONFIRMATION_FAILED"]

    def stranded(self, now: float, grace: float, limit: int) -> list[OrderRecord]:
        """Return orders that have not ended and that no run and no timer will continue."""
        rows = self.database.rows(
            f"select {RECORD} from orders where in_flight = 1 and lease_until < ?"
            " and max(resume_at, iif(lease_owner is null, updated_at, 0)) < ?"
            " order by updated_at limit ?",
            now,
            now - grace,
            limit,
        )
        return [to_record(row) for row in rows]


class SQLiteEventJournal:
    """The events in the journal of one machine's bus (see `orders.usecases.EventJournal`).

    Only the view ``sink`` is read (`infra.local.directory.schema`).
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def events_without_order(self, since: float, before: float) -> Iterator[Mapping[str, Any]]:
        """Yield the `Order Created` envelopes accepted between two times that opened no order.

        An event in the retry queue is not lost: its message starts the run again.
        """
        if self.database.row("select 1 from sqlite_master where name = 'sink'") is None:
            return
        rows = self.database.connection.execute(
            "select envelope from sink where detail_type = 'Order Created'"
            " and arrived_at > ? and arrived_at < ? and not exists"
            " (select 1 from orders where order_id = sink.order_id) and not exists"
            " (select 1 from pruned_orders where order_id = sink.order_id) and order_id not in"
            " (select order_id from awaiting_restart where order_id is not null)"
            " order by arrived_at",
            (since, before),
        )
        for row in rows:
            yield json.loads(row["envelope"])


class SQLiteKeys:
    """Idempotency keys in the orders' database (see `orders.idempotency_key.Keys`)."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.define(IDEMPOTENCY_KEYS)

    def use_of(self, key: Key) -> Use | None:
        """Return the use of a sender's key, or ``None``."""
        row = self.database.row(
            "select order_id, fingerprint from idempotency_keys where sender = ? and key = ?",
            key.sender,
            key.text,
        )
        return None if row is None else Use(*row)

    def keep(self, key: Key, order_id: str, at: float) -> None:
        """Write the key of an existing order, or raise `VersionConflict`."""
        with self.database.write() as connection:
            _write_key(connection, key, order_id, at)


def _write_key(connection: sqlite3.Connection, key: Key, order_id: str, at: float) -> None:
    cursor = connection.execute(
        "insert into idempotency_keys (sender, key, order_id, fingerprint, used_at)"
        " values (?, ?, ?, ?, ?) on conflict do nothing",
        (key.sender, key.text, order_id, key.fingerprint, at),
    )
    if cursor.rowcount != 1:
        raise VersionConflict(f"the idempotency key {key.text!r} was used meanwhile")


def _open(connection: sqlite3.Connection, change: Change, requests: Sequence[EarlyRequest]) -> None:
    """Write a new order in the caller's transaction; raise a conflict before any change."""
    order_id = change.before.order_id
    if requests:
        stored = _stored(connection, order_id)
        _require_unpruned(connection, order_id)
        if {each.request_id for each in stored} != {each.request_id for each in requests}:
            raise RequestedBefore(order_id, stored)
        write_change(connection, change)
        connection.execute("delete from early_requests where order_id = ?", (order_id,))
        return
    try:
        write_change(connection, change, unrequested=True)
    except VersionConflict:
        stored = _stored(connection, order_id)
        if stored:
            raise RequestedBefore(order_id, stored) from None
        _require_unpruned(connection, order_id)
        raise


def _require_unpruned(connection: sqlite3.Connection, order_id: str) -> None:
    """Raise `DuplicateOrder` if the order has ended, and its record was pruned."""
    query = "select status from pruned_orders where order_id = ?"
    row = connection.execute(query, (order_id,)).fetchone()
    if row is not None:
        raise DuplicateOrder(
            f"order {order_id} is {row['status']} already, and its record was pruned"
        )


def _stored(connection: sqlite3.Connection, order_id: str) -> list[EarlyRequest]:
    """Return the early requests of an order, the oldest first."""
    rows = connection.execute(
        f"select {_REQUEST} from early_requests where order_id = ? order by came_at, request_id",
        (order_id,),
    )
    requests = map(EarlyRequest._make, rows)
    return [each._replace(detail=json_text.parse(str(each.detail))) for each in requests]
