"""Find lost `Order Created` events on AWS, and replay them.

An event is lost if the bus started an Express execution that never ran. The analysts' rows contain
every order whose event the bus accepted; an order without a record never had a run. No API reads
single events of the archive, so the period in which they arrived is replayed, only to the rule
that starts runs. For existing orders the replayed events are duplicates, which are ignored.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from kernel.errors import StoreError

SETTLED = 1_200.0
"""Age in seconds from which an event is in the rows (300 s of buffer, 900 at most) and in the
archive (EventBridge, Archiving and replaying events: allow ten minutes)."""

FIRST_PERIOD = 3_600.0
"""Seconds that the first search looks back."""

MARGIN = 60.0
"""Seconds replayed before and after: the rows have another clock than the archive."""

PERIOD, PERIODS = 900.0, 8
"""Maximum seconds that a step compares, and of steps in a search: at a million orders a day a step
has 10,000. After a day's outage twelve searches, an hour, compare what is left."""

STEP_SECONDS = 45.0
"""Seconds that a search needs for one more step: Athena's patience, and the table."""

PATIENCE = 86_400.0
"""Seconds for which a period without rows is compared again: Firehose retries its delivery to S3
for up to 24 hours (Understand data delivery in Amazon Data Firehose)."""


class Sink(Protocol):
    """The analysts' rows of every event on the bus."""

    def created(self, since: float, before: float) -> Mapping[str, float]:
        """Return the arrival time of each order's last `Order Created` event in a period."""

    def has_rows(self, since: float, before: float) -> bool:
        """Return whether the rows have any event of a period."""


class Bus(Protocol):
    """The bus, which counts the events that it sends to the sink."""

    def sent(self, since: float, before: float) -> bool:
        """Return whether the bus sent an event of a period to the sink."""


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
    bus: Bus


class Step(NamedTuple):
    """A period of a search.

    ``missing`` are the orders whose events are replayed, ``compared`` is false if the period was
    given up, and ``behind`` are the seconds that are left after it.
    """

    since: float
    before: float
    missing: list[str]
    compared: bool
    behind: float


def search(ports: Ports, time_left: Callable[[], float]) -> Iterator[Step]:
    """Replay the `Order Created` events of orders that do not exist; yield each step.

    A search takes at most `PERIODS` steps, while ``time_left`` has the seconds for one. The end of
    a step is stored only after its replay has started, so an interrupted step is repeated.

    Raises
    ------
    StoreError
        The rows have no event of a period in which the bus sent some: it is compared again later.
    """
    end = ports.now() - SETTLED
    since = ports.orders.compared() or end - FIRST_PERIOD
    for _ in range(PERIODS):
        if since >= end or time_left() < STEP_SECONDS:
            return
        before = min(since + PERIOD, end)
        arrivals = ports.sink.created(since, before)
        compared = bool(arrivals) or not _is_silent(since, before, ports)
        if not compared and end - before < PATIENCE:
            raise _silent(since, before)
        missing = ports.orders.unknown(arrivals)
        if missing:
            times = [arrivals[order_id] for order_id in missing]
            ports.archive.replay(min(times) - MARGIN, max(times) + MARGIN)
        ports.orders.mark_compared(before)
        yield Step(since, before, missing, compared, end - before)
        since = before


def _is_silent(since: float, before: float, ports: Ports) -> bool:
    """Return whether the rows have nothing of a period although the bus sent events."""
    return ports.bus.sent(since, before) and not ports.sink.has_rows(since, before)


def _silent(since: float, before: float) -> StoreError:
    start, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (since, before))
    return StoreError(
        f"the analysts' rows have no event from {start} to {end}, and the bus sent some;"
        " see the delivery's errors in the bucket"
    )
