"""The attention queue: one open dead letter per order and error."""

from typing import Any

from infra.dead_letters.reason import content_of
from infra.local.directory.journal import Journal
from infra.local.orderflow import ATTENTION_QUEUE
from kernel.clock import timestamp
from kernel.json_text import parse, write

INDEX = (
    "create index if not exists attention_by_order on messages"
    " (iif(json_valid(body), json_extract(body, '$.order_id'), null))"
    f" where queue = '{ATTENTION_QUEUE}'"
)

_FIND = (
    f"select * from messages where queue = '{ATTENTION_QUEUE}'"
    " and iif(json_valid(body), json_extract(body, '$.order_id'), null) = ? order by id"
)

PUT_BACK = (
    "insert into messages values (?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set"
    " body = excluded.body, attributes = excluded.attributes"
)
"""Insert a dead letter under its own id, or replace the content of the one that has the id."""

CLOSE = (
    "insert or replace into closed_letters select id, queue, body, attributes, sent_at,"
    " ?, ?, ?, null, ?, ? from messages where id = ?"
)
"""Close a dead letter: its state, the kind and the name of its successor, the outcome, the time."""

PENDING = "PENDING"
"""The state of a redriven dead letter whose successor has not ended."""


def merged(journal: Journal, body: str, now: float) -> int | None:
    """Merge a request for attention into the open dead letter of the same order and error.

    Return the dead letter's id, or None if no such dead letter is open. The row is written
    completely, so a dead letter that is redriven in the same turn is open again. One that an
    operator discards in the same turn, or that its order's end closes, stays closed: the request
    becomes another dead letter.
    """
    letter = open_letter(journal, body)
    if letter is None or _is_ended(journal, letter["id"]):
        return None
    attributes = parse(letter["attributes"])
    attributes["TIMES"] = str(int(attributes.get("TIMES", "1")) + 1)
    attributes["LAST"] = timestamp(now)
    attributes.pop("RETURNED", None)
    journal.batch.add(
        PUT_BACK,
        letter["id"],
        ATTENTION_QUEUE,
        body,
        letter["sent_at"],
        now,
        0,
        write(attributes).decode(),
    )
    return int(letter["id"])


def _is_ended(journal: Journal, letter: int) -> bool:
    """Return whether a dead letter was closed in this turn, other than by a redrive."""
    rows = journal.batch.rows_of(CLOSE)
    return any(row[0] != PENDING and row[-1] == letter for row in rows)


def open_letter(journal: Journal, body: str) -> Any:
    """Return the row of the open dead letter of the same order and error, if there is one."""
    subject = _subject(content_of(body))
    if subject is None:
        return None
    for row in journal.database.rows(_FIND, subject[0]):
        if _subject(content_of(row["body"])) == subject:
            return row
    return None


def _subject(content: object) -> tuple[str, str] | None:
    """Return the order and the error's name of a request for attention; None for other content."""
    if not isinstance(content, dict) or not isinstance(content.get("order_id"), str):
        return None
    reason = content.get("reason")
    return content["order_id"], str(reason.get("error")) if isinstance(reason, dict) else ""
