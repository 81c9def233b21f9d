"""Orders in SQLite, and what is looked up among them."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from orders.keys import Key, Use
from shared.errors import VersionConflict
from shared.record import Change, OrderRecord
from shared.sqlite import RECORD, Database, SQLiteRecords, apply, to_record

KEYS = """
create table if not exists idempotency_keys (
    sender text not null,
    key text not null,
    order_id text not null,
    fingerprint text not null,
    used_at real not null,
    primary key (sender, key)
) without rowid;
"""


class SQLiteOrders(SQLiteRecords):
    """The orders' store (see `orders.usecases.OrderStore`)."""

    def by_customer(self, customer_id: str, limit: int, after: str | None) -> list[OrderRecord]:
        """Return a customer's orders, newest first, from behind the order ``after`` on."""
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

    def stranded(self, now: float, grace: float, limit: int) -> list[OrderRecord]:
        """Return orders that have not ended and that no run or timer will come back to."""
        rows = self.database.rows(
            f"select {RECORD} from orders where in_flight = 1 and lease_until < ?"
            " and max(resume_at, iif(lease_owner is null, updated_at, 0)) < ?"
            " order by updated_at limit ?",
            now,
            now - grace,
            limit,
        )
        return [to_record(row) for row in rows]

    def unheard(self, since: float, before: float) -> Iterator[Mapping[str, Any]]:
        """Return `Order Created` envelopes that the sink has and that opened no order.

        On one machine the sink is the bus's own journal, through the view ``sink``.
        """
        if self.database.row("select 1 from sqlite_master where name = 'sink'") is None:
            return
        rows = self.database.connection.execute(
            "select envelope from sink where detail_type = 'Order Created'"
            " and arrived_at > ? and arrived_at < ? and not exists"
            " (select 1 from orders where order_id = sink.order_id) order by arrived_at",
            (since, before),
        )
        for row in rows:
            yield json.loads(row["envelope"])


class SQLiteKeys:
    """Idempotency keys in the orders' database (see `orders.keys.Keys`)."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.define(KEYS)

    def use_of(self, key: Key) -> Use | None:
        """Return what a sender has used a key for, if anything."""
        row = self.database.row(
            "select order_id, fingerprint from idempotency_keys where sender = ? and key = ?",
            key.sender,
            key.text,
        )
        return None if row is None else Use(*row)

    def save(self, change: Change, key: Key) -> OrderRecord:
        """Write a new order and its key, both or neither, or raise `VersionConflict`."""
        with self.database.write() as connection:
            _keep(connection, key, change.after.order_id, change.after.created_at)
            apply(connection, change)
        return change.after

    def keep(self, key: Key, order_id: str, at: float) -> None:
        """Write the key of an order that is there already, or raise `VersionConflict`."""
        with self.database.write() as connection:
            _keep(connection, key, order_id, at)


def _keep(connection: sqlite3.Connection, key: Key, order_id: str, at: float) -> None:
    cursor = connection.execute(
        "insert into idempotency_keys (sender, key, order_id, fingerprint, used_at)"
        " values (?, ?, ?, ?, ?) on conflict do nothing",
        (key.sender, key.text, order_id, key.fingerprint, at),
    )
    if cursor.rowcount != 1:
        raise VersionConflict(f"the idempotency key {key.text!r} was used meanwhile")
