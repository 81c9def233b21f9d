"""Rows of dead letters: open ones in queues without a consumer, closed ones, and their history."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from infra.dead_letters.reason import content_of, reason_of
from infra.local.orderflow import order_id_in
from kernel.clock import timestamp
from storage.sqlite.database import Database

Letter = dict[str, Any]

OPERATOR = "an operator"
"""The name of a user without one."""

PLATFORM = "orderflow"
"""The name in a dead letter's log for steps that no operator requested."""

KEPT = 14 * 86_400.0
"""Retention of a closed dead letter in seconds: the longest that SQS has for a message."""

UNDONE_BY = "select id from letter_jobs where undoes = ? and state <> 'CANCELLED'"
"""The job that undoes another: after a cancelled one, the rest can be undone."""


def letters(database: Database, queues: Sequence[str], ids: Sequence[int] = ()) -> list[Letter]:
    """Return the dead letters in these queues, or those of these ids, the oldest first."""
    marks = ", ".join("?" * len(queues))
    condition = "and id in (select value from json_each(?))" if ids else ""
    parameters = [json.dumps(list(ids))] if ids else []
    rows = database.rows(
        f"select * from messages where queue in ({marks}) {condition} order by id",
        *queues,
        *parameters,
    )
    return [_letter(row) for row in rows]


def _letter(row: Any) -> Letter:
    attributes = json.loads(row["attributes"])
    body = content_of(row["body"])
    content: Mapping[str, Any] = body if isinstance(body, dict) else {}
    event = content.get("event", body)
    return {
        "id": row["id"],
        "queue": row["queue"],
        "since": attributes.get("SINCE") or timestamp(row["sent_at"]),
        "reason": reason_of(body, attributes),
        "order_id": order_id_in(content) or order_id_in(event),
        "from": content.get("consumer")
        or attributes.get("TARGET")
        or attributes.get("SOURCE_QUEUE"),
        "attributes": attributes,
        "body": body,
    }


def closed_letters(database: Database, ids: Sequence[int] = ()) -> list[Letter]:
    """Return the dead letters that left their queues, or those of these ids, the newest last.

    Each has the fields of `letters`, its ``state`` (see `infra.local.engine.dead_letter_rows`), the
    time ``closed``, and the dead letter that it was ``replaced_by``.
    """
    if database.row("select 1 from sqlite_master where name = 'closed_letters'") is None:
        return []  # written by an older version
    condition = "where id in (select value from json_each(?))" if ids else ""
    rows = database.rows(
        f"select * from closed_letters {condition} order by closed_at, id",
        *([json.dumps(list(ids))] if ids else []),
    )
    return [
        {
            **_letter(row),
            "state": row["state"],
            "outcome": row["outcome"],
            "closed": timestamp(row["closed_at"]),
            "replaced_by": row["replaced_by"],
        }
        for row in rows
    ]


def history(database: Database, number: int) -> list[Letter]:
    """Return the operations on a dead letter and on those it replaced, the oldest first."""
    if database.row("select 1 from sqlite_master where name = 'letter_log'") is None:
        return []
    rows = database.rows(
        "with recursive chain (id) as (values (?) union"
        " select c.id from closed_letters c join chain on c.replaced_by = chain.id)"
        " select letter, at, who, what, detail from letter_log"
        " where letter in (select id from chain) order by id",
        number,
    )
    return [
        {
            "letter": row["letter"],
            "at": timestamp(row["at"]),
            "who": row["who"],
            "what": row["what"],
            "detail": json.loads(row["detail"]),
        }
        for row in rows
    ]
