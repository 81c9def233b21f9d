"""``orders tail``: follow the events of the bus."""

import time
from contextlib import closing, suppress
from typing import Annotated, Any

import typer

from infra.cli.moments import moment_of
from infra.cli.options import DATA, Data, Json, directory
from infra.cli.replaying.selection import Selection, find_rules, parse_filter
from infra.local.platform import stack_of
from infra.local.template.stack import Stack
from infra.terminal import json_document
from infra.terminal.output import Styled, console
from infra.views.bus_events import BusEvent, events_after
from infra.views.rule_verdicts import matching_rules
from kernel.clock import timestamp
from storage.sqlite.database import Database

POLL = 0.2
"""Seconds between two looks at the journal."""


def tail(
    *,
    rules: Annotated[
        list[str] | None, typer.Option("--rule", help="Only events that this rule matches.")
    ] = None,
    event_filter: Annotated[
        list[str] | None,
        typer.Option("--filter", help="A pattern in JSON, or FIELD=VALUE, that events match."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Begin with the events since a time, or an age such as 2h.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="End after the present events; needs --since.")
    ] = False,
    data: Data = DATA,
    as_json: Json = False,  # noqa: ARG001 - its callback opens the document
) -> None:
    """Follow the events on the bus as they arrive, each with its order and the rules it matches.

    It reads the journal, so it slows nothing, and also sees the events of other commands. Ctrl-C
    ends it. --json prints one document a line.
    """
    if no_follow and since is None:
        raise typer.BadParameter("--no-follow needs --since")
    where = directory(data)
    stack = stack_of(where)
    selection = Selection(
        [parse_filter(text) for text in event_filter or []], find_rules(stack, rules or [])
    )
    reader = where.reader()
    begins = moment_of("--since", since)
    with closing(reader), suppress(KeyboardInterrupt):
        _follow(reader, stack, selection, begins, limit, follows=not no_follow)


def _follow(
    reader: Database,
    stack: Stack,
    selection: Selection,
    begins: float | None,
    limit: int | None,
    *,
    follows: bool,
) -> None:
    seq, shown = _first(reader, begins), 0
    while True:
        events = events_after(reader, seq)
        for event in events:
            seq = event.seq
            content = event.content
            if selection.takes(content):
                _show(event, content, matching_rules(stack.rules, content))
                shown += 1
            if shown == limit:
                return
        if not events:
            if not follows:
                return
            time.sleep(POLL)


def _first(reader: Database, since: float | None) -> int:
    """Return the number of the event before the first one that is shown."""
    if since is None:
        row = reader.row("select coalesce(max(seq), 0) from events")
    else:
        row = reader.row("select min(seq) - 1 from events where arrived_at >= ?", since)
        if row is not None and row[0] is None:
            return _first(reader, None)
    return int(row[0]) if row else 0


def _show(event: BusEvent, content: dict[str, Any], rules: tuple[str, ...]) -> None:
    at = timestamp(event.arrived_at)
    document = json_document.current()
    if document is not None:
        document.write_line({"arrived_at": at, "rules": list(rules), "event": content})
        return
    line = f"{at[11:23]} {event.type}"
    matched = ", ".join(rule.removesuffix("Rule") for rule in rules) or "no rule"
    console.print(Styled(f"{line}  {event.order_id or ''}  → {matched}", _style(event.type)))


def _style(kind: str) -> str:
    if kind in ("Order Failed", "Order Rejected", "Order Cancellation Refused"):
        return "red"
    return "green" if kind == "Order Completed" else ""
