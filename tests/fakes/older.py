"""Data directories of older versions (see tests/fixtures/directories/README.md)."""

import shutil
import sqlite3
import tarfile
import time
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.local.template.stack import Stack

FOLDER = Path(__file__).parents[1] / "fixtures" / "directories"
SETTLED = sorted(path.name.partition(".")[0] for path in FOLDER.glob("*-settled.tar.xz"))
KILLED = sorted(path.name.partition(".")[0] for path in FOLDER.glob("*-killed.tar.xz"))


@cache
def template() -> Stack:
    """Return the stack for an audit, the same for all directories."""
    return stack_of(DataDirectory(FOLDER))


def unpacked(name: str, folder: Path) -> DataDirectory:
    """Return the directory of a version, in a folder."""
    with tarfile.open(FOLDER / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return DataDirectory(folder / "data")


def copied(directory: DataDirectory, folder: Path) -> DataDirectory:
    """Return a copy of a closed directory, in a folder."""
    shutil.copytree(directory.root, folder / "data")
    return DataDirectory(folder / "data")


def select(directory: DataDirectory, query: str) -> list[Any]:
    """Return the rows of a query, for any version of the directory."""
    with closing(sqlite3.connect(directory.database)) as connection:
        return connection.execute(query).fetchall()


def ahead(directory: DataDirectory) -> float:
    """Return how many seconds ahead a clock must be to continue a directory's times."""
    [(last,)] = select(directory, "select max(arrived_at) from events")
    return float(last) - time.time()
