"""``orders backup`` and ``orders restore``: a whole data directory in one file."""

from pathlib import Path
from typing import Annotated

import typer

from infra.backup import directory as backups
from infra.cli.options import DATA, Data, Json, directory
from infra.local.platform import stack_of
from infra.terminal.output import console, finish

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A .tar file, or .tar.gz to have it packed.")
]


def backup(file: File, data: Data = DATA, as_json: Json = False) -> None:
    """Write orders, partners' records and the bucket into one file, also while orders go on.

    The file is checked after it was written, and only then replaces one of its name.
    """
    where = directory(data)
    manifest = backups.backup(where, stack_of(where), file)
    size = manifest["bytes"] / 1e6
    figures = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in manifest["figures"].items())
    console.print(f"{file} has {where.root}: {figures}; {size:.1f} MB")
    finish({"file": str(file), **manifest}, as_json=as_json)


def restore(file: File, data: Data = DATA, as_json: Json = False) -> None:
    """Make a data directory of what `orders backup` wrote; the directory must hold nothing.

    Let only one of two directories with the same orders run: each would send its own mails.
    """
    where = directory(data)
    manifest = backups.restore(file, where)
    console.print(f"{where.root} is as {manifest['from']} was {manifest['at']}")
    console.print("`orders audit` checks it; `orders serve` goes on from there")
    finish({"file": str(file), "data": str(where.root), **manifest}, as_json=as_json)
