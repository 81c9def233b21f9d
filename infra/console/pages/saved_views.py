"""Saved views: the filters of a list are kept by name, for all users of the directory.

A view is a link: its filters are in the address of the list, as always.
"""

from collections.abc import Mapping
from shlex import quote
from typing import Any
from urllib.parse import parse_qsl

from infra.console.page import BadFilter, Page, Redirect, Visit, link
from infra.errors import InvalidRequest
from infra.views.saved_views import LISTS, query_of, saved_views
from storage.sqlite.database import Database


def names_of(visit: Visit, database: Database, page: str) -> dict[str, Any]:
    """Return the names of the saved views of a list for its template."""
    path, _ = LISTS[page]
    here = query_of(page, visit.query)
    views = [(each, f"{link(path)}?{each.query}") for each in saved_views(database, page)]
    option = "" if page == "orders" else f" --page {page.replace('_', '-')}"
    filters = "".join(f" --filter {quote(f'{name}={value}')}" for name, value in parse_qsl(here))
    return {
        "views": views,
        "views_page": page,
        "views_here": here,
        "views_option": option,
        "views_command": f"orders views save NAME{option}{filters}",
    }


async def _save(visit: Visit, form: Mapping[str, str]) -> Redirect:
    """Keep the filters of a list by a name, and show the list with them."""
    page = _page(form)
    query = query_of(page, dict(parse_qsl(form.get("query", ""))))
    request = {"page": page, "name": form.get("name", ""), "query": query}
    return await _run(visit, "Orderflow.SaveView", request, f"The view {request['name']} is saved")


async def _delete(visit: Visit, form: Mapping[str, str]) -> Redirect:
    page = _page(form)
    query = query_of(page, dict(parse_qsl(form.get("query", ""))))
    request = {"page": page, "name": form.get("name", ""), "query": query}
    text = f"The view {request['name']} is deleted"
    return await _run(visit, "Orderflow.DeleteView", request, text)


async def _run(visit: Visit, operation: str, request: Mapping[str, str], done: str) -> Redirect:
    path, _ = LISTS[request["page"]]
    back = f"{link(path)}?{request['query']}" if request["query"] else link(path)
    try:
        await visit.source.operate(operation, {**request, "who": visit.visitor.name})
    except InvalidRequest as refusal:
        return Redirect(back, f"Refused: {refusal}", "bad")
    return Redirect(back, f"{done}.")


def _page(form: Mapping[str, str]) -> str:
    page = form.get("page", "")
    if page not in LISTS:
        raise BadFilter(f"page: {page[:40]!r} is none of {', '.join(LISTS)}")
    return page


PAGE = Page(
    name="saved_views",
    title="",
    posts={"/views/save": _save, "/views/delete": _delete},
)
