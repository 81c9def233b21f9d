"""The saved views of a list: filters by name, kept in the data directory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from infra.patterns import InvalidPattern, compile_pattern
from infra.views.letter_groups import BY
from infra.views.order_list import PRESETS
from kernel.order_status import Status
from storage.sqlite.database import Database

LISTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "orders": ("/orders", ("preset", "status", "reason", "customer", "from", "to")),
    "bus": ("/bus", ("type", "source", "order", "pattern")),
    "dead_letters": ("/dead-letters", ("by", "queue", "order", "q")),
}
"""By the name of a page: the path of its list, and the filters that are saved."""


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


def query_of(page: str, given: Mapping[str, str]) -> str:
    """Return the filters of a list as a query string, in one order, without cursors."""
    _, filters = LISTS[page]
    kept = sorted((name, value) for name, value in given.items() if name in filters and value)
    return urlencode(kept)


def problem_of(page: str, name: str, value: str) -> str | None:
    """Return the problem of a filter, or None; its list would refuse it too."""
    _, filters = LISTS[page]
    if name not in filters:
        return f"{name[:40]!r} is no filter of this list; choose {', '.join(filters)}"
    if not value:
        return f"{name}: is empty; write {name}=VALUE"
    check = _CHECKS.get((page, name))
    return None if check is None else check(name, value)


def _is_one_of(choices: Sequence[str]) -> Callable[[str, str], str | None]:
    def check(name: str, value: str) -> str | None:
        if value in choices:
            return None
        return f"{name}: {value[:40]!r} is none of {', '.join(choices)}"

    return check


def _is_day(name: str, value: str) -> str | None:
    try:
        date.fromisoformat(value)
    except ValueError:
        return f"{name}: {value[:40]!r} is no date; write 2026-01-31"
    return None


def _is_pattern(name: str, value: str) -> str | None:
    try:
        compile_pattern(value)
    except InvalidPattern as error:
        return f"{name}: {error}"
    return None


_CHECKS: Mapping[tuple[str, str], Callable[[str, str], str | None]] = {
    ("orders", "preset"): _is_one_of(tuple(PRESETS)),
    ("orders", "status"): _is_one_of([str(status) for status in Status]),
    ("orders", "from"): _is_day,
    ("orders", "to"): _is_day,
    ("bus", "pattern"): _is_pattern,
    ("dead_letters", "by"): _is_one_of(BY),
}
