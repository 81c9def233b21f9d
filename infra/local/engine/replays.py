"""Replays of the archive: jobs that deliver its events again, a chunk in each turn.

A replay is a paced job (`infra.local.engine.paced_jobs`) whose items are the events of a range. It
waits while the targets have too much due work.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.errors import InvalidRequest
from infra.local.directory.crash_marker import Kind
from infra.local.engine.bus import Bus
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.error_boundary import Boundary
from infra.local.engine.paced_jobs import COMPLETED, ENDED, PAUSED, RUNNING, PacedJob, PacedJobs
from infra.local.template.stack import Rule
from infra.patterns import has_fine_number, read_event
from kernel.json_text import MAX_CARRIED, parse
from storage.sqlite.database import Database

CHUNK = 200
"""Events that all replays together deliver in one turn."""

BEHIND = 1_000
"""Due deliveries to a target from which replays wait."""

HOLD = 0.25
"""Seconds until a waiting replay looks again."""

MAX_ACTIVE = 10
"""Maximum replays at a time (EventBridge quotas, Concurrent replays)."""

Between = tuple[int, int]
"""The numbers of the first and the last event of a range."""

NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
"""A replay's name (EventBridge API Reference, StartReplay)."""

_SAVE = (
    "insert into replays (name, rules, start_at, end_at, state, started_at, replayed, position,"
    " last, rate, last_at, ended_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " on conflict (name) do update set state = excluded.state, position = excluded.position,"
    " replayed = excluded.replayed, last_at = excluded.last_at, ended_at = excluded.ended_at"
)
_EVENTS = (
    "select seq, envelope, arrived_at from events where seq > ? and seq <= ? and archived"
    " and arrived_at >= ? and arrived_at < ? order by seq limit ?"
)


@dataclass(slots=True, kw_only=True)
class Replay(PacedJob):
    """A replay that has not ended; ``position`` and ``last`` are numbers of events.

    ``rules`` are names; without any, all rules match again.
    """

    name: str
    rules: Sequence[str]
    start_at: float
    end_at: float
    last: int
    last_at: float | None = None


def archived_between(database: Database, start: float, end: float) -> Between:
    """Return the first and the last number of the archived events of a time range, or (1, 0).

    All of them are looked at, a million in some tenths of a second.
    """
    row = database.row(
        "select min(seq), max(seq) from events where archived and arrived_at >= ?"
        " and arrived_at < ?",
        start,
        end,
    )
    return (1, 0) if row is None or row[0] is None else (row[0], row[1])


