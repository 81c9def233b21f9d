"""Dead letters of a data directory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from infra.dead_letters.reading import closed_letters, history, letters
from infra.views.dead_letter import Closing, DeadLetter, HistoryEntry
from storage.sqlite.database import Database


def open_dead_letters(
    database: Database, queues: Sequence[str], ids: Sequence[int] = ()
) -> list[DeadLetter]:
    """Return the open dead letters of these queues, or those with these ids, the oldest first."""
    return [_dead_letter(row) for row in letters(database, queues, ids)]


def closed_dead_letters(database: Database, ids: Sequence[int] = ()) -> list[DeadLetter]:
    """Return the closed dead letters, or those with these ids, the newest last."""
    return [_closed(row) for row in closed_letters(database, ids)]


def find_dead_letter(database: Database, queues: Sequence[str], number: int) -> DeadLetter | None:
    """Return an open or closed dead letter with its history."""
    matches = open_dead_letters(database, queues, [number]) or closed_dead_letters(
        database, [number]
    )
    entries = [HistoryEntry(**entry) for entry in history(database, number)]
    return replace(matches[0], history=entries) if matches else None


def _dead_letter(row: Mapping[str, Any]) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        queue=row["queue"],
        since=row["since"],
        reason=row["reason"],
        order_id=row["order_id"],
        source=row["from"],
        attributes=row["attributes"],
        body=row["body"],
    )


def _closed(row: Mapping[str, Any]) -> DeadLetter:
    closing = Closing(row["state"], row["outcome"], row["closed"], row["replaced_by"])
    return replace(_dead_letter(row), closing=closing)
