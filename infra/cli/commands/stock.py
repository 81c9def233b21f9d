"""``orders stock``: stock of a data directory or a deployed stack."""

import re
import time
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from infra.cli.local_operations import operate
from infra.cli.operator import operator, words_of
from infra.cli.options import (
    DATA,
    Data,
    Delivery,
    Json,
    StackOptions,
    directory,
    expand_options,
)
from infra.cli.receiving import print_receipt, receive
from infra.cli.stock_file import read_stock
from infra.cli.stock_places import DeployedStock, LocalStock, StockPlace
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine import operator_actions
from infra.local.engine.operator_actions import DONE, REFUSED, Action
from infra.moving.sqlite import SQLitePlace
from infra.terminal.output import Table, console, finish
from infra.views.stock import StockRow
from inventory.model import Receipt
from inventory.store import SQLiteInventory
from kernel.errors import OrderflowError

Sku = Annotated[str, typer.Argument(metavar="SKU")]

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

    Another delivery of the same units needs its number, by --delivery. Orders that wait for the
    units are resumed at once, the oldest first; the directory may be served.
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
    if where.served_at() is None:
        return _receive_unserved(where, file, receipt)
    answer, _ = operate(
        where,
        "ReceiveStock",
        digest=receipt.digest,
        earlier=list(receipt.earlier),
        units=dict(receipt.units),
        reason=f"file {file.name}",
    )
    after = answer["after"]
    return print_receipt(file, receipt, is_new=after["received"], since=after["since"])


def _receive_unserved(where: DataDirectory, file: Path, receipt: Receipt) -> dict[str, Any]:
    """Receive a file without the platform: the next one resumes the orders that wait."""
    with where.writer() as database:
        SQLitePlace(database, str(where.root)).prepare()
        action = Action(operator(), "receive", receipt.digest, f"file {file.name}")
        now = time.time()
        number = operator_actions.begin(database, action, {}, now)
        try:
            result = receive(file, receipt, SQLiteInventory(database), now)
        except OrderflowError as error:
            operator_actions.end(database, number, {"problem": str(error)}, REFUSED)
            raise
        operator_actions.end(database, number, result, DONE)
        return result


def _place(stack: StackOptions, data: Path) -> StockPlace:
    deployed = stack.deployed_stack()
    return LocalStock(directory(data)) if deployed is None else DeployedStock(deployed)


@app.command("list")
@expand_options
def list_stock(*, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """List the stock of every SKU.

    On a deployed stack this reads the whole table.
    """
    rows = _place(stack, data).rows()
    if rows:
        _print(rows)
    else:
        console.print("no stock was received yet; see `orders stock receive --help`")
    finish({"stock": [_counts(row) for row in rows]}, as_json=as_json)


@app.command("show")
@expand_options
def show_sku(sku: Sku, *, stack: StackOptions, data: Data = DATA, as_json: Json = False) -> None:
    """Show the stock of a SKU, and the orders that wait for it, the oldest first."""
    row = _place(stack, data).row(sku)
    _print([row])
    if row.waiting:
        console.print("", "waiting for it, the oldest first: " + ", ".join(row.waiting))
    else:
        console.print("", "no order waits for it")
    finish(row.to_json(), as_json=as_json)


class SignedNumbers(TyperCommand):
    """A command with arguments such as -2, which is no option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; raise `BadParameter` for an unknown option."""
        known = {name for parameter in self.params for name in parameter.opts}
        for argument in takewhile(lambda each: each != "--", args):
            name = argument.partition("=")[0]
            if re.match(r"--[a-z]", name) and name not in {*known, "--help"}:
                raise typer.BadParameter(f"there is no option {name}; see --help")
        rest: list[str] = super().parse_args(ctx, args)
        return rest


@app.command("adjust", cls=SignedNumbers, context_settings={"ignore_unknown_options": True})
@expand_options
def adjust(
    sku: Sku,
    units: Annotated[int, typer.Argument(metavar="UNITS", help="Such as +5 or -2.")],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, such as a count or a breakage.")],
    stack: StackOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Correct the stock of a SKU after a count; reserved units cannot be removed."""
    result = _place(stack, data).adjust(sku, units, words_of("--reason", reason))
    before, after = result["before"], result["after"]
    console.print(f"{sku}: {before['on_hand']} units on hand before, {after['on_hand']} now")
    finish(result, as_json=as_json)


def _print(rows: list[StockRow]) -> None:
    columns = ("available", "reserved", "on hand", "received", "shipped", "restocked")
    table = Table("sku", *columns, right=columns)
    for row in rows:
        counts = (row.on_hand, row.received, row.shipped, row.restocked)
        table.add_row(row.sku, row.available, row.reserved, *counts)
    console.print(table)


def _counts(row: StockRow) -> dict[str, Any]:
    counts = row.to_json()
    del counts["waiting"]  # listed by `show` alone
    return counts
