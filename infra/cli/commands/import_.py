"""``orders import``: add the data of an exported file to another place."""

import time

from infra.cli.errors import CommandError
from infra.cli.moving_places import (
    File,
    TableName,
    deployed_place,
    open_goal,
    path_to_read,
    print_totals,
)
from infra.cli.options import DATA, Data, Json, StackOptions, expand_options
from infra.moving import export_file
from infra.moving.dynamodb import DynamoPlace
from infra.moving.place import import_rows, stored_totals
from infra.terminal.output import console, finish


@expand_options
def import_(
    file: File,
    *,
    table: TableName = None,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Import a file of `orders export`; existing data stays.

    The whole file is checked first: its totals, and each invariant of its orders and its stock.
    """
    deployed = deployed_place(table, stack)
    with path_to_read(file, stack.account()) as path:
        checked = export_file.check(path)
        with open_goal(deployed, data) as goal, goal.importing(checked, time.time()):
            added = import_rows(path, goal)
            if stored_totals(path, goal) != checked.totals:
                raise CommandError(f"{goal.name} lacks data of {file}; import it again")
    console.print(f"{added} of {checked.lines} lines of {file} are new in {goal.name}")
    print_totals(checked.totals)
    notes = _next_steps(checked, deployed) if added else []
    for note in notes:
        console.print(note)
    result = {"file": file, "added": added, "known": checked.lines - added}
    finish({**result, "totals": checked.totals, "notes": notes}, as_json=as_json)


def _next_steps(file: export_file.Checked, deployed: DynamoPlace | None) -> list[str]:
    """Return the steps that an import leaves to the user, and the limits of the imported data."""
    totals, notes = file.totals, []
    if deployed is None and totals.get("keys") and not file.has_archive:
        notes.append(
            "a table does not store the text of idempotency keys: a request that repeats an"
            " imported key is a new request here"
        )
    if deployed is None and totals["events"]:
        notes.append(
            "the next `orders serve` or `orders run --count 0` writes the analysts' Parquet files"
            " from the events"
        )
    if deployed is not None:
        notes.append(
            "the analysts' files are not imported: copy DIR/bucket/order_events to order_events in"
            " the stack's bucket (`aws s3 sync`)"
        )
    has_messages = totals["messages"] + totals["dead_letters"] > 0
    if deployed is not None and deployed.queues is None and has_messages:
        notes.append(
            "messages and dead letters are stored in the table: name the stack with --stack to have"
            " them in its queues"
        )
    return notes
