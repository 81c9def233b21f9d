"""The exporter: sends the committed journal to an OTLP receiver, behind the engine."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.log_file import LogFile
from infra.telemetry import otlp
from infra.telemetry.checkpoint import FILE, Checkpoint, load, prepare
from infra.telemetry.journal_metrics import advance, counters, gauges
from infra.telemetry.otlp import Client, Unavailable
from infra.telemetry.reader import Reader
from infra.telemetry.spans import Span, Value

PAUSE = 0.5
"""Seconds between two readings of a journal that has nothing new."""

METRICS_EVERY = 10.0
"""Seconds between two exports of metrics."""

MAX_SPANS = 2_000
"""Spans of a request: about a megabyte of JSON, of the 20 that the Collector takes by default."""

FIRST_RETRY, LONGEST_RETRY = 0.5, 30.0
"""Seconds before a request is repeated; doubled each time, unless the receiver names them."""

GRACE = 10.0
"""Seconds for which an unavailable receiver is tried once the engine has ended."""

Stopped = Callable[[float], bool]
"""``(seconds) -> stopped``: wait until the engine has ended, at most so many seconds."""


@dataclass(slots=True)
class Counts:
    """The outcome of an export; ``problem`` is the last one, ``complete`` if all was tried."""

    spans: int = 0
    points: int = 0
    rejected: int = 0
    complete: bool = True
    problem: str = ""


class _GaveUp(Exception):
    """The receiver was unavailable to the end; the checkpoint has what is still to be sent."""


class Exporter:
    """Exports one data directory, from its checkpoint on.

    Parameters
    ----------
    where : DataDirectory
        The directory; another process writes to it.
    client : Client
        The receiver.
    stopped : Stopped
        Says when the engine has ended: then the rest is exported, and `run` returns.
    """

    def __init__(self, where: DataDirectory, client: Client, stopped: Stopped) -> None:
        self.counts = Counts()
        self._file = where.root / FILE
        self._log = _Log(where.log)
        self._client = client
        self._stopped = stopped
        self._given_up_at: float | None = None
        self._reported: dict[str, set[str]] = {}
        self._resource: Mapping[str, Value] = {
            "service.name": "orderflow",
            "service.instance.id": str(where.root),
        }
        self._reader = Reader(where)
        prepare(self._file, self._reader.database, where.sandbox, time.time())
        checkpoint = load(self._file)
        assert checkpoint is not None
        self._checkpoint = checkpoint

    def run(self) -> Counts:
        """Export until the engine has ended and nothing is left; return the outcome."""
        measured_at, ending = 0.0, False
        try:
            while True:
                if self._export_spans():
                    continue
                if ending or time.monotonic() - measured_at >= METRICS_EVERY:
                    self._export_metrics()
                    measured_at = time.monotonic()
                if ending:
                    break
                ending = self._stopped(PAUSE)
        except _GaveUp:
            self.counts.complete = False
        finally:
            self._reader.close()
            self._client.close()
        return self.counts

    def _export_spans(self) -> bool:
        """Export the next spans; return whether there are more."""
        changes = self._reader.after(self._checkpoint)
        for problem in changes.problems:
            self._reject(1, problem)
        for spans in _parts(changes.spans):
            accepted = self._send(otlp.TRACES, otlp.traces(spans, self._resource), len(spans))
            self.counts.spans += accepted
        if changes.checkpoint != self._checkpoint:
            self._save(changes.checkpoint)
        return changes.more

    def _export_metrics(self) -> None:
        database, now = self._reader.database, time.time()
        with database.snapshot():
            present, over = advance(database, self._checkpoint)
            values = [*counters(present, now), *gauges(database, now, self._reported)]
        points = sum(len(_shape(value)["dataPoints"]) for value in values)
        if points:
            body = otlp.metrics(values, self._resource)
            self.counts.points += self._send(otlp.METRICS, body, points)
        if over != self._checkpoint:
            self._save(over)

    def _save(self, checkpoint: Checkpoint) -> None:
        checkpoint.save(self._file)
        self._checkpoint = checkpoint

    def _send(self, path: str, body: Mapping[str, Any], items: int) -> int:
        """Send a request until it is answered; return how many of its items were accepted."""
        delay = FIRST_RETRY
        while True:
            try:
                answer = self._client.export(path, body)
            except Unavailable as error:
                self._log.note(f"the OTLP receiver is not available: {error}")
                self.counts.problem = str(error)
                self._wait(max(delay, error.wait))
                delay = min(2 * delay, LONGEST_RETRY)
                continue
            self._log.note("")
            rejected = items if answer.rejected < 0 else min(answer.rejected, items)
            if rejected or answer.message:
                self._reject(rejected, f"the OTLP receiver said: {answer.message}")
            return items - rejected

    def _wait(self, seconds: float) -> None:
        """Wait before a repetition; raise `_GaveUp` if the engine ended `GRACE` seconds ago."""
        if self._given_up_at is None and self._stopped(seconds):
            self._given_up_at = time.monotonic() + GRACE
        if self._given_up_at is not None:
            left = self._given_up_at - time.monotonic()
            if left <= 0:
                raise _GaveUp
            time.sleep(min(seconds, left))

    def _reject(self, items: int, problem: str) -> None:
        self.counts.rejected += items
        self.counts.problem = problem
        self._log.write(problem)


def _shape(metric: Mapping[str, Any]) -> Any:
    return next(metric[shape] for shape in ("sum", "gauge", "histogram") if shape in metric)


def _parts(spans: Sequence[Span]) -> Iterator[Sequence[Span]]:
    for start in range(0, len(spans), MAX_SPANS):
        yield spans[start : start + MAX_SPANS]


class _Log:
    """The exporter's lines in the functions' log."""

    def __init__(self, path: Path) -> None:
        self._file = LogFile(path)
        self._noted = ""

    def note(self, problem: str) -> None:
        """Log a state once while it lasts; an empty text ends it."""
        if problem and not self._noted:
            self.write(problem)
        self._noted = problem

    def write(self, message: str) -> None:
        """Log a line."""
        self._file.write("WARNING", "telemetry", message, time.time())
