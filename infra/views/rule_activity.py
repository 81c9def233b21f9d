"""The recent events of a pattern, and the pending deliveries of a target."""

from dataclasses import dataclass

from infra.patterns import Pattern
from infra.views.bus_events import BusEvent, EventFilter, events_page
from storage.sqlite.database import Database

RECENT = 1_000
"""The newest events of the bus that a pattern is matched against."""

SHOWN = 20

MAX_PENDING = 10_000
"""Pending deliveries of a target that are counted."""


@dataclass(frozen=True, slots=True)
class RecentMatches:
    """The newest events that match a pattern, out of the ``searched`` newest of the bus.

    ``since`` is the arrival of the oldest searched event.
    """

    events: tuple[BusEvent, ...]
    count: int
    searched: int
    since: float | None


def matched_recently(database: Database, pattern: Pattern) -> RecentMatches:
    """Return the matches of a pattern among the newest events."""
    newest = events_page(database, EventFilter(), size=RECENT).events
    wanted = EventFilter(pattern=pattern)
    found = [event for event in newest if wanted.accepts(event)]
    since = newest[-1].arrived_at if newest else None
    return RecentMatches(tuple(found[:SHOWN]), len(found), len(newest), since)


@dataclass(frozen=True, slots=True)
class Pending:
    """The deliveries that a target still gets, at most `MAX_PENDING`, and when the next is due."""

    count: int
    due: float | None

    @property
    def is_complete(self) -> bool:
        """Whether all were counted."""
        return self.count < MAX_PENDING


def pending_of(database: Database, target: str) -> Pending:
    """Return the pending deliveries of a target."""
    row = database.row(
        "select count(*), min(due) from (select due from deliveries where target = ?"
        " order by due, id limit ?)",
        target,
        MAX_PENDING,
    )
    return Pending(0, None) if row is None else Pending(row[0], row[1])
