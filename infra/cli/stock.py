"""``orders stock``: units that arrived, received once."""

import time
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.options import (
    DATA,
    Data,
    EndpointUrl,
    Json,
    Profile,
    Region,
    StackName,
    deployed,
    directory,
)
from infra.cli.output import CommandError, console, finish
from infra.cli.stock_file import read_stock
from infra.local.datadir import DataDirectory
from infra.moving.sqlite import SQLitePlace
from inventory import usecases
from inventory.model import Receipt
from inventory.store import SQLiteInventory

app = typer.Typer(help="Stock, here or of a deployed stack.", no_args_is_help=True)


@app.callback()
def stock() -> None:
    """Stock, here or of a deployed stack."""


@app.command("receive")
def receive(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Units: sku,on_hand.")],
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Add the units of a stock file; the same file again adds nothing.

    Orders that wait for them are tried again when their wait is over, five minutes at most.
    """
    receipt = read_stock(file)
    there = deployed(endpoint_url, profile, region, stack)
    if there is None:
        new = _receive(directory(data), receipt)
    else:
        from inventory.dynamodb import DynamoInventory

        store = DynamoInventory(there.table())
        new = usecases.receive(receipt, usecases.Ports(store, time.time))
    units = sum(receipt.units.values()) if new else 0
    what = f"{units} units of {len(receipt.units)} SKUs received" if new else "was received before"
    console.print(f"{file}: {what}")
    finish({"file": str(file), "received": new, "units": units}, as_json=as_json)


def _receive(where: DataDirectory, receipt: Receipt) -> bool:
    served = where.served_at()
    if served:
        raise CommandError(
            f"{where.root} is served at {served}, which takes no stock while it runs; stop it, and"
            " start it again with `orders serve --stock FILE.csv`"
        )
    with where.writer() as database:
        SQLitePlace(database, str(where.root)).prepare()
        return usecases.receive(receipt, usecases.Ports(SQLiteInventory(database), time.time))
