"""``orders serve``: the HTTP API and the AWS endpoint, until stopped."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.options import (
    DATA,
    Data,
    Delivery,
    Json,
    Otlp,
    Workers,
    checked_otlp,
    directory,
)
from infra.cli.receiving import receipt_of, receive
from infra.cli.stock_file import read_stock
from infra.console.mount import ConsoleMount
from infra.local.clock import Clock
from infra.local.engine.engine import Engine
from infra.local.platform import platform
from infra.local.template.loader import REGION
from infra.local.template.project import ROOT
from infra.server.access import Admission
from infra.server.alert import watched
from infra.server.server import Server, admission, open_listener, url
from infra.settings.reading import Settings, read
from infra.telemetry.process import exporting, summary
from infra.terminal.output import console, errors, finish
from inventory.store import SQLiteInventory

SAMPLE_STOCK = ROOT / "events_schema" / "sample_stock.csv"


def serve(
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="0 is any free port. Default: the setting Port (8080)."
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="A loopback address; another needs --token-file."
            " Default: the setting Host (127.0.0.1)."
        ),
    ] = None,
    stock: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Stock to receive first: sku,on_hand.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name in Host headers; with --token-file."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Tokens, one per line: TOKEN SUBJECT SCOPE …"),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of template.yaml."),
    ] = None,
    delivery: Delivery = "",
    otlp: Otlp = None,
    workers: Workers = None,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Serve the HTTP API, the AWS endpoint and the console on this machine, until Ctrl-C.

    Without --token-file only programs of this machine are served, by the names of the loopback,
    and pages of the origins in the template's parameter CorsOrigins. With --token-file every
    request needs a token: `Authorization: Bearer TOKEN` (scopes orders/read, orders/write), and for
    AWS's clients AWS_SESSION_TOKEN (scope orders/operate). The port speaks plain HTTP: for access
    from other machines, put an HTTPS proxy in front.
    """
    where, otlp = directory(data), checked_otlp(otlp)
    settings = read(where.root)
    host = host or settings.text("Host")
    port = settings.number("Port") if port is None else port
    workers = settings.number("Workers") if workers is None else workers
    access = _admission(settings, host, allowed_host, token_file)
    parameters = _parameters(parameter or [])
    receipt = receipt_of(stock, delivery)
    with (
        open_listener(
            host, port
        ) as listener,  # first: a used port must leave the directory unchanged
        platform(
            where,
            clock=Clock(),
            workers=workers,
            parameters={"PublicUrl": url(host, listener.getsockname()[1]), **parameters},
        ) as engine,
        exporting(where, engine.journal.database, engine.clock.now(), otlp) as exported,
    ):
        inventory = SQLiteInventory(engine.journal.database)
        if stock is not None and receipt is not None:
            receive(stock, receipt, inventory, engine.clock.now())
        elif _never_received(engine):
            inventory.receive(read_stock(SAMPLE_STOCK), engine.clock.now())
            console.print("no stock yet: received the sample stock, so that the examples work")
        reader = where.reader()
        console_of = partial(ConsoleMount, directory=where)
        server = Server(engine, reader, listener, access, where, console=console_of)
        address = url(host, server.port)

        def started() -> None:
            where.publish_endpoint(address, access.local_token)
            lines = (
                f"serving {where.root} at {address} (Ctrl-C stops)",
                f"  {address}/console/ in a browser shows orders and needs",
                f"  curl {address}/ready      (or /health, /version, /metrics for Prometheus)",
                (
                    f"  aws events put-events --endpoint-url {address} --region {REGION}"
                    " --no-sign-request --entries file://ENTRIES.json"
                ),
            )
            # a program that reads the document at the end sees the address too
            (errors if as_json else console).print(*lines, *_access_notes(engine, access))

        try:
            with watched(settings.text("Alert"), server.health, where):
                server.run(started)
        finally:
            where.withdraw_endpoint()
            reader.close()
    console.print("stopped; accepted events are saved and continue at the next start")
    result: dict[str, object] = {"stopped": True}
    if otlp is not None:
        result["exported"] = exported
        console.print(summary(exported, otlp))
    finish(result, as_json=as_json)


def _admission(
    settings: Settings, host: str, names: list[str] | None, token_file: Path | None
) -> Admission:
    """Return the names and tokens that are admitted, of the options or else of the settings."""
    if token_file is None and settings.text("TokenFile"):
        token_file = settings.file.parent / settings.text("TokenFile")
    return admission(host, names or settings.values["AllowedHosts"].parts, token_file)


def _never_received(engine: Engine) -> bool:
    return engine.journal.database.row("select 1 from receipts limit 1") is None


def _parameters(texts: list[str]) -> dict[str, str]:
    """Return the template parameters in texts of the form NAME=VALUE."""
    pairs = [text.partition("=") for text in texts]
    for name, separator, _ in pairs:
        if not (name and separator):
            raise typer.BadParameter(f"{name!r} has no value: write --parameter NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _access_notes(engine: Engine, access: Admission) -> list[str]:
    """Return notes for the user about access to the server."""
    if access.tokens is not None:
        return ["a token is needed: `Authorization: Bearer TOKEN`, or AWS_SESSION_TOKEN=TOKEN"]
    cors = engine.stack.cors
    if cors is not None and cors.allows_all:
        return ["any web page may place orders here: CorsConfiguration allows every origin"]
    return []
