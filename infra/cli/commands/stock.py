"""``orders stock``: stock of a data directory or a deployed stack."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.options import (
    DATA,
    Data,
    Delivery,
    Json,
    StackOptions,
    directory,
    expand_options,
)
from infra.cli.receiving import receive
from infra.cli.stock_file import read_stock
from infra.local.directory.data_directory import DataDirectory
from infra.moving.sqlite import SQLitePlace
from infra.terminal.output import finish
from inventory.model import Receipt
from inventory.store import SQLiteInventory

app = typer.Typer(help="Stock, here or of a deployed stack.", no_args_is_help=True)


@app.callback()
def stock() -> None:
    """Stock, here or of a deployed stack."""


@app.command("receive")
@expand_options
def receive_file(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Units: sku,on_hand.")],
    *,
    delivery: Delivery = "",
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Add the units of a stock file, once: the same units again add nothing.

    Another delivery of the same units needs its number, by --delivery. Orders that wait for units
    are retried at the end of their wait, after five minutes at most.
    """
    receipt = read_stock(file, delivery)
    deployed = stack.deployed_stack()
    if deployed is None:
        result = _receive_here(directory(data), file, receipt)
    else:
        from inventory.dynamodb import DynamoInventory

        result = receive(file, receipt, DynamoInventory(deployed.table()), time.time())
    finish(result, as_json=as_json)


def _receive_here(where: DataDirectory, file: Path, receipt: Receipt) -> dict[str, Any]:
    address = where.served_at()
    if address:
        raise CommandError(
            f"{where.root} is served at {address}, and a running server receives no stock; stop it,"
            " and start it again with `orders serve --stock FILE.csv`"
        )
    with where.writer() as database:
        SQLitePlace(database, str(where.root)).prepare()
        return receive(file, receipt, SQLiteInventory(database), time.time())
