"""``orders query``: SQL on the analysts' files."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.cli.query_answer import Asked, answers, print_attachments, write_parquet
from infra.cli.query_output import (
    MAX_JSON_ROWS,
    SHOWN,
    WRITERS,
    Format,
    destination,
    format_of,
    show,
)
from infra.cli.query_source import text_of
from infra.local.orderflow import SINK
from infra.queries.freshness import footer
from infra.queries.pack import PARAMETERS, QueryError, queries
from infra.queries.row_formats import first_rows
from infra.queries.warehouse import Rows, json_value
from infra.terminal.json_document import as_one_line
from infra.terminal.output import Styled, Table, console, errors, finish
from infra.views.query_chart import render_chart
from kernel import clock


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
        str | None,
        typer.Argument(
            metavar="NAME|SQL|FILE.sql|-", help="A named query, one SELECT, its file, or stdin."
        ),
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
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_ndjson: Annotated[bool, typer.Option("--ndjson", help="Print an object a line.")] = False,
    as_parquet: Annotated[bool, typer.Option("--parquet", help="Write Parquet to -o.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the answer, by its suffix."),
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Draw the answer as a page.")
    ] = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Print the lines that open the files in other tools.")
    ] = False,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Query the Parquet files in SQL, on AWS with Athena; without a query, list the named ones.

    A query on this machine has 1 GB of memory. A table shows 200 rows, --json takes 100,000; CSV,
    NDJSON and Parquet have all.
    """
    if attach:
        print_attachments(stack.deployed_stack(), data, as_json=as_json)
        return
    if name_or_sql is None:
        _list_queries(as_json=as_json)
        return
    flags = {
        Format.CSV: as_csv,
        Format.NDJSON: as_ndjson,
        Format.PARQUET: as_parquet,
        Format.JSON: as_json,
    }
    form = format_of([form for form, is_set in flags.items() if is_set], output)
    if chart is not None and form not in (Format.TABLE, Format.JSON):
        raise CommandError(
            f"--chart: goes with a table or --json, not with {form}; run the query once for each"
        )
    given = {"day": day, "since": since, "until": until, "currency": currency, "sku": sku}
    given |= {"customer": customer, "order": order, "country": country, "limit": limit}
    values = {name: value for name, value in given.items() if value is not None}
    asked = Asked(text_of(name_or_sql), values, dialect.value)
    if form is Format.PARQUET and output is not None:
        write_parquet(stack.deployed_stack(), data, asked, output)
        return
    try:
        with answers(stack.deployed_stack(), data, asked) as (columns, batches):
            _print(form, columns, batches, output, chart, name_or_sql, as_json=as_json)
    except QueryError as error:
        if error.excerpt:
            errors.print(*error.excerpt.split("\n"))
        raise
    if form is Format.TABLE and not stack.given:
        where = directory(data)
        console.print(Styled(footer(where.database, SINK, clock.now()), "dim"))


def _print(
    form: Format,
    columns: list[str],
    batches: Iterator[Rows],
    output: Path | None,
    chart: Path | None,
    title: str,
    *,
    as_json: bool,
) -> None:
    if form in WRITERS:
        with destination(output) as to:
            WRITERS[form](columns, batches, to)
        return
    most = MAX_JSON_ROWS if form is Format.JSON or chart is not None else SHOWN
    rows, more = first_rows(batches, most)
    if form is Format.JSON:
        cells = [[json_value(cell) for cell in row] for row in rows]
        answer = {"columns": columns, "rows": cells, "truncated": more}
        if output is None:
            finish(answer, as_json=True)
        else:
            with destination(output) as to:
                to.write(f"{as_one_line(answer)}\n")
            written = {"file": str(output), "rows": len(rows), "truncated": more}
            finish(written, as_json=as_json)
    elif form is Format.TABLE:
        show(columns, rows[:SHOWN])
        if more or len(rows) > SHOWN:
            console.print(f"the first {SHOWN} rows; --csv, --ndjson and -o FILE have all")
    if chart is not None:
        _draw(columns, rows, chart, title)
        if form is Format.TABLE:
            console.print(f"chart: {chart}")


def _draw(columns: list[str], rows: Rows, chart: Path, title: str) -> None:
    try:
        render_chart(columns, rows, chart, title)
    except OSError as error:
        raise CommandError(f"{chart} cannot be written: {error.strerror}") from None


def _list_queries(*, as_json: bool) -> None:
    if not as_json:
        table = Table("name", "answers", "parameters")
        for named in queries():
            parameters = " ".join(f"--{name}" for name in named.parameters)
            table.add_row(named.name, named.title, parameters)
        console.print(table)
    finish({"queries": [named.name for named in queries()]}, as_json=as_json)
