"""``orders export`` and ``orders import``: moving from one machine to AWS, and back."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Protocol

import typer

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
from infra.cli.output import CommandError, console, finish
from infra.cli.output import Table as Shown
from infra.deployed.account import Account
from infra.local.clock import Clock
from infra.local.rebase import bring_back, rebase
from infra.moving import bundle, s3
from infra.moving.dynamodb import DynamoPlace
from infra.moving.lines import Row, Totals, identity, same
from infra.moving.sqlite import SQLitePlace
from shared.table import Table

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


class Place(Protocol):
    """Where orders are moved from or to."""

    name: str

    def rows(self) -> Iterator[Row]:
        """Return everything that is carried, or raise `CommandError` if something is on its way."""

    def prepare(self) -> None:
        """Make ready to be written to."""

    def find(self, row: Row) -> Row | None:
        """Return what stands here under a line's id."""

    def add(self, row: Row) -> None:
        """Write a line that is not here yet."""


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
    """Write orders, ledger, stock, marks and events of a place into one file."""
    source: Place | None = _table(table, endpoint_url, profile, region, stack)
    if source is None:
        where = directory(data)
        bring_back(where)  # another place has the machine's time
        source = SQLitePlace(where.reader(), str(where.root))
    with _written(file, account(endpoint_url, profile, region)) as path:
        totals = bundle.write(path, source.name, source.rows(), time.time())
    console.print(f"{file} has what is in {source.name}")
    _show(totals)
    if totals["in_flight"]:
        console.print(
            f"{totals['in_flight']} orders are in flight: where this is imported, the reconciler"
            f" takes them up once their leases have run out; let {source.name} run no more",
        )
    finish({"file": file, "totals": totals}, as_json=as_json)


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
    """Bring what `orders export` wrote into another place; what is there already stays."""
    there = _table(table, endpoint_url, profile, region, stack)
    with _readable(file, account(endpoint_url, profile, region)) as path:
        totals = bundle.check(path)
        with _goal(there, data) as goal:
            added = take(path, goal)
            if _totals_there(path, goal) != totals:
                raise CommandError(f"{goal.name} has not what {file} has; import it again")
        lines = sum(1 for _ in bundle.rows(path))
    console.print(f"{added} of {lines} lines of {file} are new in {goal.name}")
    _show(totals)
    result = {"file": file, "added": added, "known": lines - added, "totals": totals}
    finish(result, as_json=as_json)


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
def _goal(there: DynamoPlace | None, data: Path) -> Iterator[Place]:
    """Open a place to be written to; a directory's times are brought back to the present first."""
    if there is not None:
        there.prepare()
        yield there
        return
    where = directory(data)
    with where.writer() as database:
        place = SQLitePlace(database, str(where.root))
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
    return None if there is None else DynamoPlace(there.table())


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
