"""Pruning of orders: an order that has ended, with everything that is stored about it.

Its id and last status stay in ``pruned_orders``, so the same order is never processed again. Its
units stay in the sums of ``pruned_units``, with which the audit compares the stock.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from sqlite3 import Connection, Row

from infra.local.retention.open_items import undelivered_from
from infra.local.retention.steps import Pruning
from kernel.idempotency import (
    approval_mail_id,
    approval_mail_name,
    charge_id,
    confirmation_id,
    shipment_id,
)
from kernel.order_status import ChargeStatus, Reservation
from storage.sqlite.database import Database

BATCH = 50
"""Orders of one step: a transaction of some ten milliseconds."""

_CANDIDATES = (
    "select order_id, created_at, updated_at, status, in_flight, items, reservation, charge"
    " from orders where (created_at, order_id) > (?, ?) and created_at < ?"
    " order by created_at, order_id limit ?"
)

_OPEN: dict[str, str] = {
    "a running execution": "select 1 from executions where order_id = ? and status = 'RUNNING'",
    "an open review": "select 1 from reviews where order_id = ? and status = 'OPEN'",
    "early requests": "select 1 from early_requests where order_id = ?",
    "held runs": "select 1 from quarantined_orders where order_id = ?",
}
"""Queries of unfinished work about an order, by its name in reports."""

LATER = "a later end"

_RUNS = "select id from executions where order_id = ?"
_DELETE = (
    f"delete from history where execution_id in ({_RUNS})",
    f"delete from execution_redrives where execution_id in ({_RUNS})",
    "delete from executions where order_id = ?",
    "delete from events where order_id = ?",
    "delete from timeline where order_id = ?",
    "delete from charges where order_id = ?",
    "delete from shipments where order_id = ?",
    "delete from reviews where order_id = ?",
    "delete from orders where order_id = ?",
)
_MOVED = {
    Reservation.COMMITTED: (1, 0),
    Reservation.RESTOCKED: (1, 1),
}
"""Shipped and restocked units of an ended order, as a share of its units."""


@dataclass(slots=True)
class OrderPruning(Pruning):
    """The pruning of the orders that ended before a time, in steps by their creation."""

    now: Callable[[], float]
    _after: tuple[float, str] = (0.0, "")

    def _take(self, connection: Connection | None) -> bool:
        first = undelivered_from(self.database)
        rows = self.database.rows(_CANDIDATES, *self._after, self.before, BATCH)
        for row in rows:
            reason = self._reason_to_keep(row, first)
            if reason:
                self.found.kept[reason] += 1
                continue
            self._count(row["order_id"])
            if connection is not None:
                self._delete(connection, row)
        if rows:
            self._after = (rows[-1]["created_at"], rows[-1]["order_id"])
        return len(rows) == BATCH

    def _reason_to_keep(self, row: Row, first_undelivered: float) -> str:
        """Return why an order is kept; an empty text if it is pruned."""
        order_id = row["order_id"]
        [(last,)] = self.database.rows("select max(seq) from events where order_id = ?", order_id)
        reasons = {
            "no end yet": row["in_flight"] is not None,
            LATER: row["updated_at"] >= self.before,
            "a damaged record": _units(row) is None,
            "a pending charge": row["charge"] == ChargeStatus.PENDING,
            "a message or a dead letter": self.items.mention(order_id),
            "an undelivered event": (last or 0) >= first_undelivered,
        }
        for reason, query in _OPEN.items():
            reasons[reason] = self.database.row(query, order_id) is not None
        return next((reason for reason, holds in reasons.items() if holds), "")

    def _count(self, order_id: str) -> None:
        self.found.counts["orders"] += 1
        if self.dry:
            self.found.orders.add(order_id)
        for name, table in (("events", "events"), ("executions", "executions")):
            [(rows,)] = self.database.rows(
                f"select count(*) from {table} where order_id = ?", order_id
            )
            self.found.counts[name] += rows

    def _delete(self, connection: Connection, row: Row) -> None:
        """Delete an order in the caller's transaction, and note its id, status and units."""
        order_id = row["order_id"]
        for statement in _DELETE:
            connection.execute(statement, (order_id,))
        mails = [(confirmation_id(order_id),), (approval_mail_id(order_id),)]
        connection.executemany("delete from mails where message_id = ?", mails)
        entries = [(sku, row["created_at"], order_id) for sku, _ in _units(row) or ()]
        connection.executemany(
            "delete from waiting_orders where sku = ? and created_at = ? and order_id = ?", entries
        )
        connection.execute(
            "insert into pruned_orders (order_id, status, pruned_at) values (?, ?, ?)",
            (order_id, row["status"], self.now()),
        )
        shipped, restocked = _MOVED.get(row["reservation"], (0, 0))
        for sku, units in _units(row) or () if shipped else ():
            connection.execute(
                "insert into pruned_units values (?, ?, ?) on conflict (sku) do update set"
                " shipped = shipped + excluded.shipped, restocked = restocked + excluded.restocked",
                (sku, units * shipped, units * restocked),
            )


def _units(row: Row) -> list[tuple[str, int]] | None:
    """Return SKU and units of each line of an order, or None if they cannot be read."""
    try:
        return [(str(sku), int(units)) for sku, units, _ in json.loads(row["items"])]
    except (TypeError, ValueError):
        return None


_SWEPT = (
    ("gateway_charges", "key", charge_id),
    ("gateway_failures", "key", charge_id),
    ("carrier_shipments", "shipment_id", shipment_id),
    ("carrier_failures", "shipment_id", shipment_id),
    ("mail_messages", "name", str),
    ("mail_messages", "name", approval_mail_name),
)
"""The sandbox's tables, and how the key of an order's rows follows from its id."""


def sweep(database: Database, sandbox: Database) -> bool:
    """Delete the sandbox's rows of pruned orders; return whether there may be more.

    They are in another file: a crash in between leaves them to the next sweep.
    """
    query = "select order_id from pruned_orders where swept = 0 order by order_id limit ?"
    ids = [row["order_id"] for row in database.rows(query, BATCH)]
    if not ids:
        return False
    tables = {row[0] for row in sandbox.rows("select name from sqlite_master")}
    with sandbox.write() as connection:
        for table, column, key_of in _SWEPT:
            if table in tables:
                keys = [(key_of(order_id),) for order_id in ids]
                connection.executemany(f"delete from {table} where {column} = ?", keys)
    with database.write() as connection:
        marks = [(order_id,) for order_id in ids]
        connection.executemany("update pruned_orders set swept = 1 where order_id = ?", marks)
    return len(ids) == BATCH
