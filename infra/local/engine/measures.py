"""Measures: counts of events and outcomes, and latencies, summed by minute in memory.

The sums are written at most once a second, in the transaction of a turn, so they cost an order no
row of its own. A process that is killed loses the sums of its last second.

====================  =======================  =====================================================
name                  label                    value
====================  =======================  =====================================================
``events``            detail type, or other    events accepted by the bus
``completed``                                  orders that ended as COMPLETED
``failed``            reason                   orders that ended as FAILED
``cancelled``                                  orders that ended as CANCELLED
``time_to_complete``                           seconds from an order's arrival to its completion
``time_to_deliver``   rule target              seconds from an event's arrival to its delivery to a
                                               target of the template's rules
====================  =======================  =====================================================
"""

import time
from bisect import bisect_left
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from infra.local.directory.measure_buckets import BOUNDS, COUNTED

if TYPE_CHECKING:
    from sqlite3 import Connection

    # the views read the table, and import neither engine nor template
    from infra.local.directory.journal import Journal
    from infra.local.orderflow import Profile
    from infra.local.template.stack import Stack

INTERVAL = 1.0
"""Seconds between two writes."""

KEPT = 2 * 86_400
"""Seconds for which minutes are kept; older ones are added to `BEFORE`."""

BEFORE = 0
"""The minute of all sums that are older than `KEPT`."""

OTHER = "other"
"""The label of all values beyond the known ones."""

MAX_LABELS = 50
"""Different labels of a name; text from outside must not fill the memory."""

MAX_ARRIVALS = 20_000
"""Orders whose arrival is held in memory; the arrival of another is read from the journal."""

_ADD = (
    "insert into measures values (?, ?, ?, ?, ?, ?) on conflict do update set"
    " count = count + excluded.count, sum = sum + excluded.sum"
)
_ROLL_UP = (
    f"insert into measures select {BEFORE}, name, label, bucket, sum(count), sum(sum)"
    " from measures where minute > 0 and minute < ? group by name, label, bucket"
    " on conflict do update set count = count + excluded.count, sum = sum + excluded.sum"
)
_UNMEASURED = f"""
insert into measures
select {BEFORE}, name, label, {COUNTED}, orders - coalesce(known, 0), 0.0 from (
    select lower(status) as name, iif(status = 'FAILED', coalesce(failure, ''), '') as label,
        count(*) as orders
    from orders where in_flight is null group by 1, 2
) left join (
    select name, label, sum(count) as known from measures where bucket = {COUNTED} group by 1, 2
) using (name, label)
where orders > coalesce(known, 0)
on conflict do update set count = count + excluded.count
"""
_ARRIVAL = "select min(arrived_at) from events where order_id = ? and detail_type = ?"


class Key(NamedTuple):
    """A measure; a latency has one for each bucket with a value."""

    name: str
    label: str
    bucket: int


class Sum(NamedTuple):
    """A number of values, and their sum in seconds; a count without a latency has no sum."""

    number: int
    seconds: float


Sums = Mapping[Key, Sum]


def count_unmeasured(connection: "Connection") -> None:
    """Count the ended orders that the engine has not ended itself, such as imported ones."""
    connection.execute(_UNMEASURED)


class Measures:
    """The measures of one engine.

    ``totals`` are the sums of all time up to the last write. Another thread may read them: each
    write replaces the mapping.
    """

    def __init__(self, journal: "Journal", stack: "Stack", profile: "Profile") -> None:
        self._journal = journal
        self._profile = profile
        self._types = stack.own_facts | profile.incoming
        self._targets = frozenset(target.key for rule in stack.rules for target in rule.targets)
        self._arrivals: dict[str, float] = {}
        self._pending: dict[Key, list[float]] = {}
        self._labels: dict[str, set[str]] = {}
        self._next_write = 0.0
        rows = journal.database.rows(
            "select name, label, bucket, sum(count), sum(sum) from measures"
            " group by name, label, bucket"
        )
        self.totals: Sums = {Key(*row[:3]): Sum(row[3], row[4]) for row in rows}

    def accepted(self, kind: str, order_id: str | None, now: float) -> None:
        """Count an event of a detail type that the bus accepted."""
        self._add("events", kind if kind in self._types else OTHER, COUNTED, 0.0)
        if kind == self._profile.placed and order_id is not None:
            arrivals = self._arrivals
            if order_id not in arrivals:
                if len(arrivals) >= MAX_ARRIVALS:
                    del arrivals[next(iter(arrivals))]
                arrivals[order_id] = now

    def published(self, kind: str, detail: Mapping[str, Any], now: float) -> None:
        """Count the outcome of an order, if the fact that a service published is one."""
        name = self._profile.outcomes.get(kind)
        if name is None:
            return
        self._add(name, self._label(name, detail.get("reason")), COUNTED, 0.0)
        order_id = detail.get("order_id")
        if isinstance(order_id, str):
            arrived_at = self._arrival_of(order_id) if name == "completed" else None
            self._arrivals.pop(order_id, None)
            if arrived_at is not None:
                self._observe("time_to_complete", "", now - arrived_at)

    def delivered(self, target: str, arrived_at: float, now: float) -> None:
        """Add the latency of a delivery to a rule's target; a developer's own does not count."""
        if target in self._targets:
            self._observe("time_to_deliver", target, now - arrived_at)

    def _arrival_of(self, order_id: str) -> float | None:
        arrived_at = self._arrivals.get(order_id)
        if arrived_at is not None:
            return arrived_at
        row = self._journal.database.row(_ARRIVAL, order_id, self._profile.placed)
        return None if row is None else row[0]

    def _label(self, name: str, reason: object) -> str:
        if name != "failed":
            return ""
        known = self._labels.setdefault(name, set())
        label = str(reason)[:100]
        if label in known or len(known) < MAX_LABELS:
            known.add(label)
            return label
        return OTHER

    def _observe(self, name: str, label: str, seconds: float) -> None:
        self._add(name, label, bisect_left(BOUNDS, seconds), seconds)

    def _add(self, name: str, label: str, bucket: int, seconds: float) -> None:
        key = Key(name, label, bucket)
        sums = self._pending.get(key)
        if sums is None:
            self._pending[key] = [1, seconds]
        else:
            sums[0] += 1
            sums[1] += seconds

    def flush(self, now: float, *, force: bool = False) -> None:
        """Add the sums to the turn's batch, unless the last write was less than a second ago."""
        if not self._pending:
            return
        present = time.monotonic()
        if present < self._next_write and not force:
            return
        self._next_write = present + INTERVAL
        minute = int(now // 60) * 60
        totals = dict(self.totals)
        for key, (count, seconds) in self._pending.items():
            self._journal.batch.add(_ADD, minute, *key, int(count), seconds)
            before = totals.get(key, Sum(0, 0.0))
            totals[key] = Sum(before.number + int(count), before.seconds + seconds)
        self._pending.clear()
        self.totals = totals

    def roll_up(self, now: float) -> None:
        """Add minutes older than `KEPT` to `BEFORE`, so that the totals stay complete."""
        oldest = int(now) - KEPT
        self._journal.batch.add(_ROLL_UP, oldest)
        self._journal.batch.add("delete from measures where minute > 0 and minute < ?", oldest)
