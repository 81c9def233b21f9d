"""Records of dead letters of a deployed stack, in its table, each kept for 14 days.

==============  ===================================================================================
attribute       what it has
==============  ===================================================================================
``pk``, ``sk``  ``letter#ID``, ``letter``
``state``       ``OPEN`` (back in its queue), ``REDRIVEN`` or ``DISCARDED``
``log``         what was done with it, each as JSON: when, who, what, and what belongs to it
``text``        the message's body, and ``given`` its attributes: what undo sends again
``gpk, gsk``    the index: ``letters`` and the time, unless the letter is open
``ttl``         when DynamoDB may drop it, in epoch seconds
==============  ===================================================================================
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from infra.dead_letters.reading import Letter
from infra.dead_letters.reason import content_of
from infra.deployed.dead_letter_queues import Held
from infra.local.engine.dead_letter_rows import KEPT
from kernel.clock import timestamp
from storage.dynamodb.table import Item, Table, Update

LETTERS = "letters"


class LetterRecords:
    """The records of a stack's letters."""

    def __init__(self, table: Table, now: Callable[[], float], who: str) -> None:
        self.table = table
        self.now = now
        self.who = who

    def note(self, held: Held, what: str, *, state: str = "OPEN", **detail: object) -> None:
        """Add to what was done with a letter, and say which state that leaves it in."""
        now, letter = self.now(), held.letter
        entry = {"at": timestamp(now), "who": self.who, "what": what, "detail": detail}
        update = Update(f"letter#{letter['id']}", "letter")
        update.put(
            state=state,
            queue=letter["queue"],
            since=letter["since"],
            reason=letter["reason"],
            about=letter["order_id"],
            origin=letter["from"],
            outcome=str(detail.get("reason") or detail.get("outcome") or what.lower()),
            closed=timestamp(now),
            text=held.text,
            given=json.dumps(held.attributes),
            ttl=int(now + KEPT),
        )
        if state == "OPEN":
            update.remove("gpk", "gsk")
        else:
            update.put(gpk=LETTERS, gsk=timestamp(now))
        log, empty, added = update.name("log"), update.value([]), update.value([json.dumps(entry)])
        update.set(log, f"list_append(if_not_exists({log}, {empty}), {added})")
        self.table.write(update)

    def reopened(self, number: str) -> None:
        """Note that a letter is back in its queue."""
        entry = {"at": timestamp(self.now()), "who": self.who, "what": "RESTORED", "detail": {}}
        update = Update(f"letter#{number}", "letter")
        update.put(state="OPEN")
        update.remove("gpk", "gsk")
        log = update.name("log")
        update.set(log, f"list_append({log}, {update.value([json.dumps(entry)])})")
        self.table.write(update)

    def find(self, number: str) -> Item | None:
        """Return a letter's record, if there is one that has not run out."""
        item = self.table.get(f"letter#{number}", "letter")
        return None if item is None or item["ttl"] < self.now() else item

    def closed(self) -> list[Letter]:
        """Return the letters that were taken out of their queues, the newest last."""
        keys = self.table.query("gpk = :letters", letters=LETTERS)
        items = self.table.get_all([(key["pk"], key["sk"]) for key in keys])
        found = [told(item) for item in items if item["ttl"] >= self.now()]
        return sorted(found, key=lambda letter: str(letter["closed"]))

    def history(self, number: str) -> list[Letter]:
        """Return what was done with a letter, the oldest first."""
        item = self.find(number)
        log = item["log"] if item else []
        return [{"letter": number, **json.loads(entry)} for entry in log]


def told(item: Mapping[str, Any]) -> Letter:
    """Return a record as `infra.dead_letters.reading.closed_letters` tells of a letter."""
    given = json.loads(item["given"])
    return {
        "id": str(item["pk"]).partition("#")[2],
        "queue": item["queue"],
        "since": item["since"],
        "reason": item["reason"],
        "order_id": item["about"],
        "from": item["origin"],
        "attributes": {name: value.get("StringValue") for name, value in given.items()},
        "body": content_of(item["text"]),
        "state": item["state"],
        "outcome": item["outcome"],
        "closed": item["closed"],
        "replaced_by": None,
    }
