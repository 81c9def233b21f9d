"""Queries: the named ones and the visitor's own SQL, with charts and downloads."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

from markupsafe import Markup

from infra.console.page import BadFilter, Download, Page, Redirect, View, Visit, link
from infra.console.query_jobs import CANCELLED, MAX_ROWS, MAX_SECONDS, Asked, QueryJob, QueryJobs
from infra.errors import NotFound
from infra.local.orderflow import SINK
from infra.queries.freshness import footer
from infra.queries.pack import PARAMETERS, Query, QueryError, queries
from infra.queries.warehouse import json_value
from infra.views.query_chart import figures, numeric_columns
from storage.sqlite.database import Database

SHOWN = 200
"""Rows of a table; a download has all."""

MAX_SQL = 20_000
"""Characters of a query, which is in the address of its page."""

MAX_VALUE = 200

MAX_CELL = 300

PATIENCE = 1.5
"""Seconds that a page waits for its answer before it shows that the query runs."""

DOWNLOAD_PATIENCE = MAX_SECONDS + 5

DIALECTS = ("athena", "duckdb")

MAX_SHOWN_SQL = 400
"""Characters of a SELECT that a shown command has; a longer one is in a file."""
FORMS = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

JOBS = QueryJobs()
"""The queries of this process."""


def listed(_visit: Visit, _: Database) -> View:
    """Show the named queries and the editor."""
    names = {"queries": queries(), "text": "", "dialect": DIALECTS[0], "dialects": DIALECTS}
    return View("queries/list.html", "Queries", names)


async def named(visit: Visit) -> View | Download | Redirect:
    """Run a named query with the values of its parameters."""
    query = query_of(visit.path["name"])
    values = {key: visit.filter(key) for key in query.parameters if visit.filter(key)}
    names = {"named": query, "values": values, "text": query.sql, "dialect": DIALECTS[0]}
    try:
        query.bound(values)
    except QueryError as error:
        return _refused(query.title, str(error), names)
    return await _answered(visit, Asked(query.name, tuple(values.items())), query.title, names)


def query_of(name: str) -> Query:
    """Return a named query, or raise `NotFound`."""
    found = _pack().get(name.replace("-", "_"))
    if found is None:
        raise NotFound(f"no query is named {name[:80]!r}; see the list of queries")
    return found


async def own(visit: Visit) -> View | Download | Redirect:
    """Run the visitor's own SELECT."""
    text, dialect = visit.filter("q"), visit.filter("dialect") or DIALECTS[0]
    names: dict[str, Any] = {"named": None, "values": {}, "text": text, "dialect": dialect}
    if dialect not in DIALECTS:
        raise BadFilter(f"dialect: {dialect[:40]!r} is none; choose {' or '.join(DIALECTS)}")
    if not text:
        return Redirect(link("/queries"))
    if len(text) > MAX_SQL:
        raise BadFilter(f"q: has more than {MAX_SQL:,} characters; run it with: orders query FILE")
    if " " not in text and "\n" not in text:
        return _refused("SQL", "one word is no SELECT; begin with select … from orders", names)
    return await _answered(visit, Asked(text, (), dialect), "SQL", names)


async def cancel(_visit: Visit, form: Mapping[str, str]) -> Redirect:
    """End a running query."""
    query = _pack().get(form.get("name", ""))
    if query is not None:
        values = tuple((key, form[key]) for key in query.parameters if form.get(key))
        asked, back = Asked(query.name, values), link("/queries")
    else:
        asked = Asked(form.get("q", ""), (), form.get("dialect", ""))
        back = link("/queries")
    job = JOBS.running(asked)
    if job is None:
        return Redirect(back, "The query has ended already.")
    job.stop(CANCELLED)
    return Redirect(back, f"The query was cancelled after {job.seconds:.1f} s.")


def _pack() -> dict[str, Query]:
    return {query.name: query for query in queries()}


