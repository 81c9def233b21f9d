"""The activity of operators: the audit table of actions and the log of dead letters, newest first.

A page reads both tables by their keys, so that its time does not depend on their size. Operations
on many dead letters in one turn are one entry.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from infra.dead_letters.reading import PLATFORM
from infra.views.action_commands import SHOWN, command_of, command_of_job
from storage.sqlite.database import Database

PAGE = 50
"""Entries of a page."""

MAX_LOG_ROWS = 1_000
"""Rows of the dead letters' log that one page reads."""

_WORDS = {
    "REDRIVEN": "redrive",
    "DISCARDED": "discard",
    "RESTORED": "undo",
    "EDITED": "edit",
    "DONE": "redrive succeeded",
    "RETURNED": "redrive failed",
    "REPLACED": "redrive failed",
}


@dataclass(frozen=True, slots=True)
class Activity:
    """An operator's action, or an operation on dead letters.

    ``kind`` is ``action`` or ``letter``; ``letters`` has the dead letters' numbers. ``by_platform``
    marks an outcome that the platform itself recorded.
    """

    kind: str
    id: int
    at: float
    who: str
    what: str
    subject: str
    reason: str
    before: Any
    after: Any
    result: str
    command: str
    letters: tuple[int, ...] = ()
    by_platform: bool = False

    @property
    def can_undo(self) -> bool:
        """Whether the action may have an undo: a discard of dead letters."""
        return self.what == "discard"

    @property
    def job(self) -> int | None:
        """The number of its job on a group of dead letters, whose page has the undo."""
        found = self.before.get("job") if isinstance(self.before, dict) else None
        return found if self.kind == "action" and isinstance(found, int) else None


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """Entries, the newest first; ``after`` is the cursor of the next page, or None at the end."""

    entries: tuple[Activity, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class ActivityCursor:
    """The position between two entries: the next ids of both tables, exclusive."""

    action: int = (1 << 63) - 1
    letter: int = (1 << 63) - 1

    @classmethod
    def of(cls, text: str) -> "ActivityCursor":
        """Return the cursor of a text such as ``17.240``, or raise ValueError."""
        first, dot, second = text.partition(".")
        numbers = [first, second]
        if not dot or not all(each.isascii() and each.isdecimal() for each in numbers):
            raise ValueError(f"{text[:40]!r} is no cursor of this list; begin at its first page")
        action, letter = (min(int(each[:20]), (1 << 63) - 1) for each in numbers)
        return cls(action, letter)

    def __str__(self) -> str:
        return f"{self.action}.{self.letter}"


def activity_page(
    database: Database,
    cursor: ActivityCursor | None = None,
    *,
    who: str = "",
    with_platform: bool = True,
    size: int = PAGE,
) -> ActivityPage:
    """Return the newest entries, or those before a cursor; ``who`` restricts them to one person."""
    start = cursor or ActivityCursor()
    actions = list(_actions(database, start.action, who, size + 1))
    rows = _log_rows(database, start.letter, who, with_platform=with_platform)
    operations = (_operation(list(group)) for _, group in groupby(rows, key=_turn))
    merged = sorted([*actions, *operations], key=lambda each: (each.at, each.id), reverse=True)
    is_partial = len(rows) == MAX_LOG_ROWS
    if is_partial:  # an older action is behind the rows of the log that were not read
        merged = [each for each in merged if each.at >= rows[-1]["at"]]
    shown, rest = merged[:size], merged[size:]
    action, letter = start.action, start.letter
    for entry in shown:
        if entry.kind == "action":
            action = entry.id
        else:
            letter = entry.id
    more = is_partial or bool(rest)
    return ActivityPage(tuple(shown), str(ActivityCursor(action, letter)) if more else None)


def _actions(database: Database, before: int, who: str, size: int) -> Iterator[Activity]:
    condition = "and actor = ?" if who else ""
    rows = database.rows(
        f"select * from operator_actions where id < ? {condition} order by id desc limit ?",
        before,
        *([who] if who else []),
        size,
    )
    for row in rows:
        were, after = json.loads(row["before"]), json.loads(row["after"])
        subject = after.get("execution", row["subject"])  # of a redrive, the execution's name
        yield Activity(
            "action",
            row["id"],
            row["at"],
            row["actor"],
            row["action"],
            row["subject"],
            row["reason"],
            were,
            after,
            row["result"],
            command_of_job(database, were["job"])
            if "job" in were
            else command_of(row["action"], subject, row["reason"], were, after),
        )


_NOT_OF_JOB = "json_extract(detail, '$.job') is null"
"""A job is an entry of its own; its dead letters are not listed again."""


def _log_rows(database: Database, before: int, who: str, *, with_platform: bool) -> list[Any]:
    """Return the newest rows of the dead letters' log, at most `MAX_LOG_ROWS`."""
    if database.row("select 1 from sqlite_master where name = 'letter_log'") is None:
        return []  # written by an older version
    conditions = ["id < ?", _NOT_OF_JOB, *["who = ?"] * bool(who)]
    conditions += ["who <> ?"] * (not with_platform)
    return database.rows(
        f"select * from letter_log where {' and '.join(conditions)} order by id desc limit ?",
        before,
        *([who] if who else []),
        *([] if with_platform else [PLATFORM]),
        MAX_LOG_ROWS,
    )


def _turn(row: Any) -> tuple[Any, ...]:
    """Return the fields that the rows of one operation share."""
    detail = row["detail"] if row["what"] == "DISCARDED" else ""
    single = row["id"] if row["what"] == "EDITED" else 0
    return (row["at"], row["who"], row["what"], detail, single)


def _operation(rows: list[Any]) -> Activity:
    """Return the operation on dead letters that one turn has logged, as one entry.

    Its id is the smallest of its rows, so that the cursor skips all of them.
    """
    newest, oldest = rows[0], rows[-1]
    detail: Mapping[str, Any] = json.loads(newest["detail"])
    what, by_platform = newest["what"], newest["who"] == PLATFORM
    numbers = tuple(sorted(row["letter"] for row in rows))
    reason = str(detail.get("reason") or "")
    return Activity(
        "letter",
        oldest["id"],
        newest["at"],
        newest["who"],
        _WORDS.get(what, what.lower()),
        str(numbers[0]) if len(numbers) == 1 else f"{len(numbers):,} dead letters",
        reason,
        detail.get("before"),
        detail.get("after"),
        str(detail.get("outcome") or detail.get("successor") or "") if len(rows) == 1 else "",
        ""
        if by_platform
        else command_of(
            what, " ".join([*map(str, numbers[:SHOWN]), *["…"] * (len(numbers) > SHOWN)]), reason
        ),
        numbers,
        by_platform,
    )
