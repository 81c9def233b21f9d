"""Jobs on a group of dead letters: operations at a pace, which no crash repeats or leaves out.

A job is a paced job (`infra.local.engine.paced_jobs`). It has its dead letters in
`letter_job_members`, the smallest id first, and the last handled one as its position. The position
is written in the transaction that closes the dead letter and stores its successor.

==========  ====================================================================================
action      operation on each dead letter (`infra.local.engine.dead_letters`)
==========  ====================================================================================
redrive     `DeadLetters.redrive`
discard     `DeadLetters.discard`, with the reason of the job
restore     `DeadLetters.restore`: the undo of a job that discards
==========  ====================================================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.dead_letters.reading import KEPT, UNDONE_BY
from infra.errors import InvalidRequest
from infra.local.directory.crash_marker import Kind
from infra.local.engine import operator_actions
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.dead_letters import Answer, DeadLetters
from infra.local.engine.error_boundary import Boundary
from infra.local.engine.operator_actions import DONE, Action
from infra.local.engine.paced_jobs import COMPLETED, ENDED, PAUSED, RUNNING, PacedJob, PacedJobs
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

REDRIVE, DISCARD, RESTORE = "redrive", "discard", "restore"
ACTIONS = (REDRIVE, DISCARD, RESTORE)

_SAVE = (
    "insert into letter_jobs (id, action, label, reason, who, rate, state, started_at, ended_at,"
    " total, position, handled, refused, undoes, recorded)"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set"
    " state = excluded.state, ended_at = excluded.ended_at, position = excluded.position,"
    " handled = excluded.handled, refused = excluded.refused"
)
_MEMBER = "insert into letter_job_members (job, letter) values (?, ?)"
_NEXT = (
    "select letter from letter_job_members where job = ? and letter > ? and problem is null"
    " order by letter limit ?"
)
_REFUSE = "update letter_job_members set problem = ? where job = ? and letter = ?"
_AHEAD = (
    "select 1 from letter_job_members where job = ? and letter = ? and letter > ?"
    " and problem is null"
)
_DISCARDED_BY = (
    "select letter from letter_job_members where job = ? and letter <= ? and problem is null"
    " and letter not in (select letter from letter_jobs join letter_job_members on job = id"
    " where undoes = ? and letter <= position and problem is null) order by letter"
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


@dataclass(slots=True, kw_only=True)
class Job(PacedJob):
    """A job that has not ended.

    ``recorded`` is the number of its row in `operator_actions`, ``undoes`` the job that it undoes.
    """

    id: int
    action: str
    label: str
    reason: str
    who: str
    total: int
    refused: int = 0
    undoes: int | None
    recorded: int
    prepared: Redrive | None = None
    prepared_to: int = 0


_FIELDS = (
    *("id", "action", "label", "reason", "who", "rate", "state", "started_at"),
    *("total", "position", "handled", "refused", "undoes", "recorded"),
)
"""The columns of a row that are fields of its `Job`."""


class LetterJobs(PacedJobs[int, Job]):
    """The jobs of one engine."""

    def __init__(self, letters: DeadLetters, boundary: Boundary) -> None:
        super().__init__(letters.journal, boundary)
        self.letters = letters
        self._new: set[int] = set()  # started in this turn; their rows are in no table yet
        self._quarantined: dict[int, str] = {}  # before `resume` has loaded the jobs

    def resume(self, suspects: Suspects, now: float) -> None:  # noqa: ARG002 - of the protocol
        """Load the jobs that have not ended, without the quarantined dead letters."""
        query = "select * from letter_jobs where state in (?, ?)"
        for row in self.journal.database.rows(query, RUNNING, PAUSED):
            fields = {name: row[name] for name in _FIELDS}
            self.active[row["id"]] = Job(**fields, since=now, before=row["handled"])
        for letter, reason in self._quarantined.items():
            self._leave_out(letter, reason, now)
        self._quarantined.clear()

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
        job = Job(
            id=number,
            action=wanted.action,
            label=wanted.label,
            reason=wanted.reason,
            who=wanted.who,
            rate=wanted.rate,
            started_at=now,
            since=now,
            total=len(letters),
            position=0,
            undoes=wanted.undoes,
            recorded=recorded,
        )
        self._new.add(number)
        for letter in letters:
            self.journal.batch.add(_MEMBER, number, letter)
        self.add(number, job, now)
        return number

    def undo(self, number: int, who: str, now: float) -> int:
        """Start a job that restores the dead letters that an ended job has discarded.

        Those that a cancelled undo has restored are left out. The job refuses those that somebody
        has restored and discarded again: their discard is another one.

        Raises
        ------
        InvalidRequest
            There is no such job, it runs, it discarded nothing, or it was undone already.
        """
        row = self._row(number)
        if row["action"] != DISCARD or row["state"] not in ENDED:
            raise _refusal(f"job {number} is a {row['action']} that is {row['state']}; only an"
                           " ended discard is undone")  # fmt: skip
        undone = [each.id for each in self.active.values() if each.undoes == number]
        undone += [each["id"] for each in self.journal.database.rows(UNDONE_BY, number)]
        if undone:
            raise _refusal(f"job {number} is undone already, by job {undone[0]}")
        rows = self.journal.database.rows(_DISCARDED_BY, number, row["position"], number)
        ids = [each["letter"] for each in rows]
        if not ids:
            raise _refusal(f"job {number} has discarded no dead letter that is left to restore")
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

    def state_of_ended(self, key: int) -> str:
        """Return the state of a job that is not active; raise InvalidRequest for none."""
        return str(self._row(key)["state"])

    def refusal(self, key: int, state: str) -> str:
        """Return the message that a job's state forbids an operation."""
        return f"job {key} is {state}, which forbids this operation"

    def _row(self, number: int) -> Any:
        row = self.journal.database.row("select * from letter_jobs where id = ?", number)
        if row is None:
            problem = f"there is no job {number} on dead letters"
            raise InvalidRequest("ResourceNotFoundException", problem)
        return row

    def work(self, now: float) -> bool:
        """Handle the dead letters that are due; return whether there was any."""
        due = [each for each in self.due(now) if each.id not in self._new]
        for job in due:
            self._handle(job, max(1, CHUNK // len(due)), now)
        return bool(due)

    def committed(self) -> None:
        """Allow the jobs that the turn has started to begin."""
        self._new.clear()

    def _handle(self, job: Job, most: int, now: float) -> None:
        room = job.room(most, now)
        rows = self.journal.database.rows(_NEXT, job.id, job.position, room)
        for row in rows:
            letter = int(row["letter"])
            error = self.boundary.attempt(Kind.LETTER_JOB, letter, self._one, job, letter, now)
            if error is not None:
                self._refused(job, letter, f"{type(error).__name__}: {error}")
            job.position = letter
            job.handled += 1
        if len(rows) < room or job.handled == job.total:
            job.state = COMPLETED
        job.wait(now)
        self.save(job, now)

    def _one(self, job: Job, letter: int, now: float) -> None:
        """Run the operation of a job on one dead letter."""
        [answer] = self._answers(job, letter, now)
        if answer["state"] == "refused":
            self._refused(job, letter, answer["message"])

    def _answers(self, job: Job, letter: int, now: float) -> list[Answer]:
        if job.action == DISCARD:
            return self.letters.discard([letter], job.reason, job.who, now, job=job.id)
        if job.action == RESTORE:
            undoes = job.undoes
            return self.letters.restore([letter], job.who, now, job=job.id, undoes=undoes)
        if job.prepared is None or letter > job.prepared_to:
            rows = self.journal.database.rows(_NEXT, job.id, job.position, AHEAD)
            ids = [each["letter"] for each in rows]
            job.prepared, job.prepared_to = self.letters.prepared(ids), ids[-1]
        return self.letters.redrive([letter], job.who, now, job=job.id, prepared=job.prepared)

    def _refused(self, job: Job, letter: int, why: str) -> None:
        self.journal.batch.add(_REFUSE, why[:1_000], job.id, letter)
        job.refused += 1

    def quarantine(self, number: int, reason: str, now: float) -> None:
        """Leave a dead letter that ended the process twice out of the jobs.

        The jobs that have not handled it count it as refused. A recovery quarantines before it
        resumes, so `resume` does the same for the jobs that it loads.
        """
        self._quarantined[number] = reason
        self._leave_out(number, reason, now)

    def _leave_out(self, letter: int, reason: str, now: float) -> None:
        database = self.journal.database
        for job in self.active.values():
            if database.row(_AHEAD, job.id, letter, job.position) is not None:
                self._refused(job, letter, reason)
                job.handled += 1
                job.before += 1
                self.save(job, now)

    def forget(self, now: float) -> None:
        """Delete the jobs that ended as long ago as dead letters are kept, with their lists."""
        batch, before = self.journal.batch, now - KEPT
        ended = "select id from letter_jobs where ended_at < ?"
        batch.add(f"delete from letter_job_members where job in ({ended})", before)
        batch.add("delete from letter_jobs where ended_at < ?", before)

    def save(self, job: Job, now: float) -> None:
        """Write a job's state in this turn; forget an ended one."""
        ended = job.state in ENDED
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
