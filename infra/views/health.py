"""The health of a platform: its needs and its figures.

Two readers build it: `infra.views.local_health` from a data directory, `infra.deployed.health`
from a stack's table, queues and CloudWatch. A figure that a place does not have is None.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kernel.order_status import PAUSED, Status

GRACE = 900.0
"""Seconds by which a lease, a wait or a message may be overdue: the reconciler needs no more."""

REFUND_GRACE = 60.0
"""Seconds for which a charge of an order under compensation is no need."""

SINK_LAG = 900.0
"""Seconds after which events should be in the analysts' files, as `DeliveryAgeAlarm` has it."""

FREE_BYTES = 500_000_000
"""Free bytes of a disk below which an operator must make room."""

PAUSED_SQL = ", ".join(f"'{status}'" for status in sorted(PAUSED))
"""The statuses of an order that waits without a lease, in SQL."""

HOUR, MINUTES = 3_600, 5
"""Seconds and minutes of the two periods of a rate."""


@dataclass(frozen=True, slots=True)
class Need:
    """A problem for an operator: ``kind`` is fixed, ``text`` a sentence, ``remedy`` a way out.

    ``since`` is the time of the oldest, ``subject`` its order or queue.
    """

    kind: str
    count: int
    text: str
    remedy: str
    since: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Orders that wait for one thing; ``order_id`` is the one that waits longest, until ``until``.

    The time ``until`` is that of its next attempt.
    """

    waits_for: str
    count: int
    order_id: str
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Open work in one stage, such as orders of a status or messages of a queue.

    ``since`` is the time of the oldest item, where the place tells it.
    """

    name: str
    count: int
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of orders: per minute over the last minutes, and in the last hour."""

    name: str
    per_minute: float
    last_hour: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of the last hour, in seconds; None without a value."""

    name: str
    count: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class FailureReason:
    """Orders that failed for one reason, in the last hour and in the hour before."""

    reason: str
    last_hour: int
    hour_before: int


@dataclass(frozen=True, slots=True)
class Sink:
    """Events that are not in the analysts' files yet, and the age of the oldest in seconds."""

    waiting: int | None
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes: free on the disk, of the databases, and of their write-ahead logs."""

    free: int
    databases: int
    logs: int


@dataclass(frozen=True, slots=True)
class Workers:
    """The server of a data directory and its worker processes."""

    address: str
    ready: bool
    problem: str | None
    alive: int | None
    wanted: int | None
    replaced: int | None


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a place at a time."""

    place: str
    at: str
    needs: Sequence[Need]
    waiting: Sequence[Waiting]
    stages: Sequence[Stage]
    rates: Sequence[Rate]
    latencies: Sequence[Latency]
    failures: Sequence[FailureReason]
    totals: Mapping[str, int]
    reviews: int | None
    sink: Sink | None
    disk: Disk | None
    workers: Workers | None

    @property
    def ok(self) -> bool:
        """Whether there is no need."""
        return not self.needs

    def to_json(self) -> dict[str, Any]:
        """Return the health as ``orders status --json`` prints it."""
        return {"ok": self.ok, **asdict(self)}


def percentile(buckets: Mapping[int, int], bounds: Sequence[float], share: float) -> float | None:
    """Return a percentile of a histogram, interpolated in its bucket; None without a value.

    Parameters
    ----------
    buckets
        Number of values by bucket; bucket n ends at ``bounds[n]``, the last one is unbounded.
    share
        From 0 to 1; 0.5 is the median.
    """
    wanted = share * sum(buckets.values())
    below = 0
    for bucket in sorted(buckets):
        number = buckets[bucket]
        if below + number >= wanted:
            if bucket >= len(bounds):
                return bounds[-1]
            low = bounds[bucket - 1] if bucket else 0.0
            part = (wanted - below) / number if number else 0.0
            return low + (bounds[bucket] - low) * part
        below += number
    return None


WAITS_FOR = {
    "OutOfStock": "stock",
    "PaymentGatewayError": "the payment gateway",
    "PaymentUnavailable": "the payment gateway",
    "CarrierError": "the carrier",
}
"""The cause of an order's wait, by the error before it."""


def waits_for(error: str | None, status: str = "WAITING") -> str:
    """Return the cause of an order's wait, in words; ``error`` came before a wait."""
    if status == Status.AWAITING_APPROVAL:
        return "an approval"
    return WAITS_FOR.get(error or "", f"a retry after {error}" if error else "its next attempt")


def plural(number: int, noun: str, verb: str = "") -> str:
    """Return a number with its noun and, in its form for the number, a verb such as ``wait``."""
    many = f"{noun.removesuffix('y')}ies" if noun.endswith("ry") else f"{noun}s"
    text = f"{number:,} {noun if number == 1 else many}"
    forms = {"are": "is", "have": "has", "do": "does"}
    if not verb:
        return text
    first, _, rest = verb.partition(" ")
    if number == 1:
        first = forms.get(first, f"{first}s")
    return f"{text} {first} {rest}".rstrip()


def needs_of_totals(sink: Sink | None, disk: Disk | None) -> Iterator[Need]:
    """Yield the needs of a sink and a disk."""
    if sink is not None and sink.lag_seconds > SINK_LAG:
        minutes = sink.lag_seconds / 60
        yield Need(
            "sink",
            sink.waiting or 1,
            f"events have not reached the analysts' files for {minutes:.0f} minutes",
            "see the log for the sink's error",
        )
    if disk is not None and disk.free < FREE_BYTES:
        text = f"the disk has {disk.free / 1e6:.0f} MB left"
        yield Need("disk", 1, text, "make room; the platform stops when the disk is full")
