"""``orders emit``: put events from files on the bus."""

from pathlib import Path
from typing import Annotated, Any

import typer

from infra.cli.event_destination import open_destination
from infra.cli.event_reader import EventReader
from infra.cli.options import DATA, AccountOptions, Data, Json, directory, expand_options
from infra.cli.sending import send
from infra.terminal.output import finish


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
    destination = open_destination(directory(data), account.account())
    accepted = send(reader.events(), reader, destination)
    answer: dict[str, Any] = {"accepted": accepted, "rejected": reader.rejected}
    if reader.rejections:
        answer["rejections"] = reader.rejections
    finish(answer, as_json=as_json)
    reader.require_none_rejected(accepted)
