"""The audit table of operators' actions: operator, action, subject, reason and result.

A row is committed before its action and completed after it, so an action without a row does not
exist; a crash in between leaves the result `STARTED`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from infra.local.directory.journal import WriteBatch
from kernel import json_text
from storage.sqlite.database import Database

STARTED, DONE, REFUSED = "STARTED", "DONE", "REFUSED"


class Action(NamedTuple):
    """An action: a verb such as ``cancel``, its subject (an order or a SKU), and its reason."""

    actor: str
    action: str
    subject: str
    reason: str


def begin(database: Database, action: Action, before: Mapping[str, Any], at: float) -> int:
    """Commit the row of an action that begins; return its id."""
    with database.write(durable=True) as connection:
        cursor = connection.execute(
            "insert into operator_actions"
            " (at, actor, action, subject, reason, before, after, result)"
            " values (?, ?, ?, ?, ?, ?, '{}', ?)",
            (at, *action, _text(before), STARTED),
        )
    number = cursor.lastrowid
    assert number is not None
    return number


def end(database: Database, number: int, after: Mapping[str, Any], result: str) -> None:
    """Complete the row of an action."""
    with database.write() as connection:
        connection.execute(
            "update operator_actions set after = ?, result = ? where id = ?",
            (_text(after), result, number),
        )


def end_in(batch: WriteBatch, number: int, after: Mapping[str, Any], result: str) -> None:
    """Complete the row of an action in the transaction of the turn."""
    batch.add(
        "update operator_actions set after = ?, result = ? where id = ?",
        _text(after),
        result,
        number,
    )


def _text(value: Mapping[str, Any]) -> str:
    return json_text.write(value).decode()
