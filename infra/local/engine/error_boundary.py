"""The error boundary around every item that the engine handles.

An item is one event, delivery, message, execution, record, schedule, outbox row or request. An
error in its handling ends this item alone: the boundary rolls back the item's writes, records the
failure, and returns the error to the item's component, which ends the item. Only a journal that
cannot be read or written stops the engine.
"""

import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.errors import Refusal
from infra.local.directory.crash_marker import CrashMarker, Item, ItemIds, Kind
from infra.local.directory.journal import Journal
from infra.local.directory.log_file import LogFile
from infra.local.engine.function_calls import FunctionCalls
from infra.local.engine.item_order import order_of
from infra.local.engine.metrics import Metrics

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
    """An error that is an answer: a target or an integration refuses by its own rules."""


class Failures:
    """The record of failed items: a row in the journal, a line in the log, a metric.

    Parameters
    ----------
    journal : Journal
        Gets the rows, in the turn's transaction.
    metrics : Metrics
        Gets the metric.
    log : Path
        The functions' log, JSON lines.
    now : Callable
        The time, in epoch seconds.
    """

    def __init__(
        self, journal: Journal, metrics: Metrics, log: Path, now: Callable[[], float]
    ) -> None:
        self.journal = journal
        self.metrics = metrics
        self.log = LogFile(log)
        self.now = now

    def record(self, item: Item, error: BaseException) -> None:
        """Record that an item failed, with the error's traceback."""
        trace = "".join(traceback.format_exception(error))
        self.add(item, type(error).__name__, _message(error), trace)

    def add(self, item: Item, name: str, message: str, trace: str = "") -> None:
        """Record that an item failed; ``name`` is the error's."""
        now, kind = self.now(), item.kind.label
        ids = str(item).removeprefix(f"{kind} ")
        texts = (name, message[:_LONGEST], trace[-_LONGEST:])
        self.journal.batch.add(_RECORD, now, kind, ids, *(_storable(text) for text in texts))
        self.metrics.count(FAILED, {"kind": kind}, now)
        text = f"{item} failed: {name}: {message}"[:_LONGEST]
        about = order_of(self.journal.database, item)
        self.log.write("ERROR", "engine", text, now, **about, item=str(item), exception=trace)


class Boundary:
    """The boundary of one engine (see the module).

    ``undo`` has, in order, the functions that remove the additions of the turn's items from memory.
    """

    def __init__(
        self, journal: Journal, calls: FunctionCalls, failures: Failures, marker: CrashMarker
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
        marked: ItemIds | None = None,
    ) -> Exception | None:
        """Handle one item; return its error, if it raised one, with its writes rolled back.

        ``marked`` is the item for the crash marker, if it differs: the journalled item that caused
        one which is not in the journal yet.

        Raises
        ------
        sqlite3.Error
            The journal itself fails.
        """
        marker, batch, calls = self.marker, self.journal.batch, self.calls
        outer, item = marker.current, marked or (kind, number, number)
        if item is not outer:
            marker.enter(item)
        mark, pending, done = len(batch.added), len(calls.pending), len(self.undo)
        try:
            action(*arguments)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - any error is the item's
            batch.rewind(mark)
            calls.rewind(pending)
            while len(self.undo) > done:
                self.undo.pop()()
            if not isinstance(error, Expected | Refusal):
                self.failures.record(Item(kind, number, number), error)
            return error
        finally:
            marker.leave(outer)
        return None


def described(error: BaseException) -> str:
    """Return an error's name and message, as text that UTF-8 and SQLite can hold."""
    return _storable(f"{type(error).__name__}: {_message(error)[:_LONGEST]}")


def _message(error: BaseException) -> str:
    """Return an error's message, or a note that the error cannot be converted to text."""
    try:
        return str(error)
    except Exception as another:  # noqa: BLE001 - the error's own code may raise anything
        return f"its message cannot be read: {type(another).__name__}"


def _storable(text: str) -> str:
    """Return text that UTF-8 and SQLite can hold."""
    return text.encode(errors="backslashreplace").decode()
