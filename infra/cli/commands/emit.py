"""``orders emit``: put events from files on the bus."""

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.event_destination import open_destination
from infra.cli.event_reader import EventReader
from infra.cli.known_orders import KnownOrders
from infra.cli.options import DATA, AccountOptions, Data, Json, directory, expand_options
from infra.cli.sending import send
from infra.terminal.output import console, finish


@expand_options
def emit(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Events: JSON, one per line or not.")
    ],
    *,
    facts: Annotated[
        bool,
        typer.Option("--facts", help="Also put events that the platform itself publishes."),
    ] = False,
    account: AccountOptions,
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Check events against their contracts and put them on the bus, here or on AWS.

    Only requests are sent: an Order Completed from another source would count as revenue. --facts
    sends such events too.
    """
    reader = EventReader(files, facts=facts)
    where, remote = directory(data), account.account()
    known = KnownOrders(where if remote is None else None)
    accepted = send(known.among(reader.events()), reader, open_destination(where, remote))
    result = {"accepted": accepted, **reader.counts()}
    if known.known:
        console.print(known.note())
        result["known"] = len(known.known)
    finish(result, as_json=as_json)
    reader.require_none_rejected(accepted)
