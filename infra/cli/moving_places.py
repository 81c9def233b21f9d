"""Arguments of ``orders export`` and ``orders import``: the file, and the place that it moves."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.options import StackOptions, directory
from infra.deployed.account import Account
from infra.errors import MoveError
from infra.local.clock import Clock
from infra.local.directory.clock_rebase import rebase, rebase_to_real_time
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.moving import s3
from infra.moving.dynamodb import DynamoPlace
from infra.moving.lines import Row
from infra.moving.place import Place
from infra.moving.queues import StackQueues
from infra.moving.sqlite import SQLitePlace
from infra.terminal.output import Table, console
from storage.dynamodb.table import Table as DynamoTable
from storage.sqlite.database import Database

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help=".ndjson, or gzipped .ndjson.gz; a path, or s3://BUCKET/KEY."
    ),
]
TableName = Annotated[
    str | None,
    typer.Option("--table", help="A DynamoDB table, instead of --data; --stack uses the stack's."),
]


def deployed_place(table: str | None, options: StackOptions) -> DynamoPlace | None:
    """Return the table that the options name, or None for the local data directory.

    A region or profile alone only locates a bucket.
    """
    if table is not None and options.stack is not None:
        raise typer.BadParameter("--table and --stack exclude each other")
    if table is not None:
        client = (options.account() or Account()).client("dynamodb")
        return DynamoPlace(DynamoTable(table, lambda: client))
    stack = options.deployed_stack() if options.stack else None
    return None if stack is None else DynamoPlace(stack.table(), StackQueues(stack))


@contextmanager
def open_source(deployed: DynamoPlace | None, data: Path) -> Iterator[Place]:
    """Open a place to export from."""
    if deployed is not None:
        yield deployed
        return
    where = directory(data)
    rebase_to_real_time(where)  # a sandbox's clock may be ahead; other places use real time
    with closing(where.reader()) as database:
        _require_unpruned(database, where)
        yield SQLitePlace(database, str(where.root), stack_of(where))


def _require_unpruned(database: Database, where: DataDirectory) -> None:
    """Raise `MoveError` if orders were pruned: an export has no line for their ids and units."""
    [(pruned,)] = database.rows("select count(*) from pruned_orders")
    if pruned:
        raise MoveError(
            f"{pruned} orders of {where.root} were pruned; an export would lose that they were"
            " processed, and they could be charged again: move the directory with `orders backup`"
        )


@contextmanager
def open_goal(deployed: DynamoPlace | None, data: Path) -> Iterator[Place]:
    """Open a place to import into; the times of a sandbox are first rebased to the present."""
    if deployed is not None:
        deployed.prepare()
        yield deployed
        return
    where = directory(data)
    with where.writer() as database:
        place = SQLitePlace(database, str(where.root), stack_of(where))
        place.prepare()
        rebase(where, database, Clock())
        yield place


def path_to_write(file: str, account: Account | None) -> AbstractContextManager[Path]:
    """Return the local path to write a file to; a file for S3 is uploaded at the end."""
    if file.startswith(s3.SCHEME):
        return s3.uploaded(file, account or Account())
    return nullcontext(Path(file))


def path_to_read(file: str, account: Account | None) -> AbstractContextManager[Path]:
    """Return the local path to read a file from; a file on S3 is downloaded first."""
    if file.startswith(s3.SCHEME):
        return s3.downloaded(file, account or Account())
    return nullcontext(Path(file))


def print_totals(totals: Row) -> None:
    """Print the totals of a file."""
    table = Table("total", "figure")
    for name, figure in totals.items():
        units = isinstance(figure, dict)
        text = ", ".join(f"{key} {number}" for key, number in figure.items()) if units else figure
        table.add_row(name.replace("_", " "), text)
    console.print(table)
