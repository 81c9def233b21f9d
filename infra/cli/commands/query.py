"""``orders query``: SQL on the analysts' files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.chart_page import render_chart
from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.queries.warehouse import Rows, json_value, queries, run_query
from infra.terminal.output import Table, console, finish

if TYPE_CHECKING:
    from infra.deployed.stack import DeployedStack

SHOWN = 200
"""Rows of a table; ``--json`` has all."""


@expand_options
def query(
    name_or_sql: Annotated[
        str | None, typer.Argument(metavar="NAME|SQL", help="A named query, or one SELECT.")
    ] = None,
    *,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Draw the answer as a page.")
    ] = None,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Query the Parquet files in SQL, on AWS with Athena; without a query, list the named ones."""
    if name_or_sql is None:
        _list_queries(as_json=as_json)
        return
    columns, rows = _answer(stack.deployed_stack(), data, name_or_sql)
    table = Table(*columns)
    for row in rows[:SHOWN]:
        table.add_row(*(json_value(cell) for cell in row))
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"the first {SHOWN} of {len(rows)} rows; --json has all")
    if chart is not None:
        try:
            render_chart(columns, rows, chart, name_or_sql)
        except OSError as error:
            raise CommandError(f"{chart} cannot be written: {error.strerror}") from None
        console.print(f"chart: {chart}")
    answer = {"columns": columns, "rows": [[json_value(cell) for cell in row] for row in rows]}
    finish(answer, as_json=as_json)


def _list_queries(*, as_json: bool) -> None:
    table = Table("name", "answers")
    for named in queries():
        table.add_row(named.name, named.title)
    console.print(table)
    finish({"queries": [named.name for named in queries()]}, as_json=as_json)


def _answer(stack: "DeployedStack | None", data: Path, name_or_sql: str) -> tuple[list[str], Rows]:
    if stack is None:
        where = directory(data)
        where.require_database()
        return run_query(where.root, name_or_sql)
    from infra.deployed import warehouse

    return warehouse.run_query(stack, name_or_sql, warehouse.awswrangler())
