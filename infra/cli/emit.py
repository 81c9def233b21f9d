"""``orders emit`` and ``orders replay``: events from files onto the bus."""

import time
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from infra.cli.event_files import Line, read_events
from infra.cli.feed import batches, to_entry
from infra.cli.options import (
    DATA,
    Data,
    EndpointUrl,
    Json,
    Profile,
    Region,
    account,
    directory,
)
from infra.cli.outlet import Outlet, outlet, put_all
from infra.cli.output import CommandError, console, errors, finish
from infra.contracts.snippets import BUS
from infra.local.datadir import DataDirectory
from infra.local.platform import stack_of
from infra.local.stack import Stack
from infra.patterns import InvalidPattern, Pattern, compile_pattern
from shared.events import REQUESTS, parse

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="Events: .json or .ndjson.")]
SHOWN = 50
"""Events that a dry run lists; ``--json`` has them all."""


def emit(
    files: Files,
    facts: Annotated[
        bool,
        typer.Option("--facts", help="Also put events that the platform itself publishes."),
    ] = False,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Check events against their contracts and put them on the bus, here or on AWS.

    Requests alone: an Order Completed of somebody else would count as revenue. --facts puts those
    events too.
    """
    where = directory(data)
    reader = Reader(files, facts=facts)
    with outlet(where, account(endpoint_url, profile, region)) as out:
        accepted = sum(
            put_all(out, batch)
            for batch in batches(to_entry(event, BUS) for event in reader.events())
        )
        _told(accepted, reader.rejected, out)
    finish({"accepted": accepted, "rejected": reader.rejected}, as_json=as_json)
    _complain_of(reader)


def replay(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files or folders.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Events a second.")] = None,
    only: Annotated[
        str | None, typer.Option("--filter", help="An event pattern in JSON that events match.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many events.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Replay to what is not this machine.")] = False,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Send events again, safely: orders that are known are left as they are."""
    where = directory(data)
    if (endpoint_url or profile or region) and not _is_local(endpoint_url) and not (yes or dry_run):
        raise CommandError(
            "this replays to what is not this machine; look with --dry-run, then say --yes"
        )
    pattern = _pattern(only)
    reader = Reader(paths)
    events = islice((e for e in reader.events() if pattern is None or pattern.matches(e)), limit)
    if dry_run:
        result = _foresee(events, where)
        finish({**result, "rejected": reader.rejected, "dry_run": True}, as_json=as_json)
        _complain_of(reader)
        return
    with outlet(where, account(endpoint_url, profile, region)) as out:
        accepted = _put_at_rate(events, rate, out)
        _told(accepted, reader.rejected, out)
    finish({"accepted": accepted, "rejected": reader.rejected, "dry_run": False}, as_json=as_json)
    _complain_of(reader)


class Reader:
    """Events of files, those that break their contract counted and told of."""

    def __init__(self, paths: list[Path], *, facts: bool = True) -> None:
        self.paths = paths
        self.facts = facts
        self.rejected = 0

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Return the envelopes of all good lines."""
        lines: Iterator[Line] = chain.from_iterable(read_events(path) for path in self.paths)
        if any(path.is_dir() for path in self.paths):
            # a folder's files stand by name: an order's cancellation before the order itself
            lines = iter(sorted(lines, key=lambda line: (line.envelope or {}).get("time") or ""))
        for line in lines:
            problem = line.problem if line.envelope is None else self._problem(line.envelope)
            if line.envelope is not None and not problem:
                yield line.envelope
                continue
            self.rejected += 1
            text = f"rejected {line.path}:{line.number}: {problem}"
            errors.print(text, markup=False, style="yellow")

    def _problem(self, envelope: Mapping[str, Any]) -> str:
        """Return why a valid event is not taken, if it is not."""
        name = envelope["detail-type"]
        if self.facts or name in REQUESTS:
            return ""
        return (
            f"{name!r} is a fact that the platform itself publishes; send requests"
            f" ({', '.join(sorted(REQUESTS))}), or say --facts"
        )


def _complain_of(reader: Reader) -> None:
    if reader.rejected:
        raise CommandError(f"{reader.rejected} events were rejected; the others were taken")


def _told(accepted: int, rejected: int, out: Outlet) -> None:
    console.print(f"{accepted} events accepted by {out.where}, {rejected} rejected", markup=False)
    if not out.where.startswith("http") and out.where != "AWS":
        console.print(
            "They are journalled; `orders run --count 0` or `orders serve` works them off"
        )


def _put_at_rate(events: Iterator[Mapping[str, Any]], rate: float | None, out: Outlet) -> int:
    entries = (to_entry(event, BUS) for event in events)
    if rate is None:
        return sum(put_all(out, batch) for batch in batches(entries))
    started, accepted = time.monotonic(), 0
    for entry in entries:
        time.sleep(max(0.0, started + accepted / rate - time.monotonic()))
        accepted += put_all(out, [entry])
    return accepted


def _pattern(text: str | None) -> Pattern | None:
    try:
        return None if text is None else compile_pattern(text)
    except InvalidPattern as error:
        raise CommandError(f"--filter: {error}") from None


def _is_local(endpoint_url: str | None) -> bool:
    return endpoint_url is not None and endpoint_url.split("://")[-1].startswith(
        ("127.", "localhost", "[::1]")
    )


def _foresee(events: Iterator[Mapping[str, Any]], where: DataDirectory) -> dict[str, Any]:
    """Say for each event where it would go and what of its order is known; change nothing."""
    stack = stack_of(where)
    database = where.reader() if where.database.exists() else None
    table = Table("event", "order", "goes to", "what is known")
    foreseen = []
    for event in events:
        order_id = parse(event).detail.order_id
        row = database and database.row("select status from orders where order_id = ?", order_id)
        known = f"{row['status']} already: nothing happens twice" if row else "new"
        targets = _targets(stack, event)
        foreseen.append(
            {"type": event["detail-type"], "order_id": order_id, "targets": targets, "known": known}
        )
        if len(foreseen) <= SHOWN:
            table.add_row(event["detail-type"], order_id, ", ".join(targets), known)
    console.print(table)
    if len(foreseen) > SHOWN:
        console.print(f"… and {len(foreseen) - SHOWN} more")
    return {"would_send": len(foreseen), "events": foreseen}


def _targets(stack: Stack, event: Mapping[str, Any]) -> list[str]:
    return [
        target.name
        for rule in stack.rules
        if rule.pattern.matches({"detail-type": event["detail-type"], **event})
        for target in rule.targets
    ]
