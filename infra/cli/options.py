"""Options that several commands take, and what they ask for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.local.directory.data_directory import DataDirectory

if TYPE_CHECKING:
    from infra.deployed.account import Account
    from infra.deployed.stack import DeployedStack

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The data directory.", envvar="ORDERS_DATA")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]
Delivery = Annotated[
    str,
    typer.Option(
        "--delivery",
        metavar="NUMBER",
        help="The number of this delivery: its units are added once, also if others had the same.",
    ),
]
Workers = Annotated[
    int, typer.Option(min=0, max=64, help="Worker processes; 0 runs handlers in this process.")
]
EndpointUrl = Annotated[
    str | None, typer.Option("--endpoint-url", help="An endpoint that answers for AWS.")
]
Profile = Annotated[str | None, typer.Option(help="A profile of the AWS configuration.")]
Region = Annotated[str | None, typer.Option(help="An AWS region.")]
StackName = Annotated[
    str | None,
    typer.Option("--stack", help="A deployed stack (orderflow, if only its place is named)."),
]

DATA = Path(".orderflow")


def directory(data: Path) -> DataDirectory:
    """Return the data directory at a path."""
    return DataDirectory(data.absolute())


def account(endpoint_url: str | None, profile: str | None, region: str | None) -> "Account | None":
    """Return the account that the options name; without any of them, none: this machine."""
    if not (endpoint_url or profile or region):
        return None
    from infra.deployed.account import Account

    return Account(endpoint_url, profile, region)


def deployed(
    endpoint_url: str | None, profile: str | None, region: str | None, stack: str | None
) -> "DeployedStack | None":
    """Return the deployed stack that the options name; without any of them, none: this machine."""
    if not (endpoint_url or profile or region or stack):
        return None
    from infra.deployed.account import Account
    from infra.deployed.stack import find

    return find(Account(endpoint_url, profile, region), stack)
