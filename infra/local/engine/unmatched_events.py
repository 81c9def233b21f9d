"""Count the events that no rule matches, by source and detail type.

EventBridge drops such an event without a word. Its row of the journal is deleted after a day; the
count remains, so that a misspelt source is found. An event that matches a rule costs nothing here.
"""

from collections.abc import Mapping
from typing import Any

from infra.local.directory.journal import Journal

MAX_KINDS = 1_000
"""Pairs of source and detail type that are counted apart; further ones are `OTHERS` together."""

MAX_TEXT = 256
"""Characters of a source or detail type that are kept (EventBridge, PutEventsRequestEntry: 256 and
128 at most)."""

KEPT = 14 * 86_400.0
"""Seconds for which a pair is kept after its last event."""

OTHERS = ("(others)", "(others)")

_COUNT = (
    "insert into unmatched_events values (?, ?, 1, ?, ?, ?) on conflict (source, detail_type)"
    " do update set count = count + 1, last_at = excluded.last_at, last_id = excluded.last_id"
)


class UnmatchedEvents:
    """The counts in the journal's table ``unmatched_events``, of at most `MAX_KINDS` pairs."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        rows = journal.database.rows("select source, detail_type from unmatched_events")
        self._kinds = {(row["source"], row["detail_type"]) for row in rows}

    def add(self, head: Mapping[str, Any], now: float) -> None:
        """Count an event, given as its envelope without the detail."""
        kind = head["source"][:MAX_TEXT], head["detail-type"][:MAX_TEXT]
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            kind = OTHERS
        self._kinds.add(kind)
        self.journal.batch.add(_COUNT, *kind, now, now, head["id"])

    def forget(self, now: float) -> None:
        """Delete pairs without a recent event."""
        rows = self.journal.database.rows(
            "select source, detail_type from unmatched_events where last_at < ?", now - KEPT
        )
        for row in rows:
            kind = row["source"], row["detail_type"]
            self._kinds.discard(kind)
            delete = "delete from unmatched_events where source = ? and detail_type = ?"
            self.journal.batch.add(delete, *kind)
