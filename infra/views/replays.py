"""The replays of the archive in a data directory, and the dry run of a new one."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from infra.local.template.stack import Stack
from infra.views.forecast_store import ForecastStore
from infra.views.replay_forecast import Forecast, Forecaster
from kernel.errors import InvalidEvent
from kernel.events import parse
from kernel.json_text import parse as parse_json
from storage.sqlite.database import Database

SHOWN = 50
"""Replays of a list, and events of a dry run that are shown."""

MAX_FORECAST = 1_000
"""Events that a dry run forecasts; it states the number of all."""

MAX_SECONDS = 1.0
"""Seconds that a dry run takes; then it ends with the events so far."""

MAX_COUNTED = 100_000
"""Archived events of a range that are counted."""

RUNNING, PAUSED = "RUNNING", "PAUSED"

_ESTIMATE = (
    "select seq from events where arrived_at >= ? and arrived_at < ? order by arrived_at limit 1"
)


@dataclass(frozen=True, slots=True)
class ReplayState:
    """A replay; times are in epoch seconds, ``rate`` in events a second.

    ``remaining`` is at most the number of events that are left; ``done`` the share of the range.
    """

    name: str
    state: str
    rules: tuple[str, ...]
    start_at: float
    end_at: float
    started_at: float
    ended_at: float | None
    replayed: int
    last_at: float | None
    rate: float | None
    remaining: int
    done: float

    def seconds_left(self, now: float) -> float | None:
        """Return the estimated seconds until the end, or None if it is unknown."""
        if self.state != RUNNING or not self.replayed:
            return None
        pace = self.replayed / max(now - self.started_at, 0.001)
        return self.remaining / min(pace, self.rate) if self.rate else self.remaining / pace


def replay_list(database: Database, limit: int = SHOWN) -> list[ReplayState]:
    """Return the replays that started last, the newest first."""
    rows = database.rows("select * from replays order by started_at desc, name limit ?", limit)
    return [_state(database, row) for row in rows]


def find_replay(database: Database, name: str) -> ReplayState | None:
    """Return a replay by its name."""
    row = database.row("select * from replays where name = ?", name)
    return None if row is None else _state(database, row)


def _state(database: Database, row: Any) -> ReplayState:
    first = database.row(_ESTIMATE, row["start_at"], row["end_at"])
    begin = first["seq"] - 1 if first else row["position"]
    whole = max(row["last"] - begin, 1)
    has_ended = row["ended_at"] is not None
    return ReplayState(
        row["name"],
        row["state"],
        tuple(json.loads(row["rules"])),
        row["start_at"],
        row["end_at"],
        row["started_at"],
        row["ended_at"],
        row["replayed"],
        row["last_at"],
        row["rate"],
        0 if has_ended else max(0, row["last"] - row["position"]),
        1.0 if row["state"] == "COMPLETED" else min(1.0, (row["position"] - begin) / whole),
    )


class Span(NamedTuple):
    """A range of arrival times, in epoch seconds; the end is not part of it."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class DryRun:
    """The forecast of a replay of the archive.

    ``count`` is the number of archived events in the range, at most `MAX_COUNTED`; of these the
    first ``forecast`` were forecast. ``totals`` counts them by type, rule, effect and analytics.
    """

    count: int
    forecast: int
    unreadable: int
    totals: Mapping[str, Sequence[tuple[str, int]]]
    events: tuple[tuple[int, Forecast], ...]

    @property
    def is_whole(self) -> bool:
        """Whether every event of the range was forecast."""
        return self.forecast + self.unreadable == self.count

    @property
    def more_counted(self) -> bool:
        """Whether the range has more events than were counted."""
        return self.count >= MAX_COUNTED


def dry_run(
    database: Database, stack: Stack, span: Span, rules: Sequence[str], now: float
) -> DryRun:
    """Return the effects of a replay of the archived events of a time range; nothing changes."""
    row = database.row(
        "select count(*) from (select 1 from events where arrived_at >= ? and arrived_at < ?"
        " and archived limit ?)",
        *span,
        MAX_COUNTED,
    )
    rows = database.rows(
        "select seq, envelope from events where arrived_at >= ? and arrived_at < ? and archived"
        " order by arrived_at limit ?",
        *span,
        MAX_FORECAST,
    )
    chosen = [rule for rule in stack.rules if rule.name in rules] if rules else stack.rules
    until, forecast, unreadable = time.monotonic() + MAX_SECONDS, 0, 0
    listed: list[tuple[int, Forecast]] = []
    with ForecastStore(database) as store:
        narrowed = replace(stack, rules=list(chosen))
        forecaster = Forecaster(narrowed, store, database, now, from_archive=True)
        for each in rows:
            if time.monotonic() > until:
                break
            envelope = parse_json(each["envelope"])
            found = None
            with suppress(InvalidEvent):
                found = forecaster.forecast(parse(envelope), envelope, explained=False)
            if found is None:
                unreadable += 1
                continue
            forecast += 1
            if len(listed) < SHOWN:
                listed.append((each["seq"], found))
    totals = {name: _ranked(counts) for name, counts in forecaster.totals.items()}
    return DryRun(int(row[0]) if row else 0, forecast, unreadable, totals, tuple(listed))


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return counts.most_common()