class Replays(PacedJobs[str, Replay]):
    """The replays of one engine."""

    def __init__(self, bus: Bus, boundary: Boundary) -> None:
        super().__init__(bus.journal, boundary)
        self.bus = bus
        self._left_out: set[int] = set()

    def resume(self, suspects: Suspects, now: float) -> None:
        """Load the replays that have not ended, and the events that are left out for a day."""
        self._left_out |= suspects.quarantined
        rows = self.journal.database.rows(
            "select * from replays where state in (?, ?)", RUNNING, PAUSED
        )
        for row in rows:
            self.active[row["name"]] = Replay(
                name=row["name"],
                rules=json.loads(row["rules"]),
                start_at=row["start_at"],
                end_at=row["end_at"],
                state=row["state"],
                started_at=row["started_at"],
                position=row["position"],
                last=row["last"],
                handled=row["replayed"],
                rate=row["rate"],
                last_at=row["last_at"],
                since=now,
                before=row["replayed"],
            )

    def start(  # noqa: PLR0913, PLR0917 - the fields of a request
        self,
        name: str,
        start: float,
        end: float,
        rules: Sequence[str],
        now: float,
        rate: float | None = None,
        between: Between | None = None,
    ) -> None:
        """Start a replay of the archive's events that arrived in a time range.

        ``rules`` are the names of the rules that match again; without any, all do. ``between`` is
        the result of `archived_between`, which a served directory has another thread read.

        Raises
        ------
        InvalidRequest
            The name is taken or malformed, the range is empty, a rule does not exist, or too many
            replays run.
        """
        self._check(name, start, end, rules)
        first, last = between or archived_between(self.journal.database, start, end)
        replay = Replay(
            name=name,
            rules=rules,
            start_at=start,
            end_at=end,
            started_at=now,
            position=first - 1,
            last=last,
            rate=rate,
            since=now,
        )
        self.add(name, replay, now)

    def _check(self, name: str, start: float, end: float, rules: Sequence[str]) -> None:
        if not NAME.fullmatch(name):
            message = f"ReplayName {name[:80]!r} needs 1 to 64 letters, digits, '.', '-' or '_'."
            raise InvalidRequest("ValidationException", message)
        taken = self.journal.database.row("select 1 from replays where name = ?", name)
        if name in self.active or taken:
            message = f"Replay {name} already exists."
            raise InvalidRequest("ResourceAlreadyExistsException", message)
        if start >= end:
            message = "EventStartTime must be before EventEndTime."
            raise InvalidRequest("ValidationException", message)
        known = {rule.name for rule in self.bus.stack.rules}
        missing = [rule for rule in rules if rule not in known]
        if missing:
            raise InvalidRequest("ValidationException", f"Rule {missing[0]} does not exist.")
        if len(self.active) >= MAX_ACTIVE:
            message = f"{MAX_ACTIVE} replays run already; cancel one, or wait for its end."
            raise InvalidRequest("LimitExceededException", message)

    def _rules(self, names: Sequence[str]) -> list[Rule]:
        """Return the rules of these names that still exist; without names, all."""
        rules = self.bus.stack.rules
        return [rule for rule in rules if rule.name in names] if names else rules

    def state_of_ended(self, key: str) -> str:
        """Return the state of a replay that is not active; raise InvalidRequest for none."""
        row = self.journal.database.row("select state from replays where name = ?", key)
        if row is None:
            raise InvalidRequest("ResourceNotFoundException", f"Replay {key} does not exist.")
        return str(row["state"])

    def refusal(self, key: str, state: str) -> str:
        """Return the message that a replay's state forbids an operation."""
        return f"Replay {key} is {state}, which does not allow this operation."

    def work(self, now: float) -> bool:
        """Deliver a chunk of each replay that is due; return whether there was any."""
        due, worked = self.due(now), False
        for replay in due:
            if self._is_behind(replay, now):
                replay.next_at = now + HOLD
            else:
                self._deliver(replay, max(1, CHUNK // len(due)), now)
                worked = True
        return worked

    def _is_behind(self, replay: Replay, now: float) -> bool:
        """Return whether one of its targets has too many due deliveries.

        A stream reads its own deliveries. A developer's own target counts if the replay names its
        rule: a dead one delays no replay of all rules.
        """
        rules = self._rules(replay.rules)
        return any(
            self.journal.database.row(
                "select 1 from deliveries where target = ? and due <= ? limit 1 offset ?",
                target.key,
                now,
                BEHIND - 1,
            )
            for rule in rules
            for target in rule.targets
            if target.kind != "stream" and (replay.rules or not rule.local)
        )

    def _deliver(self, replay: Replay, most: int, now: float) -> None:
        room = replay.room(most, now)
        rows = self.journal.database.rows(
            _EVENTS, replay.position, replay.last, replay.start_at, replay.end_at, room
        )
        rules = self._rules(replay.rules)
        for row in rows:
            if row["seq"] not in self._left_out:
                self.boundary.attempt(
                    Kind.REPLAY, row["seq"], self._route, replay.name, rules, row, now
                )
            replay.position, replay.last_at = row["seq"], row["arrived_at"]
            replay.handled += 1
        if len(rows) < room or replay.position >= replay.last:
            replay.state = COMPLETED
        replay.wait(now)
        self.save(replay, now)

    def _route(self, name: str, rules: Sequence[Rule], row: Any, now: float) -> None:
        text = row["envelope"]
        content = read_event(text, MAX_CARRIED) if has_fine_number(text) else parse(text)
        envelope = {**content, "replay-name": name}
        self.bus.deliver_matching(row["seq"], rules, envelope, now, name)

    def quarantine(self, number: int, reason: str, now: float) -> None:  # noqa: ARG002
        """Leave an event that ended the process twice out of the replays; the journal keeps it."""
        self._left_out.add(number)

    def save(self, job: Replay, now: float) -> None:
        """Write a replay's state in this turn; forget an ended one."""
        ended = job.state in ENDED
        if ended:
            self.active.pop(job.name, None)
        about = (job.name, json.dumps(list(job.rules)), job.start_at, job.end_at, job.state)
        progress = (job.started_at, job.handled, job.position, job.last, job.rate, job.last_at)
        self.journal.batch.add(_SAVE, *about, *progress, now if ended else None)
