"""``orders query``: SQL on the analysts' files."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.chart_page import render_chart
from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.queries.pack import PARAMETERS, queries
from infra.queries.warehouse import Rows, json_value, run_query
from infra.terminal.output import Table, console, finish

if TYPE_CHECKING:
    from infra.deployed.stack import DeployedStack

SHOWN = 200
"""Rows of a table; ``--json`` has all."""


class Dialect(StrEnum):
    """The dialect of the user's SQL."""

    ATHENA = "athena"
    DUCKDB = "duckdb"


def _parameter(name: str) -> Any:
    meaning = PARAMETERS[name].meaning
    return typer.Option(f"--{name}", help=meaning, rich_help_panel="Parameters of named queries")


@expand_options
def query(
    name_or_sql: Annotated[
        str | None, typer.Argument(metavar="NAME|SQL", help="A named query, or one SELECT.")
    ] = None,
    *,
    day: Annotated[str | None, _parameter("day")] = None,
    since: Annotated[str | None, _parameter("since")] = None,
    until: Annotated[str | None, _parameter("until")] = None,
    currency: Annotated[str | None, _parameter("currency")] = None,
    sku: Annotated[str | None, _parameter("sku")] = None,
    customer: Annotated[str | None, _parameter("customer")] = None,
    order: Annotated[str | None, _parameter("order")] = None,
    country: Annotated[str | None, _parameter("country")] = None,
    limit: Annotated[str | None, _parameter("limit")] = None,
    dialect: Annotated[Dialect, typer.Option(help="The dialect of SQL.")] = Dialect.ATHENA,
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
    given = {
        "day": day,
        "since": since,
        "until": until,
        "currency": currency,
        "sku": sku,
        "customer": customer,
        "order": order,
        "country": country,
        "limit": limit,
    }
    values = {name: value for name, value in given.items() if value is not None}
    columns, rows = _answer(stack.deployed_stack(), data, name_or_sql, values, dialect)
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


def _answer(
    stack: "DeployedStack | None",
    data: Path,
    name_or_sql: str,
    values: Mapping[str, str],
    dialect: Dialect,
) -> tuple[list[str], Rows]:
    if stack is None:
        where = directory(data)
        where.require_database()
        return run_query(where.root, name_or_sql, values, dialect=dialect.value)
    if dialect is not Dialect.ATHENA:
        raise CommandError("--dialect duckdb is for this machine; a stack answers in Athena's SQL")
    from infra.deployed import warehouse

    return warehouse.run_query(stack, name_or_sql, warehouse.awswrangler(), values)
