"""Dead letters whose order has ended since: they need no operator any more.

A dead letter is settled if it is about the processing of an order, and the order ended after it:
completed, or failed or cancelled with its charge, stock and shipment undone. These are the letters
of runs that gave the order up, and of ``Order Created`` events that could not be processed, such as
one that was corrected and sent again. A conflicting event is not settled by the order's end: its
content was never accepted. A mail, a change or an outbox row is not settled either.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from infra.dead_letters.order_text import order_in_words
from infra.dead_letters.reason import content_of
from infra.local.orderflow import ATTENTION_QUEUE, order_id_in
from storage.sqlite.database import Database

PASS = 500
"""Dead letters that one pass looks at; the next pass continues after them."""

EVERY = 10.0
"""Seconds between two passes."""

CONFLICT = "OrderConflict"
CREATED = "Order Created"


class Settled(NamedTuple):
    """A settled dead letter, its order, and the order's end in words."""

    letter: int
    order_id: str
    outcome: str


class SettledLetters:
    """Finds settled dead letters, a part of them in each pass.

    Parameters
    ----------
    database
        The journal's database.
    queues
        The dead-letter queues.
    consumer
        The consumer in the dead letters of runs that process orders.
    targets
        The rule targets that start those runs, by their keys.
    """

    def __init__(
        self, database: Database, queues: Sequence[str], consumer: str, targets: Sequence[str]
    ) -> None:
        self._database = database
        self._queues = queues
        self._consumer = consumer
        self._targets = frozenset(targets)
        self._after = 0
        self._next_at = 0.0

    def find(self, now: float) -> Iterator[Settled]:
        """Yield the settled dead letters of the next part, at most once per interval."""
        if 0 <= self._next_at - now <= EVERY:
            return
        self._next_at = now + EVERY
        marks = ", ".join("?" * len(self._queues))
        rows = self._database.rows(
            "select id, queue, body, sent_at, json_extract(attributes, '$.TARGET') as target"
            f" from messages where queue in ({marks}) and id > ? order by id limit ?",
            *self._queues,
            self._after,
            PASS,
        )
        self._after = rows[-1]["id"] if len(rows) == PASS else 0
        for row in rows:
            order_id = self._order_of(row, content_of(row["body"]))
            outcome = order_id and self._end(order_id, row["sent_at"])
            if order_id and outcome:
                yield Settled(row["id"], order_id, outcome)

    def _order_of(self, row: Any, body: object) -> str | None:
        """Return the order that a dead letter is about, if the order's end settles it."""
        if not isinstance(body, Mapping):
            return None
        if row["queue"] == ATTENTION_QUEUE:
            return order_id_in(body) if "execution" in body else None
        if body.get("consumer") == self._consumer:
            reason, event = body.get("reason"), body.get("event")
            error = reason.get("error") if isinstance(reason, Mapping) else None
            return None if error == CONFLICT else _created_order(event)
        return _created_order(body) if row["target"] in self._targets else None

    def _end(self, order_id: str, since: float) -> str | None:
        order = self._database.row(
            "select * from orders where order_id = ? and in_flight is null and updated_at >= ?",
            order_id,
            since,
        )
        return None if order is None else order_in_words(order)


def _created_order(event: object) -> str | None:
    """Return the order of an ``Order Created`` event."""
    if isinstance(event, Mapping) and event.get("detail-type") == CREATED:
        return order_id_in(dict(event))
    return None
