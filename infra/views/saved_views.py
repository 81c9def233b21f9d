"""The saved views of a list: filters by name, kept in the data directory."""

from dataclasses import dataclass

from storage.sqlite.database import Database


@dataclass(frozen=True, slots=True)
class SavedView:
    """Filters of a list: ``query`` is the query string of its address."""

    name: str
    query: str
    who: str
    saved_at: float


def saved_views(database: Database, page: str) -> list[SavedView]:
    """Return the saved views of a list, by name."""
    if database.row("select 1 from sqlite_master where name = 'saved_views'") is None:
        return []  # written by an older version
    rows = database.rows(
        "select name, query, who, saved_at from saved_views where page = ? order by name", page
    )
    return [SavedView(*row) for row in rows]
