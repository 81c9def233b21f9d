"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

# the bar shows our own figures only, so it need not use `infra.terminal.output`
from rich.progress import (  # noqa: TID251
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar  # noqa: TID251

from infra.terminal.output import errors
from storage.sqlite.database import Database

EVERY = 0.2
EVERY_PLAIN = 5.0
"""Seconds between two updates: of the bar, and of plain lines."""


class Progress:
    """The number of events on the bus, and of executions that have ended."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        if errors.is_terminal:
            self._bar = Bar(
                TextColumn("[progress.description]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=errors.rich,
                transient=True,
            )
            self._task = self._bar.add_task("orders", total=None)
        self._total = 0
        self._next = time.monotonic() + (EVERY if self._bar else EVERY_PLAIN)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def accepted(self, total: int) -> None:
        """Set the number of events on the bus."""
        self._total = total
        if self._bar:
            self._bar.update(self._task, total=total)

    def show(self, database: Database) -> None:
        """Show the progress, at most once per interval."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (EVERY if self._bar else EVERY_PLAIN)
        row = database.row("select count(*) from executions where status <> 'RUNNING'")
        done = row[0] if row else 0
        if self._bar:
            self._bar.update(self._task, completed=min(done, self._total))
        else:
            errors.print(f"{self._total} events on the bus, {done} executions ended")
