"""One open letter for each order and error that a person has to see to."""

from typing import Any

from infra.dead_letters.reason import ATTENTION, content_of
from infra.local.directory.journal import Journal
from kernel.clock import timestamp
from kernel.json_text import parse, write

INDEX = (
    "create index if not exists attention_by_order on messages"
    " (iif(json_valid(body), json_extract(body, '$.order_id'), null))"
    f" where queue = '{ATTENTION}'"
)

_FIND = (
    f"select * from messages where queue = '{ATTENTION}'"
    " and iif(json_valid(body), json_extract(body, '$.order_id'), null) = ? order by id"
)

PUT_BACK = (
    "insert into messages values (?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set"
    " body = excluded.body, attributes = excluded.attributes"
)
"""Add a letter under its own id; one that is there already gets the content."""


def merged(journal: Journal, body: str, now: float) -> int | None:
    """Add a request for attention to the open letter of the same order and error.

    Returns the letter's id, or nothing where no such letter is open. A request that is merged is
    written whole: a letter that is redriven in the same turn comes back with it.
    """
    letter = open_letter(journal, body)
    if letter is None:
        return None
    attributes = parse(letter["attributes"])
    attributes["TIMES"] = str(int(attributes.get("TIMES", "1")) + 1)
    attributes["LAST"] = timestamp(now)
    attributes.pop("RETURNED", None)
    journal.batch.add(
        PUT_BACK,
        letter["id"],
        ATTENTION,
        body,
        letter["sent_at"],
        now,
        0,
        write(attributes).decode(),
    )
    return int(letter["id"])


def open_letter(journal: Journal, body: str) -> Any:
    """Return the row of the open letter of the same order and error, if there is one."""
    asked = _subject(content_of(body))
    if asked is None:
        return None
    for row in journal.database.rows(_FIND, asked[0]):
        if _subject(content_of(row["body"])) == asked:
            return row
    return None


def _subject(content: object) -> tuple[str, str] | None:
    """Return the order and the error's name of a request for attention, if it is one."""
    if not isinstance(content, dict) or not isinstance(content.get("order_id"), str):
        return None
    reason = content.get("reason")
    return content["order_id"], str(reason.get("error")) if isinstance(reason, dict) else ""
