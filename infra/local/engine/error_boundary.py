"""The error boundary around every item that the engine handles.

An item is one event, delivery, message, execution, record, schedule, outbox row or request. An
error that its handling raises ends this item alone: the boundary rolls back what the item added to
the turn, records the failure, and hands the error to the item's component, which ends the item.
Only a journal that cannot be read or written stops the engine.
"""

import json
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.errors import Refusal
from infra.local.directory.crash_marker import CrashMarker, Ids, Item, Kind
from infra.local.directory.journal import Journal
from infra.local.engine.function_calls import Calls
from infra.local.engine.metrics import Measurements
from kernel.clock import timestamp

FAILED = "ItemsFailed"
"""The metric that counts failures, by kind of item."""

_RECORD = (
    "insert into failures (at, kind, item, error, message, traceback, count)"
    " values (?, ?, ?, ?, ?, ?, 1) on conflict (kind, item, error) do update set"
    " at = excluded.at, message = excluded.message, traceback = excluded.traceback,"
    " count = count + 1"
)
_LONGEST = 4_000


class Expected(Exception):
    """An error that is an answer: a target or an integration refuses, by its own rules."""


class Failures:
    """The record of failed items: a row in the journal, a line in the log, a metric.

    Parameters
    ----------
    journal : Journal
        Gets the rows, in the turn's own transaction.
    measurements : Measurements
        Gets the metric.
    log : Path
        The functions' log, JSON lines.
    now : Callable
        The time, in epoch seconds.
    """

    def __init__(
        self, journal: Journal, measurements: Measurements, log: Path, now: Callable[[], float]
    ) -> None:
        self.journal = journal
        self.measurements = measurements
        self.log = log
        self.now = now

    def record(self, item: Item, error: BaseException) -> None:
        """Record that an item failed, with the error's traceback."""
        trace = "".join(traceback.format_exception(error))
        self.add(item, type(error).__name__, _message(error), trace)

    def add(self, item: Item, name: str, message: str, trace: str = "") -> None:
        """Record that an item failed; ``name`` is the error's."""
        now, kind = self.now(), item.kind.label
        of_kind = str(item).removeprefix(f"{kind} ")
        kept = (name, message[:_LONGEST], trace[-_LONGEST:])
        texts = (_storable(text) for text in kept)
        self.journal.batch.add(_RECORD, now, kind, of_kind, *texts)
        self.measurements.count(FAILED, {"kind": kind}, now)
        line = {
            "level": "ERROR",
            "timestamp": timestamp(now),
            "service": "engine",
            "message": f"{item} failed: {name}: {message}"[:_LONGEST],
            "item": str(item),
            "exception": trace,
        }
        with suppress(OSError), self.log.open("a") as log:  # a full disk costs the line alone
            log.write(json.dumps(line) + "\n")


class Boundary:
    """The boundary of one engine (see the module).

    ``undo`` is what takes back from memory what the turn's items have put there so far.
    """

    def __init__(
        self, journal: Journal, calls: Calls, failures: Failures, marker: CrashMarker
    ) -> None:
        self.journal = journal
        self.calls = calls
        self.failures = failures
        self.marker = marker
        self.undo: list[Callable[[], object]] = []

    def attempt(
        self,
        kind: Kind,
        number: int,
        action: Callable[..., object],
        *arguments: Any,
        marked: Ids | None = None,
    ) -> Exception | None:
        """Handle one item; return its error, if it raised one, with its writes rolled back.

        ``marked`` is the item that the crash marker names, if it is another: the one in the journal
        that an item comes from which is not journalled yet.

        Raises
        ------
        sqlite3.Error
            The journal itself fails.
        """
        marker, batch, calls = self.marker, self.journal.batch, self.calls
        outer, item = marker.current, marked or (kind, number, number)
        if item is not outer:
            marker.enter(item)
        mark, asked, done = len(batch.added), len(calls.asked), len(self.undo)
        try:
            action(*arguments)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - the item's, whatever it is
            batch.rewind(mark)
            calls.rewind(asked)
            while len(self.undo) > done:
                self.undo.pop()()
            if not isinstance(error, Expected | Refusal):
                self.failures.record(Item(kind, number, number), error)
            return error
        finally:
            marker.leave(outer)
        return None


def described(error: BaseException) -> str:
    """Return an error's name and message, as text that can be stored anywhere."""
    return _storable(f"{type(error).__name__}: {_message(error)[:_LONGEST]}")


def _message(error: BaseException) -> str:
    """Return an error's message, or that it cannot be told."""
    try:
        return str(error)
    except Exception as another:  # noqa: BLE001 - whatever the error's own code raises
        return f"its message cannot be told: {type(another).__name__}"


def _storable(text: str) -> str:
    """Return text that UTF-8 and SQLite hold."""
    return text.encode(errors="backslashreplace").decode()
