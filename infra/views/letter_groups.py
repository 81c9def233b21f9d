"""The open dead letters of a data directory, grouped by the form of their reason, queue or sender.

A directory may have many thousands. Their reasons are read from their bodies once, and kept until
the dead letter is edited or closed.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from infra.dead_letters.reading import letters
from infra.dead_letters.reason_form import form_of
from infra.views.dead_letter import DeadLetter
from kernel.timestamps import moment
from storage.sqlite.database import Database

MAX_LETTERS = 10_000
"""Dead letters that are grouped: the newest; a page states their number."""

MAX_NEW = 4_000
"""Dead letters that one page reads; the next page reads further ones."""

FRESH = 3.0
"""Seconds after which the attributes of known dead letters are read again."""

SAMPLES = 3
"""Dead letters of a group that are shown: the newest."""

HOURS = 24
"""Hours of a group's history, for its small chart."""

BY = ("reason", "queue", "consumer")
"""The fields that dead letters are grouped by."""


@dataclass(frozen=True, slots=True)
class LetterFact:
    """An open dead letter without its body; ``since`` is in epoch seconds.

    The id of a stack's dead letter is text.
    """

    id: Any
    queue: str
    since: float
    reason: str
    form: str
    order_id: str | None
    consumer: str

    def value(self, by: str) -> str:
        """Return the field that groups are made by."""
        return {"reason": self.form, "queue": self.queue, "consumer": self.consumer}[by]

    @classmethod
    def of(cls, letter: DeadLetter, number: Any) -> "LetterFact":
        """Return a dead letter without its body, under an id of the caller."""
        return cls(
            number,
            letter.queue,
            moment(letter.since).timestamp(),
            letter.reason,
            form_of(letter.reason),
            letter.order_id,
            str(letter.source or "unknown"),
        )


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Dead letters with one cause, queue or consumer.

    ``key`` names the group in a link. ``hours`` counts its dead letters of the last `HOURS` hours,
    the oldest hour first; ``last_hour`` is the number of the last 60 minutes: it still happens.
    """

    key: str
    label: str
    count: int
    first: float
    last: float
    orders: int
    queues: tuple[str, ...]
    consumers: tuple[str, ...]
    samples: tuple[LetterFact, ...]
    hours: tuple[int, ...]

    @property
    def last_hour(self) -> int:
        """The number of dead letters since an hour."""
        return self.hours[-1]


@dataclass(frozen=True, slots=True)
class OpenLetters:
    """Open dead letters, the newest first; ``total`` counts all, of which these were read."""

    facts: tuple[LetterFact, ...]
    total: int

    @property
    def is_complete(self) -> bool:
        """Whether all were read."""
        return len(self.facts) == self.total


class LetterIndex:
    """The reasons of dead letters, kept between two pages; any thread may use it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, LetterFact]] = {}
        self._lock = Lock()
        self._last: tuple[object, float, OpenLetters] | None = None

    def read(self, database: Database, queues: Sequence[str]) -> OpenLetters:
        """Return the open dead letters of these queues."""
        state = _state(database, queues)
        with self._lock:
            if self._last is not None:
                before, at, found = self._last
                if before == state and time.monotonic() - at < FRESH:
                    return found
            found = OpenLetters(self._facts(database, queues), state[0])
            complete = len(found.facts) == min(found.total, MAX_LETTERS)
            self._last = (state, time.monotonic(), found) if complete else None
        return found

    def _facts(self, database: Database, queues: Sequence[str]) -> tuple[LetterFact, ...]:
        marks = ", ".join("?" * len(queues))
        rows = database.rows(
            f"select id, queue, attributes from messages where queue in ({marks})"
            " order by id desc limit ?",
            *queues,
            MAX_LETTERS,
        )
        state = {row["id"]: f"{row['queue']} {row['attributes']}" for row in rows}
        known = {
            number: entry for number, entry in self._known.items() if state.get(number) == entry[0]
        }
        missing = [number for number in state if number not in known][:MAX_NEW]
        if missing:
            for letter in letters(database, queues, missing):
                known[letter["id"]] = (state[letter["id"]], _fact(letter))
        self._known = known
        return tuple(known[number][1] for number in state if number in known)


def _state(database: Database, queues: Sequence[str]) -> tuple[int, ...]:
    """Return numbers that change with each dead letter that comes, goes or is edited."""
    marks = ", ".join("?" * len(queues))
    count = database.row(
        f"select count(*), coalesce(sum(id), 0) from messages where queue in ({marks})", *queues
    )
    log = database.row("select 1 from sqlite_master where name = 'letter_log'")
    last = database.row("select coalesce(max(id), 0) from letter_log") if log else None
    return (*(count or (0, 0)), *(last or ()))


def _fact(letter: Mapping[str, Any]) -> LetterFact:
    reason = str(letter["reason"])
    return LetterFact(
        letter["id"],
        letter["queue"],
        moment(letter["since"]).timestamp(),
        reason,
        form_of(reason),
        letter["order_id"],
        str(letter["from"] or "unknown"),
    )


def grouped(facts: Iterable[LetterFact], by: str, now: float | None = None) -> list[LetterGroup]:
    """Return the groups of dead letters, the largest first."""
    members: dict[str, list[LetterFact]] = {}
    for fact in facts:
        members.setdefault(fact.value(by), []).append(fact)
    at = time.time() if now is None else now
    groups = [_group(label, found, at) for label, found in members.items()]
    return sorted(groups, key=lambda group: (-group.count, -group.last))


def _group(label: str, facts: list[LetterFact], now: float) -> LetterGroup:
    newest = sorted(facts, key=lambda fact: (fact.since, fact.id), reverse=True)
    hours = [0] * HOURS
    for fact in facts:
        age = int(max(now - fact.since, 0) // 3_600)
        if age < HOURS:
            hours[HOURS - 1 - age] += 1
    return LetterGroup(
        key_of(label),
        label,
        len(facts),
        newest[-1].since,
        newest[0].since,
        len({fact.order_id for fact in facts if fact.order_id}),
        tuple(sorted({fact.queue for fact in facts})),
        tuple(sorted({fact.consumer for fact in facts})),
        tuple(newest[:SAMPLES]),
        tuple(hours),
    )


def key_of(label: str) -> str:
    """Return the name of a group in a link: the same for the same label."""
    return hashlib.sha256(label.encode(errors="replace")).hexdigest()[:12]


def of_group(facts: Iterable[LetterFact], by: str, key: str) -> list[LetterFact]:
    """Return the dead letters of a group."""
    keys: dict[str, str] = {}
    found = []
    for fact in facts:
        label = fact.value(by)
        if label not in keys:
            keys[label] = key_of(label)
        if keys[label] == key:
            found.append(fact)
    return found
