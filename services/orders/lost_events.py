"""Find lost `Order Created` events on AWS, and replay them.

An event is lost if the bus started an Express execution that never ran. The analysts' rows contain
every order whose event the bus accepted; an order without a record never had a run. No API reads
single events of the archive, so the period in which they arrived is replayed, only to the rule
that starts runs. For existing orders the replayed events are duplicates, which are ignored.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

SETTLED = 1_200.0
"""Age in seconds from which an event is in the rows (300 s of buffer, 900 at most) and in the
archive (EventBridge, Archiving and replaying events: allow ten minutes)."""

FIRST_PERIOD = 3_600.0
"""Seconds that the first search looks back."""

MARGIN = 60.0
"""Seconds replayed before and after: the rows have another clock than the archive."""


class Sink(Protocol):
    """The analysts' rows of every event on the bus."""

    def created(self, since: float, before: float) -> Mapping[str, float]:
        """Return the arrival time of each order's last `Order Created` event in a period."""


class Archive(Protocol):
    """The archive of every event on the bus."""

    def replay(self, since: float, until: float) -> None:
        """Deliver the `Order Created` events of a period again."""


class ExistingOrders(Protocol):
    """The existing orders, and the end of the last comparison."""

    def unknown(self, order_ids: Iterable[str]) -> list[str]:
        """Return those of these orders that do not exist."""

    def compared(self) -> float:
        """Return the time up to which the sink was compared; 0 before the first comparison."""

    def mark_compared(self, until: float) -> None:
        """Store the time up to which the sink was compared."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the search."""

    sink: Sink
    archive: Archive
    orders: ExistingOrders
    now: Callable[[], float]


def search(ports: Ports) -> list[str]:
    """Replay the `Order Created` events of orders that do not exist; return those orders.

    The end of the comparison is stored only after the replay has started, so an interrupted search
    is repeated.
    """
    before = ports.now() - SETTLED
    since = ports.orders.compared() or before - FIRST_PERIOD
    arrivals = ports.sink.created(since, before)
    missing = ports.orders.unknown(arrivals)
    if missing:
        times = [arrivals[order_id] for order_id in missing]
        ports.archive.replay(min(times) - MARGIN, max(times) + MARGIN)
    ports.orders.mark_compared(before)
    return missing
