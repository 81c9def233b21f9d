"""The closed dead letters of a data directory, the newest first, in pages with a cursor."""

from dataclasses import dataclass

from infra.views.dead_letter import DeadLetter
from infra.views.local_dead_letters import closed_dead_letters
from storage.sqlite.database import Database

PAGE = 50


@dataclass(frozen=True, slots=True)
class ClosedPage:
    """Closed dead letters; ``before`` is the cursor of the next page, or None at the end."""

    letters: tuple[DeadLetter, ...]
    before: int | None


def closed_page(database: Database, before: int | None = None, size: int = PAGE) -> ClosedPage:
    """Return the closed dead letters with the largest numbers, or those before a cursor."""
    if database.row("select 1 from sqlite_master where name = 'closed_letters'") is None:
        return ClosedPage((), None)  # written by an older version
    cursor = (1 << 63) - 1 if before is None else before
    rows = database.rows(
        "select id from closed_letters where id < ? order by id desc limit ?", cursor, size + 1
    )
    ids = [row["id"] for row in rows]
    shown = closed_dead_letters(database, ids[:size]) if ids else []
    newest = sorted(shown, key=lambda letter: -int(letter.id))
    return ClosedPage(tuple(newest), ids[size - 1] if len(ids) > size else None)
