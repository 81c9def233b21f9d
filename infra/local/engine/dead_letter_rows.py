"""Tables of closed dead letters, and of the log of each dead letter."""

import json
from collections.abc import Mapping
from typing import Any

from infra.dead_letters.reading import KEPT
from infra.errors import InvalidRequest
from infra.local.directory.journal import Journal
from infra.local.engine.attention_queue import CLOSE, PUT_BACK

SCHEMA = """
create table if not exists closed_letters (
    id integer primary key,
    queue text not null,
    body text not null,
    attributes text not null,
    sent_at real not null,
    state text not null,
    kind text,
    successor text,
    replaced_by integer,
    outcome text not null,
    closed_at real not null
);
create index if not exists closed_letters_pending on closed_letters (kind)
    where state = 'PENDING';
create index if not exists closed_letters_replaced on closed_letters (replaced_by)
    where replaced_by is not null;
create table if not exists letter_log (
    id integer primary key,
    letter integer not null,
    at real not null,
    who text not null,
    what text not null,
    detail text not null
);
create index if not exists letter_log_by_letter on letter_log (letter);
"""
"""``state`` of a closed dead letter:

=============  ====================================================================================
``PENDING``    redriven; its successor, a ``kind`` with a name, has not ended
``DONE``       its successor has succeeded, or its order has ended since
``REPLACED``   its successor has failed and left another dead letter
``DISCARDED``  discarded by an operator, with a reason
``EXPIRED``    past the retention of its queue
=============  ====================================================================================
"""

_EXPIRE = (
    "insert or replace into closed_letters select id, queue, body, attributes, sent_at,"
    " 'EXPIRED', null, null, null, ?, ? from messages where queue = ? and sent_at < ?"
)
_END = (
    "update closed_letters set state = ?, replaced_by = ?, outcome = ?, closed_at = ? where id = ?"
)
_OUT = "delete from messages where id = ? and queue is not null"
# ``queue is not null`` is always true. It makes this statement differ from other deletions: a batch
# runs statements in the order of their first rows, and this one must follow `CLOSE`.
_FORGET = "delete from closed_letters where id = ?"
_LAST_DISCARD = (
    "select who, json_extract(detail, '$.job') as job from letter_log"
    " where letter = ? and what = 'DISCARDED' order by id desc limit 1"
)
_LOG = "insert into letter_log (letter, at, who, what, detail) values (?, ?, ?, ?, ?)"


class DeadLetterRows:
    """Writes to the tables of closed dead letters and of their log, in the turn's batch."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        journal.database.define(SCHEMA)

    def log(self, letter: int, who: str, what: str, now: float, **detail: object) -> None:
        """Add an entry to a dead letter's log."""
        self.journal.batch.add(_LOG, letter, now, who, what, json.dumps(detail))

    def redriven(self, letter: int, kind: str, successor: str, now: float) -> None:
        """Close a dead letter as redriven; its successor is in the same batch."""
        batch = self.journal.batch
        batch.add(CLOSE, "PENDING", kind, successor, "its successor has not ended", now, letter)
        batch.add(_OUT, letter)

    def settled(self, letter: int, outcome: str, now: float) -> None:
        """Close a dead letter whose order has ended since."""
        self.journal.batch.add(CLOSE, "DONE", None, None, outcome, now, letter)
        self.journal.batch.add(_OUT, letter)

    def discarded(self, letter: int, reason: str, now: float) -> None:
        """Close a dead letter as discarded."""
        self.journal.batch.add(CLOSE, "DISCARDED", None, None, reason, now, letter)
        self.journal.batch.add(_OUT, letter)

    def require_discarded_by(self, letter: int, job: int) -> None:
        """Raise InvalidRequest unless a job was the last to discard a dead letter."""
        row = self.journal.database.row(_LAST_DISCARD, letter)
        if row is not None and row["job"] != job:
            by = row["who"] if row["job"] is None else f"job {row['job']}"
            problem = f"dead letter {letter} was restored, and discarded again by {by}"
            raise InvalidRequest("ValidationException", problem)

    def expired(self, queue: str, before: float, now: float) -> None:
        """Close the dead letters of a queue that are past its retention."""
        self.journal.batch.add(_EXPIRE, "its retention in the queue expired", now, queue, before)

    def ended(
        self, letter: int, outcome: str, now: float, *, replaced_by: int | None = None
    ) -> None:
        """Record the outcome of a dead letter's successor."""
        state = "DONE" if replaced_by is None else "REPLACED"
        self.journal.batch.add(_END, state, replaced_by, outcome, now, letter)

    def followed(self, letter: int, successor: str) -> None:
        """Make another run the successor of a dead letter."""
        follow = "update closed_letters set kind = 'execution', successor = ? where id = ?"
        self.journal.batch.add(follow, successor, letter)

    def put_back(self, row: Any, attributes: Mapping[str, str], sent_at: float, now: float) -> None:
        """Reopen a closed dead letter in its queue, under its own id."""
        values = (row["id"], row["queue"], row["body"], sent_at, now, 0, json.dumps(attributes))
        self.journal.batch.add(PUT_BACK, *values)
        self.journal.batch.add(_FORGET, row["id"])

    def forget(self, now: float) -> None:
        """Delete closed dead letters past their retention, and logs of deleted dead letters."""
        batch = self.journal.batch
        drop = "delete from closed_letters where state <> 'PENDING' and closed_at < ?"
        batch.add(drop, now - KEPT)
        batch.add(
            "delete from letter_log where at < ?"
            " and not exists (select 1 from closed_letters where id = letter)"
            " and not exists (select 1 from messages where id = letter)",
            now - KEPT,
        )
