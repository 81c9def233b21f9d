"""Reads the rows that were committed after a checkpoint, as spans."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from infra.local.directory.data_directory import DataDirectory
from infra.telemetry.checkpoint import Checkpoint, open_mails
from infra.telemetry.order_spans import OrderSpans
from infra.telemetry.spans import Span

if TYPE_CHECKING:
    from storage.sqlite.database import Database

BATCH = 200
"""Rows of each kind that one reading takes at most."""

_EVENTS = "select * from events where seq > ? order by seq limit ?"
_STARTED = "select id from executions where id > ? order by id limit ?"
_RUNNING = "select id from executions where status = 'RUNNING' and id <= ?"
_EXECUTION = (
    "select id, name, machine, status, order_id, error, started_at, ended_at"
    " from executions where id = ?"
)
_MAILS = "select id, name, sent_at from mail_messages where id > ? order by id limit ?"


class Changes(NamedTuple):
    """New spans, the checkpoint behind them, whether there are more, and what was unreadable."""

    spans: list[Span]
    checkpoint: Checkpoint
    more: bool
    problems: list[str]


class Reader:
    """Reads a data directory from a checkpoint on, without a lock: its writer never waits."""

    def __init__(self, where: DataDirectory) -> None:
        self.database = where.reader()
        self._sandbox = where.sandbox
        self._mails: Database | None = None
        self._spans = OrderSpans(self.database)

    def after(self, checkpoint: Checkpoint) -> Changes:
        """Return the spans of rows that were committed after a checkpoint."""
        after, found = replace(checkpoint), _Found()
        mails = self._new_mails(after.mail)  # first: the snapshot then has what queued them
        with self.database.snapshot():
            events = self.database.rows(_EVENTS, after.event, BATCH)
            more, ended = self._ended(after)
            found.add(events, lambda row: [self._spans.of_event(row)])
            found.add(ended, self._spans.of_execution)
            found.add(
                mails, lambda row: [self._spans.of_mail(row["name"], row["id"], row["sent_at"])]
            )
        if events:
            after.event = events[-1]["seq"]
        if mails:
            after.mail = mails[-1]["id"]
        more = more or BATCH in (len(events), len(mails))
        return Changes(found.spans, after, more, found.problems)

    def close(self) -> None:
        """Close the databases."""
        self.database.close()
        if self._mails is not None:
            self._mails.close()

    def _ended(self, after: Checkpoint) -> tuple[bool, list[Any]]:
        """Return whether there are more, and executions that ended since; move ``after`` on."""
        started = [row["id"] for row in self.database.rows(_STARTED, after.execution, BATCH)]
        if started:
            after.execution = started[-1]
        known = after.running | set(started)
        running = {row["id"] for row in self.database.rows(_RUNNING, after.execution)}
        ended = sorted(known - running)[:BATCH]
        after.running = known.difference(ended) | running  # one that was redriven ends again
        rows = (self.database.row(_EXECUTION, number) for number in ended)
        return BATCH in (len(started), len(ended)), [row for row in rows if row is not None]

    def _new_mails(self, last: int) -> list[Any]:
        if self._mails is None:
            self._mails = open_mails(self._sandbox)
        return [] if self._mails is None else self._mails.rows(_MAILS, last, BATCH)


class _Found:
    """The spans of rows; a row that cannot be read is left out, and does not block the others."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.problems: list[str] = []

    def add(self, rows: Iterable[Any], spans_of: Callable[[Any], Iterable[Span]]) -> None:
        """Add the spans of each row."""
        for row in rows:
            try:
                self.spans += list(spans_of(row))
            except Exception as error:  # noqa: BLE001 - any damage of one row
                self.problems.append(f"row {row[0]} has no span: {type(error).__name__}: {error}")
