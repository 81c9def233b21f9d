"""Retention: prune rows and files older than the settings, in short steps.

Nothing unfinished is pruned: no order that has not ended or that a message, a dead letter, a run, a
review or a held run mentions, and no event with a delivery left. Each step is one transaction of at
most some ten milliseconds, in any process: the directory may be served.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.log_file import LogFile
from infra.local.engine.error_boundary import described
from infra.local.engine.upkeep import LONGEST
from infra.local.retention.events import EventPruning, HistoryPruning
from infra.local.retention.files import FilePruning
from infra.local.retention.open_items import OpenItems
from infra.local.retention.orders import OrderPruning, sweep
from infra.local.retention.steps import Found
from infra.settings.reading import Settings
from storage.sqlite.database import Database

DAY = 86_400.0
PAUSE, BUSY_PAUSE, EVERY = 0.05, 1.0, 3_600.0
"""Seconds after a step of an idle server, after that of a busy one, and after a whole pruning."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days each kind of items is kept; None keeps all."""

    orders: int | None = None
    events: int | None = None
    history: int | None = None
    parquet: int | None = None

    @property
    def all(self) -> bool:
        """Whether nothing is pruned."""
        return self == Keep()


def kept_by(settings: Settings) -> Keep:
    """Return the days of the settings."""
    names = ("OrderDays", "EventDays", "HistoryDays", "ParquetDays")
    return Keep(*map(settings.optional_number, names))


class _Task(Protocol):
    def step(self) -> bool:
        """Do a part; return whether there may be more."""


class Pruner:
    """One pruning of a data directory; ``found`` has its result."""

    def __init__(
        self,
        where: DataDirectory,
        database: Database,
        keep: Keep,
        now: Callable[[], float],
        *,
        dry: bool = False,
    ) -> None:
        self.found = Found()
        self._where = where
        self._database = database
        self._keep = keep
        self._now = now
        self._dry = dry

    def steps(self) -> Iterator[None]:
        """Prune, with a pause for the caller after each step."""
        items = OpenItems(self._database)
        yield from items.steps()
        for task in self._tasks(items):
            while task.step():
                yield
            yield
        if not self._dry and self._where.sandbox.exists():
            with closing(Database(str(self._where.sandbox))) as sandbox:
                while sweep(self._database, sandbox):
                    yield

    def run(self, *, shared: bool) -> None:
        """Prune to the end.

        With ``shared`` other processes write too: each step is followed by a pause as long, since
        the write lock has no queue, and a writer without pauses would starve them.
        """
        began = time.monotonic()
        for _ in self.steps():
            time.sleep(time.monotonic() - began if shared else 0.0)
            began = time.monotonic()

    def _tasks(self, items: OpenItems) -> Iterator[_Task]:
        """Yield the tasks; the orders are first, since their events and runs go with them."""
        keep, shared = self._keep, (items, self.found)
        if keep.orders is not None:
            before = self._before(keep.orders)
            yield OrderPruning(self._database, before, *shared, self._dry, self._now)
        if keep.events is not None:
            yield EventPruning(self._database, self._before(keep.events), *shared, self._dry)
        if keep.history is not None:
            yield HistoryPruning(self._database, self._before(keep.history), *shared, self._dry)
        if keep.parquet is not None:
            before = self._before(keep.parquet)
            bucket = self._where.bucket
            yield FilePruning(self._database, bucket, before, self.found, dry=self._dry)

    def _before(self, days: int) -> float:
        return self._now() - days * DAY


class Retention:
    """The retention of a served directory (see `infra.local.engine.upkeep`)."""

    def __init__(
        self, where: DataDirectory, database: Database, keep: Keep, now: Callable[[], float]
    ) -> None:
        self._make = partial(Pruner, where, database, keep, now)
        self._keep = keep
        self._now = now
        self._log = LogFile(where.log)
        self._steps: Iterator[None] | None = None
        self._due = 0.0

    @property
    def is_active(self) -> bool:
        """Whether a pruning has begun and not ended."""
        return self._steps is not None

    @property
    def patience(self) -> float:
        """Seconds until the next step of an idle server."""
        return PAUSE if self.is_active else LONGEST

    def observe(self, now: float, *, busy: bool) -> None:
        """Do one step, if it is due; an error is logged, and ends this pruning for an hour."""
        if self._keep.all or now < self._due:
            return
        if self._steps is None:
            self._steps = self._make().steps()
        try:
            next(self._steps)
            self._due = now + (BUSY_PAUSE if busy else PAUSE)
        except StopIteration:
            self._steps, self._due = None, now + EVERY
        except Exception as error:  # noqa: BLE001 - the orders of the server are not affected
            self._steps, self._due = None, now + EVERY
            text = f"retention stopped, and begins again in an hour: {described(error)}"
            self._log.write("ERROR", "retention", text, self._now())
