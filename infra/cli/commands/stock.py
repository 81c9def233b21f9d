"""``orders stock``: units that arrived, received once."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.errors import CommandError
from infra.cli.options import (
    DATA,
    Data,
    Delivery,
    EndpointUrl,
    Json,
    Profile,
    Region,
    StackName,
    deployed,
    directory,
)
from infra.cli.stock_file import read_stock
from infra.local.directory.data_directory import DataDirectory
from infra.moving.sqlite import SQLitePlace
from infra.terminal.output import console, errors, finish
from inventory.model import Receipt
from inventory.store import SQLiteInventory
from inventory.usecases import InventoryStore
from kernel.clock import timestamp

app = typer.Typer(help="Stock, here or of a deployed stack.", no_args_is_help=True)


@app.callback()
def stock() -> None:
    """Stock, here or of a deployed stack."""


@app.command("receive")
def receive(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Units: sku,on_hand.")],
    delivery: Delivery = "",
    endpoint_url: EndpointUrl = None,
    profile: Profile = None,
    region: Region = None,
    stack: StackName = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Add the units of a stock file; the same units again add nothing.

    A delivery of the same units as one before needs its number, by --delivery. Orders that wait
    for units are tried again when their wait is over, five minutes at most.
    """
    receipt = read_stock(file, delivery)
    there = deployed(endpoint_url, profile, region, stack)
    if there is None:
        told = _receive(directory(data), file, receipt)
    else:
        from inventory.dynamodb import DynamoInventory

        told = received(file, receipt, DynamoInventory(there.table()), time.time())
    finish(told, as_json=as_json)


def receipt_of(stock: Path | None, delivery: str) -> Receipt | None:
    """Return the receipt that the options ``--stock`` and ``--delivery`` name."""
    if stock is None:
        if delivery:
            raise typer.BadParameter("--delivery is the number of what --stock brings")
        return None
    return read_stock(stock, delivery)


def received(file: Path, receipt: Receipt, store: InventoryStore, at: float) -> dict[str, Any]:
    """Receive a stock file and print what became of it; return that for ``--json``.

    Raises
    ------
    InvalidStock
        The delivery's number was received with other units before.
    """
    new = store.receive(receipt, at)
    units = sum(receipt.units.values()) if new else 0
    told: dict[str, Any] = {"file": str(file), "received": new, "units": units}
    delivery = f"delivery {receipt.delivery}" if receipt.delivery else ""
    if delivery:
        told["delivery"] = receipt.delivery
    if new:
        by = f" by {delivery}" if delivery else ""
        console.print(f"{file}: {units} units of {len(receipt.units)} SKUs received{by}")
        return told
    told["received_at"] = timestamp(store.received_at(receipt) or at)
    what = delivery or "the same units"
    were = "was" if delivery else "were"
    out = "" if delivery else "; if this is another delivery, name its number with --delivery"
    errors.print(
        f"{file}: nothing added: {what} {were} received before, at {told['received_at']}{out}",
        style="yellow",
    )
    return told


def _receive(where: DataDirectory, file: Path, receipt: Receipt) -> dict[str, Any]:
    served = where.served_at()
    if served:
        raise CommandError(
            f"{where.root} is served at {served}, which takes no stock while it runs; stop it, and"
            " start it again with `orders serve --stock FILE.csv`"
        )
    with where.writer() as database:
        SQLitePlace(database, str(where.root)).prepare()
        return received(file, receipt, SQLiteInventory(database), time.time())
