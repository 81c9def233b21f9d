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

ANSWERS = "answers"
"""The figure that counts the timeline entries of `OUTCOMES`."""

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
        return {**totals(reader, stack), **_sandbox(where), ANSWERS: _answers(reader)}
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


def outcomes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, int]:
    """Return how often the orders' timelines have each answer more than before."""
    then: Mapping[str, int] = (before or {}).get(ANSWERS, {})
    more = {what: number - then.get(what, 0) for what, number in after[ANSWERS].items()}
    return {what: number for what, number in more.items() if number > 0}


def _answers(reader: Database) -> dict[str, int]:
    """Return how often the orders' timelines have each answer to a request."""
    marks = ", ".join("?" * len(OUTCOMES))
    rows = reader.rows(
        f"select what, count(*) from timeline where what in ({marks}) group by what", *OUTCOMES
    )
    return {row[0]: row[1] for row in rows}


def to_json(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outcomes, and the figures before and after, for a command's JSON document."""
    named = {OUTCOMES[what].replace(" ", "_"): n for what, n in outcomes(before, after).items()}
    kept = [
        figures and {name: value for name, value in figures.items() if name != ANSWERS}
        for figures in (before, after)
    ]
    return {"outcomes": named, "proof": {"before": kept[0], "after": kept[1]}}


def show(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
    """Print the outcomes, and the figures before and after with their difference."""
    if ANSWERS in after:
        for what, number in outcomes(before, after).items():
            console.print(f"  {number:,} {OUTCOMES[what]}")
    table = Table(
        "figure", "before", "after", "difference", right=("before", "after", "difference")
    )
    for name, now in after.items():
        if name == ANSWERS:
            continue
        then = (before or {}).get(name, "0.00" if isinstance(now, str) else 0)
        table.add_row(name.replace("_", " "), then, now, _difference(then, now))
    console.print(table)


def _difference(before: Any, after: Any) -> object:
    if before == after:
        return "same"
    if isinstance(after, str):
        return Styled("changed", "yellow")
    return Styled(f"{after - before:+d}", "yellow")
