"""Replays of one machine's archive: jobs of its engine, started, followed and changed by name."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from infra.cli.errors import CommandError
from infra.cli.event_files import read_event
from infra.cli.local_operations import ask
from infra.cli.replaying import proof
from infra.cli.replaying.file_source import Item
from infra.cli.replaying.progress import ReplayProgress
from infra.errors import InvalidRequest
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform
from infra.local.settle import settle, work_off
from infra.local.template.stack import Stack
from infra.terminal.output import console
from infra.views.local_health import time_of
from kernel.clock import timestamp
from storage.sqlite.database import Database

OPEN = ("RUNNING", "PAUSED")
POLL = 0.2
"""Seconds between two looks at a replay that a server works on."""


def archived(where: DataDirectory, since: float, until: float | None) -> Iterator[Item]:
    """Yield the archive's events of a time range, for a dry run; the default is until now."""
    reader = where.reader()
    try:
        end = time_of(reader, time.time()) if until is None else until
        rows = reader.connection.execute(
            "select seq, envelope from events where archived and arrived_at >= ?"
            " and arrived_at < ? order by seq",
            (since, end),
        )
        for row in rows:
            yield Item(row["seq"], [read_event("archive", row["seq"], row["envelope"])])
    finally:
        reader.close()


def all_replays(where: DataDirectory) -> list[dict[str, Any]]:
    """Return the archive's replays in a data directory, the oldest first."""
    if not where.database.exists():
        return []
    reader = where.reader()
    try:
        return [_as_json(row) for row in reader.rows("select * from replays order by started_at")]
    finally:
        reader.close()


def _as_json(row: Any) -> dict[str, Any]:
    updated = row["ended_at"] or row["last_at"]
    return {
        "name": row["name"],
        "state": row["state"],
        "source": "archive",
        "started": timestamp(row["started_at"]),
        "updated": "" if updated is None else timestamp(updated),
        "sent": row["replayed"],
        "since": timestamp(row["start_at"]) if row["start_at"] > 0 else "",
        "until": timestamp(row["end_at"]),
        "rules": row["rules"],
        "rate": row["rate"],
    }


def change(where: DataDirectory, operation: str, name: str) -> None:
    """Pause, resume or cancel a replay: by the directory's server or, without one, here.

    ``operation`` is ``PauseReplay``, ``ResumeReplay`` or ``CancelReplay``.
    """
    address = where.served_at()
    if address is not None:
        ask(where, address, operation, {"ReplayName": name})
        return
    with _here(where, workers=0, clock=Clock()) as engine:
        engine.accept_only = True
        _run(engine, operation, {"ReplayName": name})


class ArchiveReplay:
    """One command's replay of the archive."""

    def __init__(self, where: DataDirectory, stack: Stack) -> None:
        where.require_database()
        self.where = where
        self.stack = stack

    def run(
        self,
        name: str,
        since: float,
        until: float | None,
        rules: Sequence[str],
        rate: float | None,
    ) -> dict[str, Any]:
        """Start a replay, follow it to its end, and print and return its account.

        Without ``until`` the range ends now, by the clock of the directory.
        """
        before = proof.figures(self.where, self.stack)
        request = {
            "ReplayName": name,
            "EventSourceArn": self.stack.archive,
            "EventStartTime": since,
            "Destination": {"FilterArns": list(rules)},
            "Rate": rate,
        }
        address = self.where.served_at()
        try:
            if address is not None:
                ask(self.where, address, "StartReplay", _until(request, until or time.time()))
                self._follow(name)
            else:
                with _here(self.where) as engine:
                    # opening a sandbox moves its times, so the clock is read afterwards
                    end = engine.clock.now() if until is None else until
                    _run(engine, "StartReplay", _until(request, end))
                    work = settle if engine.clock.skips else work_off
                    work(engine, self._shows(engine.journal.database, name))
        except KeyboardInterrupt:
            goes_on = "continues" if address else "continues with `orders serve` or `orders run`"
            console.print(f"{name} {goes_on}; `orders replays cancel {name}` ends it")
        [told] = [each for each in all_replays(self.where) if each["name"] == name]
        console.print(f"{name} is {told['state']}: {told['sent']:,} events delivered again")
        after = proof.figures(self.where, self.stack)
        assert after is not None
        proof.show(before, after)
        return {**told, **proof.to_json(before, after)}

    def _follow(self, name: str) -> None:
        """Show the progress of a replay until it has ended or is paused."""
        reader = self.where.reader()
        shows = self._shows(reader, name)
        try:
            while _state(reader, name) == "RUNNING":
                shows()
                time.sleep(POLL)
        finally:
            reader.close()

    @staticmethod
    def _shows(reader: Database, name: str) -> Callable[[], None]:
        """Return a function that shows a replay's progress."""
        fraction: list[float | None] = [None]
        progress = ReplayProgress(lambda: fraction[0])

        def show() -> None:
            row = reader.row("select * from replays where name = ?", name)
            if row is None:
                return
            first = reader.row("select min(seq) from events where arrived_at >= ?", row["start_at"])
            begun = (first[0] if first else 0) or 0
            size = row["last"] - begun + 1
            fraction[0] = min(1.0, (row["position"] - begun + 1) / size) if size > 0 else None
            progress.show(row["replayed"], row["replayed"])
            if row["state"] not in OPEN:
                progress.clear()

        return show


def _state(reader: Database, name: str) -> str | None:
    row = reader.row("select state from replays where name = ?", name)
    return None if row is None else str(row["state"])


def _until(request: Mapping[str, Any], end: float) -> dict[str, Any]:
    return {**request, "EventEndTime": end}


@contextmanager
def _here(where: DataDirectory, workers: int = 2, clock: Clock | None = None) -> Iterator[Engine]:
    where.require_database()
    with platform(where, clock=clock, workers=workers) as engine:
        yield engine


def _run(engine: Engine, operation: str, request: dict[str, Any]) -> None:
    """Run an operation of the port in this process."""
    from infra.server.replays_api import ReplaysApi

    operations = ReplaysApi(engine, engine.journal.database).operations()
    try:
        answer: Any = operations[f"Orderflow.{operation}"](request)
        engine.turn(0)
        answer.result(0)
    except InvalidRequest as error:
        raise CommandError(str(error)) from None
