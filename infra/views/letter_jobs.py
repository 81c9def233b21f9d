"""The jobs on groups of dead letters in a data directory, with their progress."""

from dataclasses import asdict, dataclass
from typing import Any

from infra.dead_letters.reading import UNDONE_BY
from kernel.clock import timestamp
from storage.sqlite.database import Database

SHOWN = 50
"""Jobs of a list, and dead letters of a job that are shown."""

_REFUSED = (
    "select letter, problem from letter_job_members where job = ? and problem is not null"
    " order by letter limit ?"
)


@dataclass(frozen=True, slots=True)
class LetterJob:
    """A job; times are in epoch seconds, ``rate`` in dead letters a second.

    ``undone_by`` is the number of the job that has put its dead letters back.
    """

    id: int
    action: str
    label: str
    reason: str
    who: str
    rate: float | None
    state: str
    started_at: float
    ended_at: float | None
    total: int
    handled: int
    refused: int
    undoes: int | None
    undone_by: int | None

    @property
    def done(self) -> int:
        """The number of dead letters on which the operation succeeded."""
        return self.handled - self.refused

    @property
    def left(self) -> int:
        """The number of dead letters that were not handled."""
        return self.total - self.handled

    @property
    def can_undo(self) -> bool:
        """Whether its dead letters can be put back as a whole."""
        ended = self.ended_at is not None
        return self.action == "discard" and ended and self.done > 0 and self.undone_by is None

    def to_json(self) -> dict[str, Any]:
        """Return the job for a command's JSON document; times are in ISO 8601."""
        ended = None if self.ended_at is None else timestamp(self.ended_at)
        times = {"started_at": timestamp(self.started_at), "ended_at": ended}
        return {**asdict(self), **times, "done": self.done, "left": self.left}

    def seconds_left(self) -> float | None:
        """Return the seconds until the end at its pace, or None without a pace or an end."""
        return self.left / self.rate if self.state == "RUNNING" and self.rate else None


def job_list(database: Database, limit: int = SHOWN) -> list[LetterJob]:
    """Return the jobs that started last, the newest first."""
    if not _has_jobs(database):
        return []
    rows = database.rows("select * from letter_jobs order by id desc limit ?", limit)
    return [_job(database, row) for row in rows]


def find_job(database: Database, number: int) -> LetterJob | None:
    """Return a job by its number."""
    if not _has_jobs(database):
        return None
    row = database.row("select * from letter_jobs where id = ?", number)
    return None if row is None else _job(database, row)


def refusals(database: Database, number: int, limit: int = SHOWN) -> list[tuple[int, str]]:
    """Return the dead letters of a job that were refused, each with the reason."""
    rows = database.rows(_REFUSED, number, limit)
    return [(row["letter"], row["problem"]) for row in rows]


def members(database: Database, number: int, limit: int = SHOWN) -> list[int]:
    """Return the first dead letters of a job."""
    query = "select letter from letter_job_members where job = ? order by letter limit ?"
    return [row["letter"] for row in database.rows(query, number, limit)]


def _job(database: Database, row: Any) -> LetterJob:
    undone = database.row(UNDONE_BY, row["id"])
    names = ("id", "action", "label", "reason", "who", "rate", "state", "started_at", "ended_at")
    counts = ("total", "handled", "refused", "undoes")
    fields = {name: row[name] for name in (*names, *counts)}
    return LetterJob(**fields, undone_by=undone["id"] if undone else None)


def _has_jobs(database: Database) -> bool:
    """Return whether the directory has the table: an older version did not write it."""
    query = "select 1 from sqlite_master where name = 'letter_jobs'"
    return database.row(query) is not None
