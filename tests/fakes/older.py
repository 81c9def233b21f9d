"""Data directories that older versions have written (see tests/fixtures/directories/README.md)."""

import sqlite3
import tarfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from infra.local.datadir import DataDirectory

FOLDER = Path(__file__).parents[1] / "fixtures" / "directories"
SETTLED = sorted(path.name.partition(".")[0] for path in FOLDER.glob("*-settled.tar.xz"))
KILLED = sorted(path.name.partition(".")[0] for path in FOLDER.glob("*-killed.tar.xz"))


def unpacked(name: str, folder: Path) -> DataDirectory:
    """Return the directory of a version, in a folder."""
    with tarfile.open(FOLDER / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return DataDirectory(folder / "data")


def asked(directory: DataDirectory, query: str) -> list[Any]:
    """Return what the database says, whatever its version is."""
    with closing(sqlite3.connect(directory.database)) as connection:
        return connection.execute(query).fetchall()


def ahead(directory: DataDirectory) -> float:
    """Return how many seconds a clock is ahead that goes on from where a directory was left."""
    [(last,)] = asked(directory, "select max(arrived_at) from events")
    return float(last) - time.time()
