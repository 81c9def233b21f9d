"""``orders query`` and ``orders report``: what the analysts see."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from analytics import usecases
from analytics.report_store import FolderReportStore
from analytics.warehouse import DuckDBWarehouse
from infra.cli.chart_page import render_chart
from infra.cli.errors import CommandError
from infra.cli.options import (
    DATA,
    Data,
    EndpointUrl,
    Json,
    Profile,
    Region,
    StackName,
    deployed,
    directory,
)
from infra.queries.warehouse import Rows, plain, queries, run_query
from infra.terminal.output import Table, console, finish
from kernel import clock

if TYPE_CHECKING:
    from infra.deployed.stack import DeployedStack

SHOWN = 200


def query(
    name_or_sql: Annotated[
        str | None, typer.Argument(metavar="NAME|SQL", help="A named query, or one SELECT.")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Draw the answer as a page.")
    ] = None,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Ask the Parquet files in SQL, on AWS through Athena; without a query, list the named ones."""
    if name_or_sql is None:
        listing = Table("name", "answers")
        for one in queries():
            listing.add_row(one.name, one.title)
        console.print(listing)
        finish({"queries": [one.name for one in queries()]}, as_json=as_json)
        return
    there = deployed(endpoint_url, profile, region, stack)
    columns, rows = _answer(there, data, name_or_sql)
    table = Table(*columns)
    for row in rows[:SHOWN]:
        table.add_row(*(plain(cell) for cell in row))
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"the first {SHOWN} of {len(rows)} rows; --json has all")
    if chart is not None:
        try:
            render_chart(columns, rows, chart, name_or_sql)
        except OSError as error:
            raise CommandError(f"{chart} cannot be written: {error.strerror}") from None
        console.print(f"chart: {chart}")
    answer = {"columns": columns, "rows": [[plain(cell) for cell in row] for row in rows]}
    finish(answer, as_json=as_json)


def report(
    day: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Today, if not given.")
    ] = None,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Render the report of a day as a page; on AWS, print an address for it that is good for 1 h.

    There the report of every morning is taken, or rendered now where there is none of a whole day.
    """
    try:
        chosen = date.fromisoformat(day or clock.timestamp(clock.now())[:10])
    except ValueError:
        raise CommandError(f"--date {day!r} is no day; send one such as 2026-01-31") from None
    there = deployed(endpoint_url, profile, region, stack)
    if there is not None:
        _report_there(there, chosen, as_json=as_json)
        return
    where = directory(data)
    where.require_database()
    ports = usecases.Ports(
        DuckDBWarehouse(where.bucket), FolderReportStore(where.bucket / "reports"), clock.now
    )
    location = usecases.daily_report(chosen, ports)
    console.print(f"report of {chosen}: {location}")
    finish({"date": chosen.isoformat(), "report": location}, as_json=as_json)


def _answer(there: "DeployedStack | None", data: Path, name_or_sql: str) -> tuple[list[str], Rows]:
    if there is None:
        where = directory(data)
        where.require_database()
        return run_query(where.root, name_or_sql)
    from infra.deployed import warehouse

    return warehouse.run_query(there, name_or_sql, warehouse.awswrangler())


def _report_there(there: "DeployedStack", day: date, *, as_json: bool) -> None:
    from infra.deployed.report import EXPIRY, report

    page = report(there, day)
    console.print(f"report of {day}: {page.location}")
    console.print(
        f"for {EXPIRY // 60} minutes, or as long as these credentials are good, anybody who has"
        " this address can read it:",
        page.url,
    )
    told = {"date": day.isoformat(), "report": page.location}
    finish({**told, "url": page.url, "expires_in": EXPIRY}, as_json=as_json)
