"""The proof of a replay: orders, charges and shipments before and after it, from two records.

The ledger is the platform's record, in the orders' database; the gateway and the carrier have
records of their own, in the sandbox's.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any

from infra.local.directory.data_directory import DataDirectory
from infra.local.template.stack import Stack
from infra.terminal.output import Styled, Table, console
from infra.views.summary import totals
from storage.sqlite.database import Database

_TWICE = (
    "select count(*) from (select order_id from {} where status in ({})"
    " group by order_id having count(*) > 1)"
)
_GATEWAY = (
    ("gateway_charges", "select count(*) from gateway_charges where status = 'CHARGED'"),
    ("gateway_refunds", "select count(*) from gateway_charges where status = 'REFUNDED'"),
    ("orders_charged_twice", _TWICE.format("gateway_charges", "'CHARGED', 'REFUNDED'")),
)
_CARRIER = (
    ("carrier_shipments", "select count(*) from carrier_shipments where status = 'CREATED'"),
    ("orders_shipped_twice", _TWICE.format("carrier_shipments", "'CREATED'")),
)

OUTCOMES = {
    "RECEIVED": "new orders",
    "DUPLICATE_IGNORED": "duplicates ignored",
    "CONFLICT_IGNORED": "conflicts ignored",
    "CLAIMED": "orders resumed",
    "CANCEL_REQUESTED": "cancellations requested",
    "CANCEL_REFUSED": "cancellations refused",
    "CHANGED": "orders changed",
    "CHANGE_IGNORED": "changes ignored",
}
"""Timeline entries that answer a replayed event, and their meaning."""


def figures(where: DataDirectory, stack: Stack) -> dict[str, Any] | None:
    """Return the figures of a data directory now; None without orders."""
    if not where.database.exists():
        return None
    reader = where.reader()
    try:
        return {**totals(reader, stack), **_sandbox(where)}
    finally:
        reader.close()


def _sandbox(where: DataDirectory) -> dict[str, int]:
    if not where.sandbox.exists():
        return {}
    try:
        database = Database(str(where.sandbox), read_only=True)
    except sqlite3.Error:
        return {}
    try:
        tables = {row["name"] for row in database.rows("select name from sqlite_master")}
        wanted = [("gateway_charges", _GATEWAY), ("carrier_shipments", _CARRIER)]
        return {
            name: database.rows(query)[0][0]
            for table, queries in wanted
            if table in tables
            for name, query in queries
        }
    finally:
        database.close()


def outcomes(where: DataDirectory, since: float) -> dict[str, int]:
    """Return how often the orders' timelines have each answer to a request since a time."""
    if not where.database.exists():
        return {}
    reader = where.reader()
    try:
        marks = ", ".join("?" * len(OUTCOMES))
        rows = reader.rows(
            f"select what, count(*) from timeline where at >= ? and what in ({marks})"
            " group by what",
            since,
            *OUTCOMES,
        )
        return {row[0]: row[1] for row in rows}
    finally:
        reader.close()


def show(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
    """Print the figures before and after, with their difference."""
    table = Table(
        "figure", "before", "after", "difference", right=("before", "after", "difference")
    )
    for name, now in after.items():
        then = (before or {}).get(name, "0.00" if isinstance(now, str) else 0)
        table.add_row(name.replace("_", " "), then, now, _difference(then, now))
    console.print(table)


def _difference(before: Any, after: Any) -> object:
    if before == after:
        return "same"
    if isinstance(after, str):
        return Styled("changed", "yellow")
    return Styled(f"{after - before:+d}", "yellow")
