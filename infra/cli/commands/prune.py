"""``orders prune``: delete old orders, events, histories and analysts' files."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated

import typer

from infra.cli.errors import CommandError
from infra.cli.operator import operator
from infra.cli.options import DATA, Data, Json, directory
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.sandbox import clock_for
from infra.local.engine import operator_actions
from infra.local.engine.operator_actions import DONE, Action
from infra.local.retention.orders import LATER
from infra.local.retention.pruner import Keep, Pruner, kept_by
from infra.settings.reading import read
from infra.terminal.output import Table, console, finish
from storage.sqlite.database import Database

_KINDS = ("orders", "events", "executions", "files")


def _days(text: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(min=1, max=36_500, metavar="DAYS", help=text)
    return info


def prune(
    orders_days: Annotated[
        int | None, _days("Days that ended orders are kept; the setting OrderDays.")
    ] = None,
    events_days: Annotated[
        int | None, _days("Days that events are kept; the setting EventDays.")
    ] = None,
    history_days: Annotated[
        int | None, _days("Days that ended runs are kept with their histories; HistoryDays.")
    ] = None,
    parquet_days: Annotated[
        int | None, _days("Days that the analysts' files are kept; ParquetDays.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the deletions.")] = False,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Delete orders, events, runs and files older than some days, also in a served directory.

    Nothing unfinished is deleted. A pruned order that arrives again is ignored, since its id is
    kept. Without an option the settings apply, as a server applies them every hour.
    """
    where = directory(data)
    where.require_database()
    given = Keep(orders_days, events_days, history_days, parquet_days)
    keep = kept_by(read(where.root)) if given.all else given
    if keep.all:
        raise CommandError(
            "nothing is to be pruned: give --orders-days, --events-days, --history-days or"
            " --parquet-days, or set OrderDays, EventDays, HistoryDays or ParquetDays"
        )
    with _database(where, dry=dry_run) as database:
        clock = clock_for(database)
        pruner = Pruner(where, database, keep, clock.now, dry=dry_run)
        if dry_run:
            pruner.run(shared=False)
        else:
            _record(pruner, database, keep, clock, shared=where.served_at() is not None)
    found = pruner.found
    column = "would be pruned" if dry_run else "pruned"
    table = Table("", column, right=(column,))
    for kind in _KINDS:
        table.add_row(kind, found.counts[kind])
    console.print(table)
    kept = {reason: number for reason, number in found.kept.items() if reason != LATER}
    if kept:
        console.print("", "kept although old enough:")
        console.print(*(f"  {number} with {reason}" for reason, number in kept.items()))
    result = {kind: found.counts[kind] for kind in (*_KINDS, "bytes")}
    finish({"dry_run": dry_run, **result, "kept": kept}, as_json=as_json)


def _record(pruner: Pruner, database: Database, keep: Keep, clock: Clock, *, shared: bool) -> None:
    """Prune, with a row in the record of operators' actions."""
    days = {name: getattr(keep, name) for name in ("orders", "events", "history", "parquet")}
    action = Action(operator(), "prune", "retention", "")
    number = operator_actions.begin(database, action, days, clock.now())
    pruner.run(shared=shared)
    operator_actions.end(database, number, dict(pruner.found.counts), DONE)


@contextmanager
def _database(where: DataDirectory, *, dry: bool) -> Iterator[Database]:
    """Open the database: of a served directory as its workers do."""
    if dry:
        with closing(where.reader()) as database:
            yield database
    elif where.served_at() is not None:
        with closing(Database(str(where.database))) as database:
            yield database
    else:
        with where.writer() as database:
            yield database
