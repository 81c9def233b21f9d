"""The pace of a replay: a rate, the events' own times, and a brake while the platform is behind."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from infra.cli.replaying.selection import event_time
from infra.local.template.stack import Stack
from storage.sqlite.database import Database

BEHIND = 1_000
"""Due deliveries and messages from which a replay waits for the platform."""

CAUGHT_UP = BEHIND // 2
"""Due deliveries and messages at which it continues."""

LATE = 1.0
"""Seconds of delay that later events catch up with."""

EVERY = 0.25
"""Seconds between two looks at the waiting work."""


class Pace:
    """The time at which each event is sent.

    Parameters
    ----------
    rate
        Events a second; None without a limit.
    speed
        How many times as fast as they came events are sent, by their own times; an event that is
        older than the one before follows at once.
    """

    def __init__(
        self,
        rate: float | None,
        speed: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self.speed = speed
        self._clock = clock
        self._sleep = sleep
        self._last: float | None = None
        self._latest: float | None = None

    @property
    def is_set(self) -> bool:
        """Whether events are sent one by one."""
        return self.rate is not None or self.speed is not None

    def wait(self, envelope: Mapping[str, Any]) -> None:
        """Wait until the event is to be sent; the time of a hold is not caught up with."""
        gap = 0.0 if self.rate is None else 1 / self.rate
        if self.speed is not None:
            gap = max(gap, self._gap(envelope) / self.speed)
        now = self._clock()
        due = now if self._last is None else self._last + gap
        self._sleep(max(0.0, due - now))
        self._last = max(due, now - LATE)

    def _gap(self, envelope: Mapping[str, Any]) -> float:
        at = event_time(envelope)
        if at is None:
            return 0.0
        before, self._latest = self._latest, max(at, self._latest or at)
        return 0.0 if before is None else self._latest - before


class Hold(Protocol):
    """A brake: of a data directory, or of a deployed stack (`infra.deployed.replay_watch`)."""

    def wait(self, on_wait: Callable[[int | str], None]) -> None:
        """Wait while the platform is behind; ``on_wait`` gets the due items, or the reason."""


class Brake:
    """Holds a replay while the platform of a data directory has too much due work."""

    def __init__(
        self,
        reader: Database,
        stack: Stack,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._reader = reader
        targets = [target for rule in stack.rules for target in rule.targets]
        self._targets = [target.key for target in targets if target.kind != "stream"]
        self._queues = [consumer.queue for consumer in stack.consumers]
        self._now = now
        self._sleep = sleep
        self._check = check
        self._look_at = 0.0
        self.held = 0.0

    def wait(self, on_wait: Callable[[int], None]) -> None:
        """Wait while the platform is behind; ``on_wait`` gets the number of due items."""
        now = self._now()
        if now < self._look_at:
            return
        behind = self.behind()
        limit = BEHIND
        while behind > limit:
            limit = CAUGHT_UP
            on_wait(behind)
            self._sleep(EVERY)
            self._check()
            self.held += EVERY
            behind = self.behind()
        self._look_at = self._now() + EVERY

    def behind(self) -> int:
        """Return the number of due deliveries and messages, up to a maximum."""
        now = self._now()
        deliveries = self._due("deliveries", "target", "due", self._targets, now)
        return deliveries + self._due("messages", "queue", "visible_at", self._queues, now)

    def _due(self, table: str, key: str, due: str, names: list[str], now: float) -> int:
        query = (
            f"select count(*) from (select 1 from {table} where {key} = ? and {due} <= ? limit ?)"
        )
        counts = (self._reader.row(query, name, now, 2 * BEHIND) for name in names)
        return sum(row[0] for row in counts if row is not None)
