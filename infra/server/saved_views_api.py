"""The operations on saved views: the filters of a list by name, for all users of this directory.

==============  ===================================================================================
``SaveView``    ``page``, ``name``, ``query``: keep the filters, or replace those of the name
``DeleteView``  ``page``, ``name``
==============  ===================================================================================
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.server.dead_letters_api import operator_in
from infra.views.saved_views import LISTS
from kernel.visible_text import is_visible

if TYPE_CHECKING:
    from concurrent.futures import Future

Answer = dict[str, Any]
Request = Mapping[str, Any]
Operation = Callable[[Request], "Future[Answer]"]

FIELD_TYPES: Mapping[str, type] = dict.fromkeys(("page", "name", "query"), str)

MAX_NAME, MAX_QUERY, MAX_VIEWS = 60, 6_000, 50
"""Maximum characters of a name and of filters, and views of a list."""

_SAVE = (
    "insert into saved_views (page, name, query, who, saved_at) values (?, ?, ?, ?, ?)"
    " on conflict (page, name) do update set query = excluded.query, who = excluded.who,"
    " saved_at = excluded.saved_at"
)


def saved_view_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operations on an engine's directory, by their names."""

    def save(request: Request) -> "Future[Answer]":
        page, name, who = _page(request), _name(request), operator_in(request)
        query = _text(request, "query", MAX_QUERY)

        def run(now: float) -> Answer:
            database = engine.journal.database
            row = database.row(
                "select count(*) from saved_views where page = ? and name <> ?", page, name
            )
            if row is not None and row[0] >= MAX_VIEWS:
                problem = f"name: the list has {MAX_VIEWS} views; delete one first"
                raise InvalidRequest("LimitExceededException", problem)
            with database.write(durable=True) as connection:
                connection.execute(_SAVE, (page, name, query, who, now))
            return {"page": page, "name": name}

        return engine.call(run)

    def delete(request: Request) -> "Future[Answer]":
        page, name = _page(request), _name(request)

        def run(_: float) -> Answer:
            database = engine.journal.database
            drop = "delete from saved_views where page = ? and name = ?"
            with database.write(durable=True) as connection:
                if not connection.execute(drop, (page, name)).rowcount:
                    problem = f"name: the list has no view {name!r}"
                    raise InvalidRequest("ResourceNotFoundException", problem)
            return {"page": page, "name": name}

        return engine.call(run)

    return {"Orderflow.SaveView": save, "Orderflow.DeleteView": delete}


def _page(request: Request) -> str:
    page = _text(request, "page", MAX_NAME)
    if page not in LISTS:
        problem = f"page: {page!r} is none of {', '.join(LISTS)}"
        raise InvalidRequest("ValidationException", problem)
    return page


def _name(request: Request) -> str:
    name = " ".join(_text(request, "name", MAX_NAME).split())
    if not is_visible(name):
        problem = "name: has no visible character; send a name that people can read"
        raise InvalidRequest("ValidationException", problem)
    return name


def _text(request: Request, field: str, most: int) -> str:
    text = (request.get(field) or "").strip()
    if not 0 < len(text) <= most:
        raise InvalidRequest("ValidationException", f"{field}: send 1 to {most:,} characters")
    return text
