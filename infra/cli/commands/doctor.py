"""``orders doctor``: check the installation, and print remedies."""

from typing import Annotated

import typer

from infra.audit.health import check_health
from infra.cli.errors import CommandError
from infra.cli.options import DATA, Data, Json, directory
from infra.terminal.output import Styled, Table, console, finish


def doctor(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to serve on.")] = 8080,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Check the installation, and print a remedy for each problem."""
    checks = check_health(directory(data), port)
    table = Table("", "check", "result", "remedy")
    for check in checks:
        mark = Styled("ok", "green") if check.ok else Styled("!!", "red")
        table.add_row(mark, check.name, check.result, check.remedy)
    console.print(table)
    failed = [check for check in checks if not check.ok]
    finish({"ok": not failed, "checks": [check.to_json() for check in checks]}, as_json=as_json)
    if failed:
        raise CommandError(f"{len(failed)} of {len(checks)} checks failed; see the table")
