"""``orders replay``: send events from files or folders again."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.event_destination import open_destination
from infra.cli.event_files import Line
from infra.cli.event_reader import EventReader
from infra.cli.options import DATA, AccountOptions, Data, Json, directory, expand_options
from infra.cli.sending import send
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.local.template.stack import Stack
from infra.patterns import InvalidPattern, Pattern, TooComplexEvent, compile_pattern
from infra.terminal.output import Table, console, finish

SHOWN = 50
"""Events that a dry run lists; ``--json`` has all."""


@expand_options
def replay(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files or folders.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the effect.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Events a second.")] = None,
    event_filter: Annotated[
        str | None, typer.Option("--filter", help="An event pattern in JSON that events match.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of events.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Allow a bus outside this machine.")] = False,
    account: AccountOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send events again, safely: known orders are left unchanged."""
    where = directory(data)
    if account.given and not _is_local(account.endpoint_url) and not (yes or dry_run):
        raise CommandError(
            "this replays to a bus outside this machine; use --dry-run, then say --yes"
        )
    pattern = _pattern(event_filter)
    reader = EventReader(paths)
    chosen = (
        line for line in reader.events() if pattern is None or pattern.matches(_event_of(line))
    )
    events = islice(chosen, limit)
    if dry_run:
        result = _forecast(events, where)
    else:
        destination = open_destination(where, account.account())
        result = {"accepted": send(events, reader, destination, rate)}
    answer = {**result, "rejected": reader.rejected, "dry_run": dry_run}
    if reader.rejections:
        answer["rejections"] = reader.rejections
    finish(answer, as_json=as_json)
    reader.require_none_rejected(None if dry_run else answer["accepted"])


def _event_of(line: Line) -> Mapping[str, Any]:
    return line.envelope or {}


def _pattern(text: str | None) -> Pattern | None:
    try:
        return None if text is None else compile_pattern(text)
    except InvalidPattern as error:
        raise CommandError(f"--filter: {error}") from None


def _is_local(endpoint_url: str | None) -> bool:
    return endpoint_url is not None and endpoint_url.split("://")[-1].startswith(
        ("127.", "localhost", "[::1]")
    )


def _forecast(events: Iterator[Line], where: DataDirectory) -> dict[str, Any]:
    """Return each event's targets and the status of its order, without changing anything."""
    stack = stack_of(where)
    database = where.reader() if where.database.exists() else None
    table = Table("event", "order", "goes to", "order status")
    forecast = []
    for line in events:
        event = _event_of(line)
        order_id = line.event.detail.order_id if line.event else ""
        row = database and database.row("select status from orders where order_id = ?", order_id)
        known = f"{row['status']} already: nothing happens twice" if row else "new"
        targets = _targets(stack, event)
        forecast.append(
            {"type": event["detail-type"], "order_id": order_id, "targets": targets, "known": known}
        )
        if len(forecast) <= SHOWN:
            table.add_row(event["detail-type"], order_id, ", ".join(targets), known)
    console.print(table)
    if len(forecast) > SHOWN:
        console.print(f"… and {len(forecast) - SHOWN} more")
    return {"would_send": len(forecast), "events": forecast}


def _targets(stack: Stack, event: Mapping[str, Any]) -> list[str]:
    return [
        target.name
        for rule in stack.rules
        if _matches(rule.pattern, {"detail-type": event["detail-type"], **event})
        for target in rule.targets
    ]


def _matches(pattern: Pattern, event: Mapping[str, Any]) -> bool:
    try:
        return pattern.matches(event)
    except TooComplexEvent as error:
        raise CommandError(str(error)) from None
