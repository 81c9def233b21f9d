"""``orders views``: the saved filters of the console's lists."""

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl

import typer

from infra.cli.errors import CommandError
from infra.cli.local_operations import operate_by
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.local.directory.data_directory import DataDirectory
from infra.server.saved_views_api import saved_view_operations
from infra.terminal.output import Table, console, finish
from infra.views.saved_views import LISTS, SavedView, problem_of, query_of, saved_views
from kernel.clock import timestamp

app = typer.Typer(
    help="Saved views: filters of the console's lists, by name; list, save, delete.",
    no_args_is_help=True,
)

CONSOLE = "/console"
"""The path of the console."""


class Page(StrEnum):
    """The lists whose filters are saved."""

    ORDERS = "orders"
    BUS = "bus"
    DEAD_LETTERS = "dead-letters"

    @property
    def key(self) -> str:
        """The name of the list in the data directory."""
        return self.value.replace("-", "_")


Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, for all users.")]
OfPage = Annotated[Page, typer.Option("--page", help="The list that it filters.")]


@app.command("list")
@expand_options
def list_views(
    *,
    page: Annotated[Page | None, typer.Option("--page", help="Only those of this list.")] = None,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """List the saved views with their filters, and their addresses in the console."""
    where = _machine(stack, data)
    with closing(where.reader()) as reader:
        found = [
            (each, view)
            for each in ([page] if page else Page)
            for view in saved_views(reader, each.key)
        ]
    table = Table("list", "name", "filters", "saved by", "address")
    views = [_as_json(where, each, view) for each, view in found]
    for view in views:
        filters = " ".join(f"{name}={value}" for name, value in view["filters"].items())
        table.add_row(view["page"], view["name"], filters, view["who"], view["address"])
    console.print(table if views else "no saved views")
    finish({"views": views}, as_json=as_json)


def _as_json(where: DataDirectory, page: Page, view: SavedView) -> dict[str, Any]:
    path, _ = LISTS[page.key]
    return {
        "page": page.value,
        "name": view.name,
        "filters": dict(parse_qsl(view.query)),
        "who": view.who,
        "saved_at": timestamp(view.saved_at),
        "address": f"{where.served_at() or ''}{CONSOLE}{path}?{view.query}",
    }


@app.command("save")
@expand_options
def save(
    name: Name,
    *,
    filters: Annotated[
        list[str],
        typer.Option(
            "--filter", metavar="FIELD=VALUE", help="A filter of the list; it may be repeated."
        ),
    ],
    page: OfPage = Page.ORDERS,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Save filters of a list by a name, or replace those of the name.

    The filters are those of the list's address: of orders preset, status, reason, customer, from
    and to; of the bus type, source, order and pattern; of dead letters by, queue, order and q
    (words of the reason).
    """
    where = _machine(stack, data)
    query = query_of(page.key, _filters(page, filters))
    request = {"page": page.key, "name": name, "query": query}
    answer, _ = operate_by(saved_view_operations, where, "SaveView", request)
    with closing(where.reader()) as reader:
        [view] = [each for each in saved_views(reader, page.key) if each.name == answer["name"]]
    document = _as_json(where, page, view)
    console.print(f"the view {view.name} is saved: {document['address']}")
    finish(document, as_json=as_json)


def _filters(page: Page, texts: list[str]) -> dict[str, str]:
    """Return filters by their names, or raise `BadParameter`."""
    found: dict[str, str] = {}
    for text in texts:
        field, mark, value = text.partition("=")
        problem = None if mark else f"{text[:40]!r} is no filter; write FIELD=VALUE"
        problem = problem or problem_of(page.key, field, value)
        if field in found:
            problem = f"{field}: is given twice; a list has one filter of a name"
        if problem:
            raise typer.BadParameter(f"--filter: {problem}")
        found[field] = value
    return found


@app.command("delete")
@expand_options
def delete(
    name: Name,
    *,
    page: OfPage = Page.ORDERS,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Delete a saved view of a list."""
    where = _machine(stack, data)
    request = {"page": page.key, "name": name}
    answer, _ = operate_by(saved_view_operations, where, "DeleteView", request)
    console.print(f"the view {answer['name']} is deleted")
    finish({"page": page.value, "name": answer["name"], "deleted": True}, as_json=as_json)


def _machine(stack: StackOptions, data: Path) -> DataDirectory:
    """Return the data directory; a stack keeps no views."""
    if stack.given:
        raise CommandError(
            "--stack: a stack keeps no saved views; keep the address of a list as a bookmark"
        )
    return directory(data)
