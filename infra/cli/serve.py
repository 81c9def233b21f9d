"""``orders serve``: the HTTP API and the AWS endpoint, until stopped."""

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.options import DATA, Data, Json, Workers, directory
from infra.cli.output import console, finish
from infra.cli.stock_file import read_stock
from infra.local.clock import Clock
from infra.local.engine import Engine
from infra.local.platform import ROOT, platform
from infra.server.server import Server, listening
from inventory.store import SQLiteInventory

SAMPLE_STOCK = ROOT / "events_schema" / "sample_stock.csv"


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    host: Annotated[str, typer.Option(help="An address of this machine alone.")] = "127.0.0.1",
    stock: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Stock to receive first: sku,on_hand.")
    ] = None,
    workers: Workers = 2,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Serve the HTTP API and the AWS endpoint on this machine, until Ctrl-C."""
    where = directory(data)
    receipt = read_stock(stock) if stock else None
    with (
        listening(host, port) as listener,  # a port that is taken leaves the directory as it is
        platform(where, clock=Clock(), workers=workers) as engine,
    ):
        inventory = SQLiteInventory(engine.journal.database)
        if receipt is not None:
            new = inventory.receive(receipt, engine.clock.now())
            console.print(f"stock {'received' if new else 'was received before'}: {stock}")
        elif _never_received(engine):
            inventory.receive(read_stock(SAMPLE_STOCK), engine.clock.now())
            console.print("no stock yet: received the sample's, so that the examples work")
        reader = where.reader()
        server = Server(engine, reader, listener)
        address = f"http://{host}:{listener.getsockname()[1]}"

        def started() -> None:
            where.announce(address)
            lines = (
                f"serving {where.root} at {address} (Ctrl-C stops)",
                f"  curl {address}/health",
                f"  aws events put-events --endpoint-url {address} --entries file://ENTRIES.json",
            )
            console.print("\n".join(lines), markup=False, soft_wrap=True)

        try:
            server.run(started)
        finally:
            where.endpoint.unlink(missing_ok=True)
            reader.close()
    console.print("stopped; everything accepted is in the journal and goes on at the next start")
    finish({"stopped": True}, as_json=as_json)


def _never_received(engine: Engine) -> bool:
    return engine.journal.database.row("select 1 from receipts limit 1") is None
