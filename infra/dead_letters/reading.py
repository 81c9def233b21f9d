"""Dead letters, read: messages in queues without a consumer, closed letters, and their history."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from infra.dead_letters.reason import content_of, reason_of
from infra.local.orderflow import order_id_in
from kernel.clock import timestamp
from storage.sqlite.database import Database

Letter = dict[str, Any]

OPERATOR = "an operator"
"""The name of a person who gave none."""


def letters(database: Database, queues: Sequence[str], ids: Sequence[int] = ()) -> list[Letter]:
    """Return the dead letters in these queues, or those of them with these ids, oldest first."""
    marks = ", ".join("?" * len(queues))
    named = "and id in (select value from json_each(?))" if ids else ""
    given = [json.dumps(list(ids))] if ids else []
    rows = database.rows(
        f"select * from messages where queue in ({marks}) {named} order by id", *queues, *given
    )
    return [_letter(row) for row in rows]


def _letter(row: Any) -> Letter:
    attributes = json.loads(row["attributes"])
    body = content_of(row["body"])
    held: Mapping[str, Any] = body if isinstance(body, dict) else {}
    event = held.get("event", body)
    return {
        "id": row["id"],
        "queue": row["queue"],
        "since": attributes.get("SINCE") or timestamp(row["sent_at"]),
        "reason": reason_of(body, attributes),
        "order_id": order_id_in(held) or order_id_in(event),
        "from": held.get("consumer") or attributes.get("TARGET") or attributes.get("SOURCE_QUEUE"),
        "attributes": attributes,
        "body": body,
    }


def closed_letters(database: Database, ids: Sequence[int] = ()) -> list[Letter]:
    """Return the letters that were taken out of their queues, or those with these ids.

    Each has the fields that `letters` gives, its ``state`` (`infra.local.engine.dead_letter_rows`),
    ``closed`` and the letter that it was ``replaced_by``. The newest is the last.
    """
    if database.row("select 1 from sqlite_master where name = 'closed_letters'") is None:
        return []  # no engine of this version has opened the directory yet
    wanted = set(ids)
    rows = database.rows("select * from closed_letters order by closed_at, id")
    return [
        {
            **_letter(row),
            "state": row["state"],
            "outcome": row["outcome"],
            "closed": timestamp(row["closed_at"]),
            "replaced_by": row["replaced_by"],
        }
        for row in rows
        if not wanted or row["id"] in wanted
    ]


def history(database: Database, number: int) -> list[Letter]:
    """Return what was done with a letter, and with those that it replaced, the oldest first."""
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
