"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

from infra.local.datadir import DataDirectory

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The data directory.", envvar="ORDERS_DATA")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]
Workers = Annotated[
    int, typer.Option(min=0, max=64, help="Worker processes; 0 runs handlers in this process.")
]

DATA = Path(".orderflow")


def directory(data: Path) -> DataDirectory:
    """Return the data directory at a path."""
    return DataDirectory(data.absolute())
