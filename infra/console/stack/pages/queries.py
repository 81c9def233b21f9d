"""Queries of a stack's files by Athena: a person starts one, and its page follows it by its id.

A query costs money when it is started, so no page starts one by itself.
"""

from collections.abc import Mapping
from dataclasses import replace
from shlex import quote as shell_quoted
from typing import Any

from infra.console.csv_file import csv_file
from infra.console.page import BadFilter, Download, Redirect, View, Visit, link
from infra.console.pages import queries as shared
from infra.console.pages.queries import MAX_SQL, SHOWN, query_of
from infra.console.stack.source import StackSource
from infra.deployed.athena import LEAST, PRICE
from infra.queries.pack import PARAMETERS, QueryError, queries
from infra.queries.warehouse import sql_of
from infra.views.query_chart import numeric_columns

MAX_SHOWN_SQL = 300
"""Characters of a query in a message; a longer one is read from a file."""


def _listed(_: Visit, __: StackSource) -> View:
    """Show the named queries and the editor."""
    return View("stack/queries.html", "Queries", {"queries": queries(), **_editor("")})


def _own(visit: Visit, _: StackSource) -> View:
    """Show the editor with a query, which is not started."""
    text = visit.filter("q")[:MAX_SQL]
    return View("stack/query.html", "SQL", {"named": None, **_editor(text)})


def _named(visit: Visit, _: StackSource) -> View:
    """Show a named query with its parameters."""
    query = query_of(visit.path["name"])
    fields = [(key, PARAMETERS[key]) for key in query.parameters]
    values = {key: visit.filter(key) for key in query.parameters if visit.filter(key)}
    command = shared.command_of(query, values)
    names = {**_editor(""), "named": query, "command": command, "fields": fields, "values": values}
    return View("stack/query.html", query.title, names)


def _editor(text: str, problem: str = "") -> dict[str, Any]:
    least = f"{LEAST * PRICE:.5f}".rstrip("0")
    more = {"command": shared.command_of_sql(text), "fields": [], "values": {}}
    return {"text": text, "problem": problem, "least": least, **more}


async def _start(visit: Visit, form: Mapping[str, str]) -> View | Redirect:
    """Start a query, and go to its page."""
    name, text = form.get("name", ""), form.get("q", "").strip()
    try:
        sql = _sql(name, text, form)
        answer = await visit.source.operate("Console.StartQuery", {"sql": sql})
    except QueryError as error:
        title, names = ("SQL", {"named": None}) if not name else (name, {"named": query_of(name)})
        shown = {**_editor(text, str(error)), **names}
        return View("stack/query.html", title, shown, 400)
    return Redirect(link(f"/queries/runs/{answer['id']}"))


def _sql(name: str, text: str, form: Mapping[str, str]) -> str:
    if name:
        query = query_of(name)
        return query.bound({key: form[key] for key in query.parameters if form.get(key)})
    if len(text) > MAX_SQL:
        raise BadFilter(f"q: has more than {MAX_SQL:,} characters; run it with: orders query FILE")
    return sql_of(text)


def _run(visit: Visit, source: StackSource) -> View:
    """Show a query by its id: its state, its rows and its cost."""
    found = source.athena.state(visit.path["id"])
    names: dict[str, Any] = {"run": found, "shown": SHOWN, **_editor(found.sql)}
    names["most"] = source.limits.rows
    names |= {"columns": [], "rows": [], "numeric": [], "charts": [], "more": False}
    if found.state == "SUCCEEDED":
        columns, rows, more = source.athena.rows(found.id, SHOWN)
        names |= {
            "columns": columns,
            "rows": [[shared.cell_of(cell) for cell in row] for row in rows],
            "numeric": numeric_columns(columns, rows),
            "charts": shared.charts_of(columns, rows),
            "more": more,
        }
    return View("stack/run.html", "Query", names)


def _file(visit: Visit, source: StackSource) -> Download:
    """Return the rows of a query as CSV."""
    found = source.athena.state(visit.path["id"])
    if found.state != "SUCCEEDED":
        raise BadFilter(f"query {found.id} is {found.state}, so it has no rows to save")
    columns, rows, _ = source.athena.rows(found.id, source.limits.rows)
    file = Download("query.csv", "text/csv; charset=utf-8", csv_file(columns, rows))
    text = shell_quoted(found.sql) if len(found.sql) <= MAX_SHOWN_SQL else "FILE.sql"
    return source.limits.saved(file, f"orders query --csv{source.options} {text}")


async def _cancel(visit: Visit, _: Mapping[str, str]) -> Redirect:
    """Stop a query."""
    number = visit.path["id"]
    await visit.source.operate("Console.StopQuery", {"id": number})
    return Redirect(link(f"/queries/runs/{number}"), "The query is stopped.")


PAGE = replace(
    shared.PAGE,
    gets={
        "/queries": _listed,
        "/queries/sql": _own,
        "/queries/runs/{id}": _run,
        "/queries/runs/{id}/rows.csv": _file,
        "/queries/{name}": _named,
    },
    posts={"/queries/start": _start, "/queries/runs/{id}/cancel": _cancel},
)
