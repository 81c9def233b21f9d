"""``orders emit`` and ``orders replay``: events from files onto the bus."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import typer

from infra.cli.batching import batches, tell_passed_over, to_entry
from infra.cli.errors import CommandError
from infra.cli.event_destination import EventDestination, JournalOutlet, outlet, put_all
from infra.cli.event_files import Line, check_readable, read_event, read_events
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
from infra.contracts.snippets import BUS
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.local.template.stack import Stack
from infra.patterns import InvalidPattern, Pattern, TooComplexEvent, compile_pattern
from infra.terminal.output import Table, console, errors, finish
from kernel.events import REQUESTS

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE…", help="Events: JSON, a line each or not.")
]
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
    there = account(endpoint_url, profile, region)
    accepted = _send(reader.events(), reader, outlet(where, there))
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
    chosen = (line for line in reader.events() if pattern is None or pattern.matches(_of(line)))
    events = islice(chosen, limit)
    if dry_run:
        result = _foresee(events, where)
        finish({**result, "rejected": reader.rejected, "dry_run": True}, as_json=as_json)
        _complain_of(reader)
        return
    there = account(endpoint_url, profile, region)
    accepted = _send(events, reader, outlet(where, there), rate)
    finish({"accepted": accepted, "rejected": reader.rejected, "dry_run": False}, as_json=as_json)
    _complain_of(reader)


class Reader:
    """Events of files, those that break their contract counted and told of."""

    def __init__(self, paths: list[Path], *, facts: bool = True) -> None:
        for path in paths:
            check_readable(path)  # before the first event of another file is sent
        self.paths = paths
        self.facts = facts
        self.rejected = 0

    def events(self) -> Iterator[Line]:
        """Return all good lines; those of folders by their time."""
        for path in self.paths:
            tell_passed_over(path)
        lines: Iterator[Line] = chain.from_iterable(read_events(path) for path in self.paths)
        if any(path.is_dir() for path in self.paths):
            # a folder's files stand by name: an order's cancellation before the order itself
            lines = _by_time(lines)
        for line in lines:
            problem = line.problem if line.envelope is None else self._problem(line.envelope)
            if line.envelope is not None and not problem:
                yield line
                continue
            self.rejected += 1
            text = f"rejected {line.path}:{line.number}: {problem}"
            errors.print(text, style="yellow")

    def _problem(self, envelope: Mapping[str, Any]) -> str:
        """Return why a valid event is not taken, if it is not."""
        name = envelope["detail-type"]
        if self.facts or name in REQUESTS:
            return ""
        return (
            f"{name!r} is a fact that the platform itself publishes; send requests"
            f" ({', '.join(sorted(REQUESTS))}), or say --facts"
        )


def _of(line: Line) -> Mapping[str, Any]:
    return line.envelope or {}


def _by_time(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield lines by the time of their events, what is malformed first; they wait on the disk."""
    with TemporaryFile() as waiting:
        places: list[tuple[str, int, str, int, int, int]] = []
        for line in lines:
            if line.envelope is None:
                yield line
                continue
            text = line.text.encode(errors="surrogateescape")
            time = str(line.envelope.get("time") or "")
            places.append((time, len(places), line.path, line.number, waiting.tell(), len(text)))
            waiting.write(text)
        for _, _, path, number, start, size in sorted(places):
            waiting.seek(start)
            yield read_event(path, number, waiting.read(size).decode())


def _complain_of(reader: Reader) -> None:
    if reader.rejected:
        raise CommandError(f"{reader.rejected} events were rejected; the others were taken")


def _send(
    events: Iterator[Line],
    reader: Reader,
    opening: AbstractContextManager[EventDestination],
    rate: float | None = None,
) -> int:
    """Put events on a bus; return how many. Without any, the outlet is not opened."""
    first = next(events, None)
    if first is None:
        console.print(f"0 events accepted, {reader.rejected} rejected")
        return 0
    with opening as out:
        accepted = _put_at_rate(chain([first], events), rate, out)
        counts = f"{accepted} events accepted by {out.where}, {reader.rejected} rejected"
        console.print(counts)
        if isinstance(out, JournalOutlet):
            console.print(
                "They are journalled. `orders serve` works them off; `orders run --count 0` does"
                " what is due now, and says what waits"
            )
    return accepted


def _put_at_rate(events: Iterator[Line], rate: float | None, out: EventDestination) -> int:
    entries = (to_entry(line, BUS) for line in events)
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


def _matches(pattern: Pattern, event: Mapping[str, Any]) -> bool:
    try:
        return pattern.matches(event)
    except TooComplexEvent as error:
        raise CommandError(str(error)) from None


def _is_local(endpoint_url: str | None) -> bool:
    return endpoint_url is not None and endpoint_url.split("://")[-1].startswith(
        ("127.", "localhost", "[::1]")
    )


def _foresee(events: Iterator[Line], where: DataDirectory) -> dict[str, Any]:
    """Say for each event where it would go and what of its order is known; change nothing."""
    stack = stack_of(where)
    database = where.reader() if where.database.exists() else None
    table = Table("event", "order", "goes to", "what is known")
    foreseen = []
    for line in events:
        event = _of(line)
        order_id = line.event.detail.order_id if line.event else ""
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
        if _matches(rule.pattern, {"detail-type": event["detail-type"], **event})
        for target in rule.targets
    ]
