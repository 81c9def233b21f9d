"""Jobs on a group of dead letters: operations at a pace, which no crash repeats or leaves out.

A job has its dead letters in `letter_job_members`, the smallest id first, and the last handled one
as its position. The position is written in the transaction that closes the dead letter and stores
its successor, so a killed process redrives no dead letter twice and leaves none out.

==========  ====================================================================================
action      operation on each dead letter (`infra.local.engine.dead_letters`)
==========  ====================================================================================
redrive     `DeadLetters.redrive`
discard     `DeadLetters.discard`, with the reason of the job
restore     `DeadLetters.restore`: the undo of a job that discards
==========  ====================================================================================

States: ``RUNNING``, ``PAUSED``, ``COMPLETED``, ``CANCELLED``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from infra.errors import InvalidRequest
from infra.local.directory.crash_marker import Kind
from infra.local.engine import operator_actions
from infra.local.engine.backlog import NEVER
from infra.local.engine.component import Component
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.dead_letters import Answer, DeadLetters
from infra.local.engine.error_boundary import Boundary
from infra.local.engine.operator_actions import DONE, Action
from infra.local.engine.redrive import Redrive

CHUNK = 100
"""Dead letters that all jobs together handle in one turn; orders continue between two turns."""

AHEAD = 500
"""Dead letters whose events are looked up together: the id of an event has no index."""

MAX_ACTIVE = 10
"""Maximum jobs at a time."""

MAX_LETTERS = 10_000
"""Maximum dead letters of a job."""

MAX_RATE = 1_000.0
"""Maximum dead letters a second of a job with a pace."""

KEPT = 14 * 86_400.0
"""Seconds that an ended job is kept: as long as its dead letters."""

RUNNING, PAUSED, COMPLETED, CANCELLED = "RUNNING", "PAUSED", "COMPLETED", "CANCELLED"
REDRIVE, DISCARD, RESTORE = "redrive", "discard", "restore"
ACTIONS = (REDRIVE, DISCARD, RESTORE)

_SAVE = (
    "insert into letter_jobs (id, action, label, reason, who, rate, state, started_at, ended_at,"
    " total, position, handled, refused, undoes, recorded)"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set"
    " state = excluded.state, ended_at = excluded.ended_at, position = excluded.position,"
    " handled = excluded.handled, refused = excluded.refused"
)
"""The one statement that writes a job: a batch groups equal statements, and so keeps its order."""

_MEMBER = "insert into letter_job_members (job, letter) values (?, ?)"
_NEXT = (
    "select letter from letter_job_members where job = ? and letter > ? and problem is null"
    " order by letter limit ?"
)
_REFUSE = "update letter_job_members set problem = ? where job = ? and letter = ?"
_QUARANTINE = (
    "update letter_job_members set problem = ? where letter = ? and job in"
    " (select id from letter_jobs where state in ('RUNNING', 'PAUSED'))"
)
_DONE_OF = (
    "select letter from letter_job_members where job = ? and letter <= ? and problem is null"
    " order by letter"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job to start; ``rate`` is in dead letters a second, None for as fast as the engine is."""

    action: str
    letters: Sequence[int]
    label: str
    reason: str
    who: str
    rate: float | None = None
    undoes: int | None = None


@dataclass(slots=True)
class Job:
    """A job that has not ended; ``since`` is the time from which its rate counts.

    ``recorded`` is the number of its row in `operator_actions`, ``undoes`` the job that it undoes.
    """

    id: int
    action: str
    label: str
    reason: str
    who: str
    rate: float | None
    state: str
    started_at: float
    total: int
    position: int
    handled: int
    refused: int
    undoes: int | None
    recorded: int
    since: float
    before: int = 0
    next_at: float = 0.0
    prepared: Redrive | None = None
    prepared_to: int = 0


_FIELDS = (
    *("id", "action", "label", "reason", "who", "rate", "state", "started_at"),
    *("total", "position", "handled", "refused", "undoes", "recorded"),
)
"""The columns of a row that are fields of its `Job`."""


