"""``orders report``: the daily report."""

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from analytics import usecases
from analytics.report_store import FolderReportStore
from analytics.warehouse import DuckDBWarehouse
from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, StackOptions, directory, expand_options
from infra.terminal.output import console, finish
from kernel import clock

if TYPE_CHECKING:
    from infra.deployed.stack import DeployedStack


@expand_options
def report(
    *,
    day: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="The default is today.")
    ] = None,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Render the report of a day as a page; on AWS, print a URL that is valid for 1 h.

    On AWS the stored report is used. It is rendered now if it is missing, or older than the end of
    its day.
    """
    try:
        chosen = date.fromisoformat(day or clock.timestamp(clock.now())[:10])
    except ValueError:
        raise CommandError(f"--date {day!r} is no day; send one such as 2026-01-31") from None
    deployed = stack.deployed_stack()
    if deployed is not None:
        _report_of_stack(deployed, chosen, as_json=as_json)
        return
    where = directory(data)
    where.require_database()
    ports = usecases.Ports(
        DuckDBWarehouse(where.bucket), FolderReportStore(where.bucket / "reports"), clock.now
    )
    location = usecases.daily_report(chosen, ports)
    console.print(f"report of {chosen}: {location}")
    finish({"date": chosen.isoformat(), "report": location}, as_json=as_json)


def _report_of_stack(stack: "DeployedStack", day: date, *, as_json: bool) -> None:
    from infra.deployed.report import EXPIRY, report_page

    page = report_page(stack, day)
    console.print(f"report of {day}: {page.location}")
    console.print(
        f"for {EXPIRY // 60} minutes, or until these credentials expire, anyone with this URL can"
        " read it:",
        page.url,
    )
    result = {"date": day.isoformat(), "report": page.location}
    finish({**result, "url": page.url, "expires_in": EXPIRY}, as_json=as_json)
