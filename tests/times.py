"""The times in a data directory that are later than the present, read from outside."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from infra.local.directory.history_pieces import unpacked_text

CENTURY = 3_155_760_000.0
DAY = 86_400.0

DELAYS = {
    "orders.lease_until": 300.0,
    "orders.resume_at": 300.0,
    "executions.wake_at": 300.0,
    "history.due": 300.0,
    "history.times_out_at": 90_000.0,  # order_recovery's own TimeoutSeconds
    "deliveries.due": 600.0,
    "messages.visible_at": 180.0,
    "schedules.next_at": DAY,
}
"""The longest delay in seconds of each column: it may be later than now by that much."""


def later_than_now(data: Path) -> dict[str, float]:
    """Return by column how far, in seconds, a directory's times are later than now."""
    files = (data / name for name in ("orderflow.db", "sandbox.db"))
    times = [found for file in files if file.exists() for found in _times(file)]
    now, latest = time.time(), dict[str, float]()  # a server may write while they are read
    for name, moment in times:
        if now < moment < now + CENTURY:
            latest[name] = max(latest.get(name, 0.0), moment - now)
    return latest


def too_late(data: Path) -> dict[str, float]:
    """Return the columns that are later than now by more than their own delay."""
    later = later_than_now(data)
    return {name: ahead for name, ahead in later.items() if ahead > DELAYS.get(name, 0.0)}


def _times(file: Path) -> Iterator[tuple[str, float]]:
    """Yield each number in a database that may be a time, with its table and column."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        tables = "select name from sqlite_master where type = 'table'"
        for (table,) in database.execute(tables).fetchall():
            cursor = database.execute(f"select * from {table}")
            names = [column[0] for column in cursor.description]
            for row in cursor:
                for name, value in zip(names, row, strict=True):
                    if isinstance(value, int | float):
                        yield f"{table}.{name}", value
                    elif name == "piece":
                        yield from _times_of_history(value)


def _times_of_history(piece: bytes) -> Iterator[tuple[str, float]]:
    events, _, snapshot = unpacked_text(piece).partition(b"\n")
    for event in json.loads(events):
        yield "history.timestamp", event[2]
    if snapshot:
        shot = json.loads(snapshot)
        yield "history.times_out_at", shot["times_out_at"] or 0.0
        yield from _times_of_frame(shot["root"])


def _times_of_frame(frame: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield "history.entered_at", frame["entered_at"]
    yield "history.due", frame["due"] or 0.0
    for _, child in frame["children"]:
        yield from _times_of_frame(child)