async def _answered(
    visit: Visit, asked: Asked, title: str, names: Mapping[str, Any]
) -> View | Download:
    """Return the answer of a query, or the page of a running one."""
    form = visit.filter("format")
    if form and form not in FORMS:
        raise BadFilter(f"format: {form[:40]!r} is none; choose {' or '.join(FORMS)}")
    visit.source.directory.require_database()
    bucket = visit.source.directory.bucket
    job = JOBS.of(asked if not form else Asked(*_three(asked), form), bucket)
    await asyncio.to_thread(job.wait, DOWNLOAD_PATIENCE if form else PATIENCE)
    if form and not job.problem and not job.is_running:
        name = names["named"].name if names["named"] else "query"
        return Download(f"{name}.{form}", FORMS[form], job.body)
    if job.problem:
        return _refused(title, job.problem, names, job.excerpt)
    fresh = await asyncio.to_thread(_freshness, visit)
    shown = {**names, **_result(job), "job": job, "freshness": fresh}
    return View("queries/result.html", title, _complete(shown))


def _three(asked: Asked) -> tuple[str, tuple[tuple[str, str], ...], str]:
    return asked.text, asked.values, asked.dialect


def _freshness(visit: Visit) -> str:
    return footer(visit.source.directory.database, SINK, visit.now)


def _refused(title: str, problem: str, names: Mapping[str, Any], excerpt: str = "") -> View:
    shown = {**names, "problem": problem, "excerpt": excerpt, "job": None, "freshness": ""}
    return View("queries/result.html", title, _complete(shown), 400)


def _complete(names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of the result's template, with defaults."""
    named_query: Query | None = names["named"]
    fields = [(key, PARAMETERS[key]) for key in named_query.parameters] if named_query else []
    if named_query:
        command = command_of(named_query, names["values"])
    else:
        command = command_of_sql(names["text"], names["dialect"])
    defaults = {"columns": [], "rows": [], "numeric": [], "charts": [], "count": 0, "more": False}
    given = {"problem": "", "excerpt": "", "fields": fields, "dialects": DIALECTS}
    given["command"] = f"{command} --csv"
    return {**defaults, **given, **names, "shown": SHOWN, "most": MAX_ROWS, "limit": MAX_SECONDS}


def command_of(query: Query, values: Mapping[str, str]) -> str:
    """Return the command that runs a named query."""
    options = [f"--{name} {quote(value)}" for name, value in values.items()]
    return " ".join(["orders query", query.name, *options])


def command_of_sql(text: str, dialect: str = DIALECTS[0]) -> str:
    """Return the command that runs a SELECT; a long one is in a file."""
    words = ["orders query", quote(text) if 0 < len(text) <= MAX_SHOWN_SQL else "FILE.sql"]
    return " ".join([*words, *(["--dialect", dialect] if dialect != DIALECTS[0] else [])])


def _result(job: QueryJob) -> dict[str, Any]:
    """Return the names of an answer; a running query has none."""
    if job.is_running:
        return {}
    columns, rows = job.columns, job.rows
    return {
        "columns": columns,
        "rows": [[cell_of(cell) for cell in row] for row in rows[:SHOWN]],
        "numeric": numeric_columns(columns, rows),
        "charts": charts_of(columns, rows),
        "count": len(rows),
        "more": job.more,
    }


def charts_of(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[tuple[str, Markup]]:
    """Return the charts of an answer; the module of charts escapes every text in them."""
    if len(rows) < 2:  # noqa: PLR2004 - one row is no chart
        return []
    drawn = figures(columns, rows)
    return [(name, Markup(svg)) for name, svg in drawn]  # noqa: S704


def cell_of(value: Any) -> str | None:
    """Return a value of an answer as text; None for NULL."""
    if value is None:
        return None
    shown = json_value(value)
    text = _text(shown)
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 1]}…"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


PAGE = Page(
    name="queries",
    title="Queries",
    key="q",
    icon="queries",
    gets={"/queries": listed},
    waits={"/queries/sql": own, "/queries/{name}": named},
    posts={"/queries/cancel": cancel},
)
