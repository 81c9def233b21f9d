"""Replays of one machine's archive: jobs of its engine, started, followed and changed by name."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from infra.cli.event_files import read_event
from infra.cli.local_operations import Operations, ask, operate_by, operate_in
from infra.cli.replaying import proof
from infra.cli.replaying.file_source import Item
from infra.cli.replaying.progress import ReplayProgress
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform
from infra.local.settle import settle, work_off
from infra.local.template.stack import Stack
from infra.server.replays_api import ReplaysApi
from infra.terminal.output import console
from infra.views.local_health import time_of
from infra.views.replays import RUNNING, ReplayState, find_replay, replay_list
from kernel.clock import timestamp
from storage.sqlite.database import Database

ALL = -1
"""SQLite's limit of a query for every row."""

POLL = 0.2
"""Seconds between two looks at a replay that a server works on."""


def archived(where: DataDirectory, since: float, until: float | None) -> Iterator[Item]:
    """Yield the archive's events of a time range, for a dry run; the default is until now."""
    with closing(where.reader()) as reader:
        end = time_of(reader, time.time()) if until is None else until
        rows = reader.connection.execute(
            "select seq, envelope from events where archived and arrived_at >= ?"
            " and arrived_at < ? order by seq",
            (since, end),
        )
        for row in rows:
            yield Item(row["seq"], [read_event("archive", row["seq"], row["envelope"])])


def all_replays(where: DataDirectory) -> list[dict[str, Any]]:
    """Return the archive's replays in a data directory, the oldest first."""
    if not where.database.exists():
        return []
    with closing(where.reader()) as reader:
        return [_as_json(each) for each in reversed(replay_list(reader, ALL))]


def _as_json(replay: ReplayState) -> dict[str, Any]:
    updated = replay.ended_at or replay.last_at
    return {
        "name": replay.name,
        "state": replay.state,
        "source": "archive",
        "started": timestamp(replay.started_at),
        "updated": "" if updated is None else timestamp(updated),
        "sent": replay.replayed,
        "since": timestamp(replay.start_at) if replay.start_at > 0 else "",
        "until": timestamp(replay.end_at),
        "rules": list(replay.rules),
        "rate": replay.rate,
    }


def change(where: DataDirectory, operation: str, name: str) -> None:
    """Pause, resume or cancel a replay: by the directory's server or, without one, here.

    ``operation`` is ``PauseReplay``, ``ResumeReplay`` or ``CancelReplay``.
    """
    operate_by(_operations, where, operation, {"ReplayName": name})


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
                with platform(self.where) as engine:
                    # opening a sandbox moves its times, so the clock is read afterwards
                    end = engine.clock.now() if until is None else until
                    operate_in(engine, _operations(engine), "StartReplay", _until(request, end))
                    work = settle if engine.clock.skips else work_off
                    work(engine, self._shows(engine.journal.database, name))
        except KeyboardInterrupt:
            goes_on = "continues" if address else "continues with `orders serve` or `orders run`"
            console.print(f"{name} {goes_on}; `orders replays cancel {name}` ends it")
        [found] = [each for each in all_replays(self.where) if each["name"] == name]
        console.print(f"{name} is {found['state']}: {found['sent']:,} events delivered again")
        after = proof.figures(self.where, self.stack)
        assert after is not None
        proof.show(before, after)
        return {**found, **proof.to_json(before, after)}

    def _follow(self, name: str) -> None:
        """Show the progress of a replay until it has ended or is paused."""
        with closing(self.where.reader()) as reader:
            shows = self._shows(reader, name)
            while (found := find_replay(reader, name)) and found.state == RUNNING:
                shows()
                time.sleep(POLL)

    @staticmethod
    def _shows(reader: Database, name: str) -> Callable[[], None]:
        """Return a function that shows a replay's progress."""
        done: float | None = None
        progress = ReplayProgress(lambda: done)

        def show() -> None:
            nonlocal done
            found = find_replay(reader, name)
            if found is None:
                return
            done = found.done
            progress.show(found.replayed, found.replayed)
            if found.ended_at is not None:
                progress.clear()

        return show


def _until(request: Mapping[str, Any], end: float) -> dict[str, Any]:
    return {**request, "EventEndTime": end}


def _operations(engine: Engine) -> Operations:
    return ReplaysApi(engine, engine.journal.database).operations()
