"""The orders that unfinished items mention: messages, dead letters and the outbox.

A message is a document of its sender, so an order is looked for as a word anywhere in it. A word
that is no id only keeps an order of this name.
"""

import re
from collections.abc import Iterator
from sqlite3 import Row

from storage.sqlite.database import Database

ROWS = 500
"""Maximum number of messages that one step reads."""

_WORD = re.compile(r"""[^\s"'\\,{}\[\]()]+""")
_ENDS = ".:;!?"

_MESSAGES = (
    "select id, body || ' ' || attributes as text from messages where id > ? order by id limit ?"
)
_PENDING = (
    "select id, body || ' ' || coalesce(successor, '') as text from closed_letters"
    " where state = 'PENDING' and id > ? order by id limit ?"
)
_OUTBOX = "select id, body as text from outbox where id > ? order by id limit ?"


class OpenItems:
    """The words of unfinished items, read in steps; later items are read again before each use."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._words: set[str] = set()
        self._last = {_MESSAGES: 0, _PENDING: 0, _OUTBOX: 0}

    def steps(self) -> Iterator[None]:
        """Read all items; each step reads at most `ROWS`."""
        while self.refresh():
            yield

    def refresh(self) -> bool:
        """Read the next items; return whether there may be more."""
        more = False
        for query, last in self._last.items():
            rows = self._database.rows(query, last, ROWS)
            for row in rows:
                self._add(row)
            if rows:
                self._last[query] = rows[-1]["id"]
            more |= len(rows) == ROWS
        return more

    def mention(self, word: str) -> bool:
        """Return whether an item mentions an order, or a run by its name."""
        return word in self._words

    def _add(self, row: Row) -> None:
        for word in _WORD.findall(row["text"]):
            self._words.add(word)
            self._words.add(word.rstrip(_ENDS))


def undelivered_from(database: Database) -> float:
    """Return the sequence number of the oldest event with a delivery left; infinity without one."""
    [(first,)] = database.rows("select min(event_seq) from deliveries")
    return float("inf") if first is None else float(first)


def is_replaying(database: Database) -> bool:
    """Return whether a replay of the archive reads events, or will when it is resumed."""
    return database.row("select 1 from replays where ended_at is null limit 1") is not None
