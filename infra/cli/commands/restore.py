"""``orders restore``: a data directory from a backup."""

from pathlib import Path
from typing import Annotated

import typer

from infra.backup import directory as backups
from infra.cli.options import DATA, Data, Json, directory
from infra.terminal.output import console, finish


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of `orders backup`.")],
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Restore a file of `orders backup` into an empty or new directory.

    Run only one of two directories with the same orders: each would send its own mails.
    """
    where = directory(data)
    manifest = backups.restore(file, where)
    console.print(f"{where.root} is as {manifest['from']} was {manifest['at']}")
    console.print("`orders audit` checks it; `orders serve` continues from there")
    finish({"file": str(file), "data": str(where.root), **manifest}, as_json=as_json)
