"""The health of a data directory, read from its SQLite files; a server may have it open."""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.measure_buckets import BOUNDS, COUNTED
from infra.local.orderflow import SINK, is_dead_letter_queue
from infra.views.health import (
    HOUR,
    MINUTES,
    PAUSED_SQL,
    Disk,
    FailureReason,
    Health,
    Latency,
    Rate,
    Sink,
    Stage,
    Waiting,
    Workers,
    needs_of_totals,
    percentile,
    waits_for,
)
from infra.views.local_needs import needs
from kernel.clock import timestamp
from storage.sqlite.database import Database

RATES = {"placed": ("events", "Order Created"), "completed": ("completed", None)}
RATES |= {"failed": ("failed", None), "cancelled": ("cancelled", None)}
"""Names of rates with their measure, and its label if only one counts."""

_WAITING = (
    "select status, waiting_for, count(*) as count, order_id, min(updated_at) as since,"
    f" resume_at as until from orders where in_flight = 1 and status in ({PAUSED_SQL})"
    " group by status, waiting_for order by since"
)
_OLDEST = (
    "select e.arrived_at from deliveries d join events e on e.seq = d.event_seq"
    " where d.target = {} order by d.due, d.id limit 1"
)
_OLDEST_OF_SINK = _OLDEST.format("?")
_TARGETS = (
    f"select target, n, ({_OLDEST.format('t.target')}) as at"
    " from (select target, count(*) as n from deliveries group by target) t"
)
_STATUSES = (
    "select status, count(*) as n, min(updated_at) as at from orders where in_flight = 1"
    " group by status"
)
_QUEUES = "select queue, count(*) as n, min(sent_at) as at from messages group by queue"

Minutes = Mapping[tuple[str, str], Mapping[int, Mapping[int, int]]]
"""By name and label, then by minute and bucket: the number of values."""


def read_health(
    where: DataDirectory, database: Database, now: float, workers: Workers | None
) -> Health:
    """Return the health of a data directory.

    Parameters
    ----------
    database
        A reader of the directory.
    now
        The directory's time in epoch seconds (`time_of`).
    workers
        The answer of its server; None without one.
    """
    with database.snapshot():
        return health_in(where, database, now, workers)


def health_in(
    where: DataDirectory, database: Database, now: float, workers: Workers | None
) -> Health:
    """Return the health of a data directory within a snapshot of it; see `read_health`."""
    minutes = _minutes(database, now)
    sink, disk = sink_of(database, now), disk_of(where)
    found = list(needs(database, now, served=workers is not None))
    return Health(
        place=str(where.root),
        at=timestamp(now),
        needs=[*found, *needs_of_totals(sink, disk), *_needs_of(workers)],
        waiting=list(waiting_orders(database)),
        stages=list(stages(database)),
        rates=[_rate(minutes, name, now) for name in RATES],
        latencies=list(_latencies(minutes, now)),
        failures=_failures(minutes, now),
        totals=_totals(database),
        reviews=_number(database, "select count(*) from reviews where status = 'OPEN'"),
        sink=sink,
        disk=disk,
        workers=workers,
    )


def time_of(database: Database, now: float) -> float:
    """Return the time of a directory, whose clock is ahead if waits were skipped in it."""
    row = database.row("select value from directory where key = 'ahead'")
    return now + (float(row["value"]) if row else 0.0)


def _needs_of(workers: Workers | None) -> Iterator[Any]:
    if workers is not None and not workers.ready:
        from infra.views.health import Need

        text = f"the server at {workers.address} is not ready: {workers.problem}"
        yield Need("server", 1, text, "see the log; start it again if it stays so")


def waiting_orders(database: Database) -> Iterator[Waiting]:
    """Yield the waiting orders by the cause of their wait, those that wait longest first."""
    found: dict[str, Waiting] = {}
    for row in database.rows(_WAITING):
        what = waits_for(row["waiting_for"], row["status"])
        count = row["count"] + (found[what].count if what in found else 0)
        times = timestamp(row["since"]), timestamp(row["until"])
        oldest = found.get(what) or Waiting(what, count, row["order_id"], *times)
        found[what] = Waiting(what, count, oldest.order_id, oldest.since, oldest.until)
    yield from found.values()


