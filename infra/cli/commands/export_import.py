"""``orders export`` and ``orders import``: moving from one machine to AWS, and back."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.errors import CommandError
from infra.cli.options import (
    DATA,
    Data,
    EndpointUrl,
    Json,
    Profile,
    Region,
    StackName,
    account,
    deployed,
    directory,
)
from infra.deployed.account import Account
from infra.local.clock import Clock
from infra.local.directory.clock_rebase import rebase, rebase_to_real_time
from infra.local.platform import stack_of
from infra.moving import export_file as bundle
from infra.moving import s3
from infra.moving.dynamodb import DynamoPlace
from infra.moving.lines import Row, Totals, identity, same
from infra.moving.place import Place
from infra.moving.queues import StackQueues
from infra.moving.sqlite import SQLitePlace
from infra.terminal.output import Table as Shown
from infra.terminal.output import console, finish
from storage.dynamodb.table import Table

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help=".ndjson, or gzipped .ndjson.gz; a path, or s3://BUCKET/KEY."
    ),
]
TableName = Annotated[
    str | None,
    typer.Option("--table", help="A DynamoDB table, instead of --data; --stack takes the stack's."),
]


def export_(
    file: File,
    table: TableName = None,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Write orders, ledger, stock, marks, events and dead letters of a place into one file.

    It is read as of one moment, though orders go on meanwhile; a DynamoDB table while it rests.
    """
    there = _table(table, endpoint_url, profile, region, stack)
    with (
        _source(there, data) as source,
        _written(file, account(endpoint_url, profile, region)) as path,
    ):
        rows = source.rows()
        totals = bundle.write(path, source.name, rows, time.time(), archive=source.archive)
        notes = source.notes()
    console.print(f"{file} has what is in {source.name}")
    _show(totals)
    if totals["in_flight"]:
        notes.append(
            f"{totals['in_flight']} orders are in flight: where this is imported, the reconciler"
            f" takes them up once their leases have run out; let {source.name} run no more"
        )
    _say(notes)
    finish({"file": file, "totals": totals, "notes": notes}, as_json=as_json)


def import_(
    file: File,
    table: TableName = None,
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Bring what `orders export` wrote into another place; what is there already stays.

    The file is checked whole first: its totals, and each invariant of its orders and its stock.
    """
    there = _table(table, endpoint_url, profile, region, stack)
    with _readable(file, account(endpoint_url, profile, region)) as path:
        checked = bundle.check(path)
        with _goal(there, data) as goal, goal.importing(checked, time.time()):
            added = take(path, goal)
            if _totals_there(path, goal) != checked.totals:
                raise CommandError(f"{goal.name} has not what {file} has; import it again")
    console.print(f"{added} of {checked.lines} lines of {file} are new in {goal.name}")
    _show(checked.totals)
    notes = _after(checked, there) if added else []
    _say(notes)
    result = {"file": file, "added": added, "known": checked.lines - added}
    finish({**result, "totals": checked.totals, "notes": notes}, as_json=as_json)


def _after(file: bundle.Checked, there: DynamoPlace | None) -> list[str]:
    """Return what is to be done after an import."""
    totals, notes = file.totals, []
    if there is None and totals.get("keys") and not file.has_archive:
        notes.append(
            "a table does not keep the text of idempotency keys: a request under a key of before"
            " is a new one here"
        )
    if there is None and totals["events"]:
        notes.append(
            "the analysts' files are made anew from the events, once `orders serve` or `orders run"
            " --count 0` works here"
        )
    if there is not None:
        notes.append(
            "the analysts' files are not carried: copy DIR/bucket/order_events to order_events in"
            " the stack's bucket (`aws s3 sync`)"
        )
    if there is not None and there.queues is None and totals["messages"] + totals["dead_letters"]:
        notes.append(
            "messages and dead letters are kept in the table: name the stack with --stack to have"
            " them in its queues"
        )
    return notes


def _say(notes: list[str]) -> None:
    for note in notes:
        console.print(note)


def take(file: Path, goal: Place) -> int:
    """Add what a place lacks of a checked file; return how many lines that were.

    Raises
    ------
    CommandError
        The place holds other data under an id of the file: nothing was added.
    """
    missing = [identity(row) for row in bundle.rows(file) if not _is_there(row, goal)]
    wanted = set(missing)
    for row in bundle.rows(file):
        if identity(row) in wanted:
            goal.add(row)
    return len(missing)


def _is_there(row: Row, goal: Place) -> bool:
    standing = goal.find(row)
    if standing is not None and not same(row, standing):
        kind, name = identity(row)
        raise CommandError(
            f"{goal.name} holds other data of {kind} {name}; nothing was imported:"
            " name a place where it was never changed"
        )
    return standing is not None


def _totals_there(file: Path, goal: Place) -> Row:
    """Return the totals of a file's lines as they stand in a place."""
    totals = Totals()
    for row in bundle.rows(file):
        standing = goal.find(row)
        if standing is not None:
            totals.add(standing)
    return totals.figures


@contextmanager
def _source(there: DynamoPlace | None, data: Path) -> Iterator[Place]:
    if there is not None:
        yield there
        return
    where = directory(data)
    rebase_to_real_time(where)  # another place has the machine's time
    with closing(where.reader()) as database:
        yield SQLitePlace(database, str(where.root), stack_of(where))


@contextmanager
def _goal(there: DynamoPlace | None, data: Path) -> Iterator[Place]:
    """Open a place to be written to; a directory's times are brought back to the present first."""
    if there is not None:
        there.prepare()
        yield there
        return
    where = directory(data)
    with where.writer() as database:
        place = SQLitePlace(database, str(where.root), stack_of(where))
        place.prepare()
        rebase(where, database, Clock())
        yield place


def _table(
    table: str | None,
    endpoint_url: str | None,
    profile: str | None,
    region: str | None,
    stack: str | None,
) -> DynamoPlace | None:
    """Return the table that the options name; none is this machine's data directory.

    A region or profile alone says where a bucket is.
    """
    if table is not None and stack is not None:
        raise typer.BadParameter("--table and --stack exclude each other")
    if table is not None:
        client = (account(endpoint_url, profile, region) or Account()).client("dynamodb")
        return DynamoPlace(Table(table, lambda: client))
    there = deployed(endpoint_url, profile, region, stack) if stack else None
    return None if there is None else DynamoPlace(there.table(), StackQueues(there))


def _written(file: str, there: Account | None) -> AbstractContextManager[Path]:
    """Return the path that a file is written to, on its way to where it is wanted."""
    if file.startswith(s3.SCHEME):
        return s3.uploaded(file, there or Account())
    return nullcontext(Path(file))


def _readable(file: str, there: Account | None) -> AbstractContextManager[Path]:
    """Return the path that a file is read from."""
    if file.startswith(s3.SCHEME):
        return s3.downloaded(file, there or Account())
    return nullcontext(Path(file))


def _show(totals: Row) -> None:
    shown = Shown("total", "figure")
    for name, figure in totals.items():
        units = isinstance(figure, dict)
        text = ", ".join(f"{key} {number}" for key, number in figure.items()) if units else figure
        shown.add_row(name.replace("_", " "), text)
    console.print(shown)
