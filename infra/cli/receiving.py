"""Receipt of stock files, for ``orders stock receive``, ``run`` and ``serve``."""

from pathlib import Path
from typing import Any

import typer

from infra.cli.stock_file import read_stock
from infra.terminal.output import console, errors
from inventory.model import Receipt
from inventory.usecases import InventoryStore
from kernel.clock import timestamp


def receipt_of(stock: Path | None, delivery: str) -> Receipt | None:
    """Return the receipt that the options ``--stock`` and ``--delivery`` name."""
    if stock is None:
        if delivery:
            raise typer.BadParameter("--delivery numbers the units of --stock, which is missing")
        return None
    return read_stock(stock, delivery)


def receive(file: Path, receipt: Receipt, store: InventoryStore, at: float) -> dict[str, Any]:
    """Receive a stock file, print the result, and return it for ``--json``.

    Raises
    ------
    InvalidStock
        The delivery's number was received with other units before.
    """
    is_new = store.receive(receipt, at)
    since = "" if is_new else timestamp(store.received_at(receipt) or at)
    return print_receipt(file, receipt, is_new=is_new, since=since)


def print_receipt(file: Path, receipt: Receipt, *, is_new: bool, since: str) -> dict[str, Any]:
    """Print the result of a receipt, and return it; ``since`` is the time of an earlier one."""
    units = sum(receipt.units.values()) if is_new else 0
    result: dict[str, Any] = {"file": str(file), "received": is_new, "units": units}
    delivery = f"delivery {receipt.delivery}" if receipt.delivery else ""
    if delivery:
        result["delivery"] = receipt.delivery
    if is_new:
        by = f" by {delivery}" if delivery else ""
        console.print(f"{file}: {units} units of {len(receipt.units)} SKUs received{by}")
        return result
    result["received_at"] = since
    subject = f"{delivery} was" if delivery else "the same units were"
    hint = "" if delivery else "; if this is another delivery, name its number with --delivery"
    errors.print(
        f"{file}: nothing added: {subject} received before, at {result['received_at']}{hint}",
        style="yellow",
    )
    return result