def stages(database: Database) -> Iterator[Stage]:
    """Yield the open work by stage, in the order of an order's way."""
    for row in database.rows(_TARGETS):
        if row["target"] != SINK:
            yield _stage(f"events for {row['target'].partition('/')[2]}", row)
    for row in database.rows(_STATUSES):
        yield _stage(f"orders {row['status']}", row)
    for row in database.rows(_QUEUES):
        if not is_dead_letter_queue(row["queue"]):
            yield _stage(f"messages in {row['queue']}", row)
    [outbox] = database.rows("select count(*) as n, min(created_at) as at from outbox")
    if outbox["n"]:
        yield _stage("messages in the outbox", outbox)


def _stage(name: str, row: Any) -> Stage:
    return Stage(name, row["n"], None if row["at"] is None else timestamp(row["at"]))


def sink_of(database: Database, now: float) -> Sink:
    """Return the lag of the analysts' files."""
    waiting = _number(database, "select count(*) from deliveries where target = ?", SINK)
    row = database.row(_OLDEST_OF_SINK, SINK) if waiting else None
    return Sink(waiting, round(max(0.0, now - row[0]), 1) if row else 0.0)


def disk_of(where: DataDirectory) -> Disk:
    """Return the sizes of a directory's files, and the free bytes of its disk."""
    files = (where.database, where.sandbox)
    logs = (path.with_name(f"{path.name}-wal") for path in files)
    sizes = [sum(p.stat().st_size for p in paths if p.exists()) for paths in (files, logs)]
    return Disk(shutil.disk_usage(where.root).free, *sizes)


def _minutes(database: Database, now: float) -> Minutes:
    """Return the measures of the last two hours."""
    found: defaultdict[tuple[str, str], defaultdict[int, dict[int, int]]]
    found = defaultdict(lambda: defaultdict(dict))
    rows = database.rows("select * from measures where minute > ?", now - 2 * HOUR)
    for row in rows:
        found[row["name"], row["label"]][row["minute"]][row["bucket"]] = row["count"]
    return found


def _since(minutes: Mapping[int, Mapping[int, int]], start: float, end: float) -> int:
    return sum(
        sum(buckets.values()) for minute, buckets in minutes.items() if start < minute <= end
    )


def _rate(minutes: Minutes, name: str, now: float) -> Rate:
    measure, label = RATES[name]
    chosen = [
        values for (each, of), values in minutes.items() if each == measure and label in (None, of)
    ]
    period = MINUTES * 60
    recent = sum(_since(values, now - period, now) for values in chosen)
    return Rate(
        name, round(recent / MINUTES, 1), sum(_since(each, now - HOUR, now) for each in chosen)
    )


def _latencies(minutes: Minutes, now: float) -> Iterator[Latency]:
    for measure, name in (
        ("time_to_complete", "placed to completed"),
        ("time_to_deliver", "event to delivered"),
    ):
        buckets: defaultdict[int, int] = defaultdict(int)
        for (each, _), values in minutes.items():
            for minute, counts in values.items() if each == measure else ():
                if minute > now - HOUR:
                    for bucket, number in counts.items():
                        buckets[bucket] += number
        p50, p99 = (_rounded(percentile(buckets, BOUNDS, share)) for share in (0.5, 0.99))
        yield Latency(name, sum(buckets.values()), p50, p99)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


def _failures(minutes: Minutes, now: float) -> list[FailureReason]:
    """Return the reasons of the last two hours, the most frequent first."""
    found = [
        FailureReason(
            label, _since(values, now - HOUR, now), _since(values, now - 2 * HOUR, now - HOUR)
        )
        for (name, label), values in minutes.items()
        if name == "failed"
    ]
    return sorted(found, key=lambda each: (-each.last_hour, -each.hour_before, each.reason))


def _totals(database: Database) -> dict[str, int]:
    """Return the orders of all time by outcome, and those that are open."""
    rows = database.rows(
        "select name, sum(count) as n from measures where bucket = ? and name <> 'events'"
        " group by name",
        COUNTED,
    )
    counted = {row["name"]: row["n"] for row in rows}
    totals = {name: counted.get(name, 0) for name in ("completed", "failed", "cancelled")}
    return {**totals, "open": _number(database, "select count(*) from orders where in_flight = 1")}


def _number(database: Database, query: str, *parameters: object) -> int:
    row = database.row(query, *parameters)
    return int(row[0]) if row else 0