class LetterJobs(Component):
    """The jobs of one engine."""

    def __init__(self, letters: DeadLetters, boundary: Boundary) -> None:
        self.letters = letters
        self.boundary = boundary
        self.journal = letters.journal
        self.active: dict[int, Job] = {}
        self._new: set[int] = set()  # started in this turn; their rows are in no table yet

    def resume(self, suspects: Suspects, now: float) -> None:  # noqa: ARG002 - of the protocol
        """Load the jobs that have not ended."""
        query = "select * from letter_jobs where state in (?, ?)"
        for row in self.journal.database.rows(query, RUNNING, PAUSED):
            fields = {name: row[name] for name in _FIELDS}
            self.active[row["id"]] = Job(**fields, since=now, before=row["handled"])

    def start(self, wanted: Wanted, now: float) -> int:
        """Start a job, and record it once as an operator's action; return its number.

        Raises
        ------
        InvalidRequest
            It names no dead letter or too many, its pace is out of range, or too many jobs run.
        """
        letters = sorted(set(wanted.letters))
        self._check(wanted, len(letters))
        number = self.journal.next_id("letter_jobs")
        action = Action(wanted.who, f"{wanted.action} group", wanted.label[:200], wanted.reason)
        before = {"job": number, "letters": len(letters), "rate": wanted.rate}
        recorded = operator_actions.begin(self.journal.database, action, before, now)
        fields = (number, wanted.action, wanted.label, wanted.reason, wanted.who, wanted.rate)
        counts = (len(letters), 0, 0, 0)
        job = Job(*fields, RUNNING, now, *counts, wanted.undoes, recorded, since=now)
        self.active[number] = job
        self._new.add(number)
        self.boundary.undo.append(partial(self.active.pop, number, None))
        for letter in letters:
            self.journal.batch.add(_MEMBER, number, letter)
        self._save(job, now)
        self.journal.batch.durable = True
        return number

    def undo(self, number: int, who: str, now: float) -> int:
        """Start a job that restores the dead letters that an ended job has discarded.

        Raises
        ------
        InvalidRequest
            There is no such job, it runs, it discards nothing, or it was undone already.
        """
        row = self._row(number)
        if row["action"] != DISCARD or row["state"] not in (COMPLETED, CANCELLED):
            raise _refusal(f"job {number} is a {row['action']} that is {row['state']}; only an"
                           " ended discard is undone")  # fmt: skip
        undone = self.journal.database.row("select id from letter_jobs where undoes = ?", number)
        if undone is not None:
            raise _refusal(f"job {number} is undone already, by job {undone['id']}")
        rows = self.journal.database.rows(_DONE_OF, number, row["position"])
        ids = [each["letter"] for each in rows]
        label, rate = f"job {number}: {row['label']}", row["rate"]
        return self.start(Wanted(RESTORE, ids, label, "", who, rate, undoes=number), now)

    def _check(self, wanted: Wanted, number: int) -> None:
        if wanted.action not in ACTIONS:
            raise _refusal(f"action: {wanted.action[:40]!r} is none of {', '.join(ACTIONS)}")
        if wanted.action == DISCARD and not wanted.reason:
            raise _refusal("reason: is missing; say why these dead letters need no action")
        if not 0 < number <= MAX_LETTERS:
            raise _refusal(f"ids: name 1 to {MAX_LETTERS:,} dead letters; these are {number:,}")
        if wanted.rate is not None and not 0 < wanted.rate <= MAX_RATE:
            raise _refusal(f"rate: is a number of dead letters a second up to {MAX_RATE:,.0f}")
        if len(self.active) >= MAX_ACTIVE:
            problem = f"{MAX_ACTIVE} jobs on dead letters have not ended; cancel one, or wait"
            raise InvalidRequest("LimitExceededException", problem)

    def pause(self, number: int, now: float) -> str:
        """Pause a running job; return its state."""
        return self._change(number, {RUNNING: PAUSED}, now)

    def go_on(self, number: int, now: float) -> str:
        """Resume a paused job; return its state."""
        return self._change(number, {PAUSED: RUNNING}, now)

    def cancel(self, number: int, now: float) -> str:
        """End a job before its last dead letter; return its state. Handled ones stay handled."""
        return self._change(number, {RUNNING: CANCELLED, PAUSED: CANCELLED}, now)

    def _change(self, number: int, states: dict[str, str], now: float) -> str:
        job = self.active.get(number)
        state = str(self._row(number)["state"]) if job is None else job.state
        if job is None or state not in states:
            raise InvalidRequest(
                "IllegalStatusException", f"job {number} is {state}, which forbids this operation"
            )
        self.boundary.undo.append(partial(self._restore, job, job.state, job.next_at))
        job.state, job.next_at = states[state], now
        job.since, job.before = now, job.handled
        self._save(job, now)
        self.journal.batch.durable = True
        return job.state

    def _restore(self, job: Job, state: str, next_at: float) -> None:
        job.state, job.next_at = state, next_at
        self.active[job.id] = job

    def _row(self, number: int) -> Any:
        row = self.journal.database.row("select * from letter_jobs where id = ?", number)
        if row is None:
            problem = f"there is no job {number} on dead letters"
            raise InvalidRequest("ResourceNotFoundException", problem)
        return row

    def next_due(self) -> float:
        """Return when the next dead letter of a running job is due."""
        running = (each.next_at for each in self.active.values() if each.state == RUNNING)
        return min(running, default=NEVER)

    def work(self, now: float) -> bool:
        """Handle the dead letters that are due; return whether there was any."""
        if not self.active:
            return False
        due = [
            each
            for each in self.active.values()
            if each.state == RUNNING and each.next_at <= now and each.id not in self._new
        ]
        for job in due:
            self._handle(job, max(1, CHUNK // len(due)), now)
        return bool(due)

    def committed(self) -> None:
        """Allow the jobs that the turn has started to begin."""
        self._new.clear()

    def _handle(self, job: Job, most: int, now: float) -> None:
        room = most
        if job.rate is not None:
            allowed = int((now - job.since) * job.rate) + 1
            room = min(most, allowed - (job.handled - job.before))
        rows = self.journal.database.rows(_NEXT, job.id, job.position, max(room, 0))
        for row in rows:
            letter = int(row["letter"])
            error = self.boundary.attempt(Kind.LETTER_JOB, letter, self._one, job, letter, now)
            if error is not None:
                self._refused(job, letter, f"{type(error).__name__}: {error}")
            job.position = letter
            job.handled += 1
        if len(rows) < room:
            job.state = COMPLETED
        elif job.rate is not None:
            job.next_at = max(now, job.since + (job.handled - job.before) / job.rate)
        self._save(job, now)

    def _one(self, job: Job, letter: int, now: float) -> None:
        """Run the operation of a job on one dead letter."""
        [answer] = self._answers(job, letter, now)
        if answer["state"] == "refused":
            self._refused(job, letter, answer["message"])

    def _answers(self, job: Job, letter: int, now: float) -> list[Answer]:
        if job.action == DISCARD:
            return self.letters.discard([letter], job.reason, job.who, now, job=job.id)
        if job.action == RESTORE:
            return self.letters.restore([letter], job.who, now, job=job.id)
        if job.prepared is None or letter > job.prepared_to:
            rows = self.journal.database.rows(_NEXT, job.id, job.position, AHEAD)
            ids = [each["letter"] for each in rows]
            job.prepared, job.prepared_to = self.letters.prepared(ids), ids[-1]
        return self.letters.redrive([letter], job.who, now, job=job.id, prepared=job.prepared)

    def _refused(self, job: Job, letter: int, why: str) -> None:
        self.journal.batch.add(_REFUSE, why[:1_000], job.id, letter)
        job.refused += 1

    def quarantine(self, number: int, reason: str, now: float) -> None:  # noqa: ARG002
        """Leave a dead letter that ended the process twice out of the jobs."""
        self.journal.batch.add(_QUARANTINE, reason, number)

    def forget(self, now: float) -> None:
        """Delete the jobs that ended long ago, with their lists of dead letters."""
        batch, before = self.journal.batch, now - KEPT
        ended = "select id from letter_jobs where ended_at < ?"
        batch.add(f"delete from letter_job_members where job in ({ended})", before)
        batch.add("delete from letter_jobs where ended_at < ?", before)

    def _save(self, job: Job, now: float) -> None:
        ended = job.state in (COMPLETED, CANCELLED)
        values = [getattr(job, name) for name in _FIELDS]
        values.insert(_FIELDS.index("started_at") + 1, now if ended else None)
        self.journal.batch.add(_SAVE, *values)
        if ended:
            self.active.pop(job.id, None)
            after = {
                "state": job.state,
                "done": job.handled - job.refused,
                "refused": job.refused,
                "untouched": job.total - job.handled,
            }
            operator_actions.end_in(self.journal.batch, job.recorded, after, DONE)


def _refusal(problem: str) -> InvalidRequest:
    return InvalidRequest("ValidationException", problem)
