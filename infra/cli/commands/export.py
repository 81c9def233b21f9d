"""``orders export``: write the data of one place into a file."""

import time

from infra.cli.moving_places import (
    File,
    TableName,
    deployed_place,
    open_source,
    path_to_write,
    print_totals,
)
from infra.cli.options import DATA, Data, Json, StackOptions, expand_options
from infra.moving import export_file
from infra.terminal.output import console, finish


@expand_options
def export_(
    file: File,
    *,
    table: TableName = None,
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Export orders with all records about them, stock, events and dead letters into one file.

    A data directory is read as of one moment, even while orders are processed. A DynamoDB table
    must not be written to meanwhile.
    """
    deployed = deployed_place(table, stack)
    with (
        open_source(deployed, data) as source,
        path_to_write(file, stack.account()) as path,
    ):
        rows = source.rows()
        totals = export_file.write(path, source.name, rows, time.time(), archive=source.archive)
        notes = source.notes()
    console.print(f"{file} has the data of {source.name}")
    print_totals(totals)
    if totals["in_flight"]:
        notes.append(
            f"{totals['in_flight']} orders are in flight: after an import, the reconciler there"
            f" resumes them once their leases have expired; stop {source.name} for good"
        )
    for note in notes:
        console.print(note)
    finish({"file": file, "totals": totals, "notes": notes}, as_json=as_json)
