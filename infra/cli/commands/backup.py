"""``orders backup``: a whole data directory in one file."""

from pathlib import Path
from typing import Annotated

import typer

from infra.backup import directory as backups
from infra.cli.options import DATA, Data, Json, directory
from infra.local.platform import stack_of
from infra.terminal.output import console, finish


def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .tar file, or .tar.gz for a gzipped one.")
    ],
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """Write orders, partners' records and the bucket into one file, even under load.

    The file is checked after it was written, and only then replaces an older one.
    """
    where = directory(data)
    manifest = backups.backup(where, stack_of(where), file)
    size = manifest["bytes"] / 1e6
    figures = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in manifest["figures"].items())
    console.print(f"{file} has {where.root}: {figures}; {size:.1f} MB")
    finish({"file": str(file), **manifest}, as_json=as_json)
