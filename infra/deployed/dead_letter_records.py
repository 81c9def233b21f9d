"""Records of a deployed stack's dead letters in its table, each kept for 14 days.

==============  ===================================================================================
attribute       content
==============  ===================================================================================
``pk``, ``sk``  ``letter#ID``, ``letter``
``state``       ``OPEN`` (back in its queue), ``REDRIVEN`` or ``DISCARDED``
``log``         its history, a list of JSON: when, who, what, and details
``text``        the message's body, and ``given`` its attributes: undo sends both again
``gpk, gsk``    the index: ``letters`` and the time, unless it is open
``ttl``         when DynamoDB may delete it, in epoch seconds
==============  ===================================================================================
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from infra.dead_letters.reading import KEPT
from infra.dead_letters.reason import content_of
from infra.deployed.dead_letter_queues import Received
from infra.views.dead_letter import Closing, DeadLetter, HistoryEntry
from kernel.clock import timestamp
from storage.dynamodb.table import Item, Table, Update

INDEX = "letters"


class DeadLetterRecords:
    """The records of a stack's dead letters; ``who`` is the user that operations are logged for."""

    def __init__(self, table: Table, now: Callable[[], float], who: str) -> None:
        self.table = table
        self.now = now
        self.who = who

    def add(self, received: Received, what: str, *, state: str = "OPEN", **detail: object) -> None:
        """Add an operation to a dead letter's history, and write its new state."""
        now, dead_letter = self.now(), received.dead_letter
        update = Update(f"letter#{dead_letter.id}", "letter")
        update.put(
            state=state,
            queue=dead_letter.queue,
            since=dead_letter.since,
            reason=dead_letter.reason,
            about=dead_letter.order_id,
            origin=dead_letter.source,
            outcome=str(detail.get("reason") or detail.get("outcome") or what.lower()),
            closed=timestamp(now),
            text=received.text,
            given=json.dumps(received.attributes),
            ttl=int(now + KEPT),
        )
        if state == "OPEN":
            update.remove("gpk", "gsk")
        else:
            update.put(gpk=INDEX, gsk=timestamp(now))
        log, empty = update.name("log"), update.value([])
        entry = update.value([self._entry(now, what, detail)])
        update.set(log, f"list_append(if_not_exists({log}, {empty}), {entry})")
        self.table.write(update)

    def reopen(self, number: str) -> None:
        """Record that a dead letter is back in its queue."""
        update = Update(f"letter#{number}", "letter")
        update.put(state="OPEN")
        update.remove("gpk", "gsk")
        log, entry = update.name("log"), update.value([self._entry(self.now(), "RESTORED", {})])
        update.set(log, f"list_append({log}, {entry})")
        self.table.write(update)

    def find(self, number: str) -> Item | None:
        """Return a dead letter's record, unless it has expired."""
        item = self.table.get(f"letter#{number}", "letter")
        return None if item is None or item["ttl"] < self.now() else item

    def closed(self) -> list[DeadLetter]:
        """Return the closed dead letters, the newest last."""
        keys = self.table.query("gpk = :letters", letters=INDEX)
        items = self.table.get_all([(key["pk"], key["sk"]) for key in keys])
        current = [item for item in items if item["ttl"] >= self.now()]
        return [
            closed_dead_letter(item) for item in sorted(current, key=lambda item: item["closed"])
        ]

    def newest(self, limit: int) -> list[DeadLetter]:
        """Return the newest closed dead letters with their histories, the newest first."""
        keys = self.table.query("gpk = :letters", backwards=True, limit=limit, letters=INDEX)
        items = self.table.get_all([(key["pk"], key["sk"]) for key in islice(keys, limit)])
        current = [item for item in items if item["ttl"] >= self.now()]
        newest = sorted(current, key=lambda item: str(item["closed"]), reverse=True)
        return [replace(closed_dead_letter(item), history=_history(item)) for item in newest]

    def history(self, number: str) -> list[HistoryEntry]:
        """Return the operations on a dead letter, the oldest first."""
        item = self.find(number)
        return _history(item) if item else []

    def _entry(self, now: float, what: str, detail: Mapping[str, object]) -> str:
        entry = {"at": timestamp(now), "who": self.who, "what": what, "detail": detail}
        return json.dumps(entry)


def _history(item: Mapping[str, Any]) -> list[HistoryEntry]:
    number = str(item["pk"]).partition("#")[2]
    return [HistoryEntry(letter=number, **json.loads(entry)) for entry in item["log"]]


def closed_dead_letter(item: Mapping[str, Any]) -> DeadLetter:
    """Return the dead letter of a record."""
    attributes = json.loads(item["given"])
    return DeadLetter(
        id=str(item["pk"]).partition("#")[2],
        queue=item["queue"],
        since=item["since"],
        reason=item["reason"],
        order_id=item["about"],
        source=item["origin"],
        attributes={name: value.get("StringValue") for name, value in attributes.items()},
        body=content_of(item["text"]),
        closing=Closing(item["state"], item["outcome"], item["closed"], None),
    )
