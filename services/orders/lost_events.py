"""Find orders on AWS that never began, and have their events come again.

The bus may have started a run of which nothing is left (an Express execution that never ran). The
analysts' rows say which orders it has heard of; those without a record never had a run. Their
events are in the archive, which no API reads: so the time in which they came is replayed, to the
rule that starts runs alone. Orders that are there absorb it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

SETTLED = 1_200.0
"""Seconds until an event is surely in the rows (60 s of buffer, 900 at most) and in the archive
(Archiving and replaying events: allow ten minutes)."""

AT_FIRST = 3_600.0
"""Seconds that are looked back where nothing was looked at before."""

MARGIN = 60.0
"""Seconds replayed on either side: the rows have another clock than the archive."""


class Sink(Protocol):
    """Where every event of the bus arrives."""

    def created(self, since: float, before: float) -> Mapping[str, float]:
        """Return the orders whose `Order Created` arrived in a time, each with when it did."""


class Archive(Protocol):
    """What keeps every event of the bus."""

    def replay(self, since: float, until: float) -> None:
        """Deliver the `Order Created` events of a time again."""


class Known(Protocol):
    """The orders that are there, and how far they were compared."""

    def unknown(self, order_ids: Iterable[str]) -> list[str]:
        """Return those of these orders that are not there."""

    def compared(self) -> float:
        """Return until when the sink was compared; 0 if it never was."""

    def mark_compared(self, until: float) -> None:
        """Remember until when the sink was compared."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the search needs."""

    sink: Sink
    archive: Archive
    known: Known
    now: Callable[[], float]


def search(ports: Ports) -> list[str]:
    """Have the events of orders that never began come again; return those orders.

    What was compared is remembered only after the replay has begun: a search that is interrupted
    is repeated.
    """
    before = ports.now() - SETTLED
    since = ports.known.compared() or before - AT_FIRST
    heard = ports.sink.created(since, before)
    missing = ports.known.unknown(heard)
    if missing:
        times = [heard[order_id] for order_id in missing]
        ports.archive.replay(min(times) - MARGIN, max(times) + MARGIN)
    ports.known.mark_compared(before)
    return missing
