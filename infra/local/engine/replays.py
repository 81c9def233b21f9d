"""Replays of the archive: jobs that deliver its events again, a chunk in each turn.

A replay has a position in the journal, which is written in the same transaction as the deliveries.
So after a crash it continues, and no event is delivered twice or left out. It waits while the
targets have too much due work, and keeps its rate.

States: ``RUNNING``, ``PAUSED`` (one machine only), ``COMPLETED``, ``CANCELLED``.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from infra.errors import InvalidRequest
from infra.local.directory.crash_marker import Kind
from infra.local.engine.backlog import NEVER
from infra.local.engine.bus import Bus
from infra.local.engine.component import Component
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.error_boundary import Boundary
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

RUNNING, PAUSED, COMPLETED, CANCELLED = "RUNNING", "PAUSED", "COMPLETED", "CANCELLED"

Between = tuple[int, int]
"""The numbers of the first and the last event of a range."""

NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
"""A replay's name (EventBridge API Reference, StartReplay)."""

_INSERT = (
    "insert into replays (name, rules, start_at, end_at, state, started_at, replayed, position,"
    " last, rate) values (?, ?, ?, ?, ?, ?, 0, ?, ?, ?)"
)
_EVENTS = (
    "select seq, envelope, arrived_at from events where seq > ? and seq <= ? and archived"
    " and arrived_at >= ? and arrived_at < ? order by seq limit ?"
)
_UPDATE = (
    "update replays set state = ?, position = ?, replayed = ?, last_at = ?, ended_at = ?"
    " where name = ?"
)


@dataclass(slots=True)
class Replay:
    """A replay that has not ended; ``position`` and ``last`` are numbers of events.

    ``rules`` are names; without any, all rules match again.
    ``rate`` is in events per second, and ``since`` the time from which it counts, with the events
    that were ``replayed`` before it.
    """

    name: str
    rules: Sequence[str]
    start_at: float
    end_at: float
    state: str
    position: int
    last: int
    replayed: int
    rate: float | None
    last_at: float | None = None
    next_at: float = 0.0
    since: float = 0.0
    before: int = 0


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


class Replays(Component):
    """The replays of one engine."""

    def __init__(self, bus: Bus, boundary: Boundary) -> None:
        self.bus = bus
        self.boundary = boundary
        self.journal = bus.journal
        self.active: dict[str, Replay] = {}
        self._left_out: set[int] = set()

    def resume(self, suspects: Suspects, now: float) -> None:  # noqa: ARG002 - of the protocol
        """Load the replays that have not ended."""
        rows = self.journal.database.rows(
            "select * from replays where state in (?, ?)", RUNNING, PAUSED
        )
        for row in rows:
            self.active[row["name"]] = Replay(
                row["name"],
                json.loads(row["rules"]),
                row["start_at"],
                row["end_at"],
                row["state"],
                row["position"],
                row["last"],
                row["replayed"],
                row["rate"],
                row["last_at"],
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
        replay = Replay(name, rules, start, end, RUNNING, first - 1, last, 0, rate, since=now)
        self.active[name] = replay
        self.boundary.undo.append(partial(self.active.pop, name, None))
        values = (name, json.dumps(list(rules)), start, end, RUNNING, now, first - 1, last, rate)
        self.journal.batch.add(_INSERT, *values)

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

    def pause(self, name: str, now: float) -> str:
        """Pause a running replay; return its state."""
        return self._change(name, {RUNNING: PAUSED}, now)

    def go_on(self, name: str, now: float) -> str:
        """Resume a paused replay; return its state."""
        return self._change(name, {PAUSED: RUNNING}, now)

    def cancel(self, name: str, now: float) -> str:
        """End a replay before its last event; return its state."""
        return self._change(name, {RUNNING: CANCELLED, PAUSED: CANCELLED}, now)

    def _change(self, name: str, states: dict[str, str], now: float) -> str:
        """Change the state of a replay.

        Raises
        ------
        InvalidRequest
            There is no such replay, or its state does not allow the change.
        """
        replay = self.active.get(name)
        state = self._ended_state(name) if replay is None else replay.state
        if replay is None or state not in states:
            message = f"Replay {name} is {state}, which does not allow this operation."
            raise InvalidRequest("IllegalStatusException", message)
        self.boundary.undo.append(partial(self._restore, replay, replay.state, replay.next_at))
        replay.state, replay.next_at = states[state], now
        replay.since, replay.before = now, replay.replayed
        self._save(replay, now)
        return replay.state

    def _ended_state(self, name: str) -> str:
        row = self.journal.database.row("select state from replays where name = ?", name)
        if row is None:
            raise InvalidRequest("ResourceNotFoundException", f"Replay {name} does not exist.")
        return str(row["state"])

    def _restore(self, replay: Replay, state: str, next_at: float) -> None:
        replay.state, replay.next_at = state, next_at
        self.active[replay.name] = replay

    def next_due(self) -> float:
        """Return when the next chunk of a running replay is due."""
        running = (each.next_at for each in self.active.values() if each.state == RUNNING)
        return min(running, default=NEVER)

    def work(self, now: float) -> bool:
        """Deliver a chunk of each replay that is due; return whether there was any."""
        if not self.active:
            return False
        due = [
            each for each in self.active.values() if each.state == RUNNING and each.next_at <= now
        ]
        worked = False
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
        room = most
        if replay.rate is not None:
            allowed = int((now - replay.since) * replay.rate) + 1
            room = min(most, allowed - (replay.replayed - replay.before))
        rows = self.journal.database.rows(
            _EVENTS, replay.position, replay.last, replay.start_at, replay.end_at, max(room, 0)
        )
        rules = self._rules(replay.rules)
        for row in rows:
            if row["seq"] not in self._left_out:
                self.boundary.attempt(
                    Kind.REPLAY, row["seq"], self._route, replay.name, rules, row, now
                )
            replay.position, replay.last_at = row["seq"], row["arrived_at"]
            replay.replayed += 1
        if len(rows) < room:
            replay.state = COMPLETED
        elif replay.rate is not None:
            sent = replay.replayed - replay.before
            replay.next_at = max(now, replay.since + sent / replay.rate)
        self._save(replay, now)

    def _route(self, name: str, rules: Sequence[Rule], row: Any, now: float) -> None:
        text = row["envelope"]
        content = read_event(text, MAX_CARRIED) if has_fine_number(text) else parse(text)
        envelope = {**content, "replay-name": name}
        self.bus.deliver_matching(row["seq"], rules, envelope, now, name)

    def quarantine(self, number: int, reason: str, now: float) -> None:  # noqa: ARG002
        """Leave an event that ended the process twice out of the replays."""
        self._left_out.add(number)

    def _save(self, replay: Replay, now: float) -> None:
        ended = replay.state in (COMPLETED, CANCELLED)
        if ended:
            self.active.pop(replay.name, None)
        self.journal.batch.add(
            _UPDATE,
            replay.state,
            replay.position,
            replay.replayed,
            replay.last_at,
            now if ended else None,
            replay.name,
        )
