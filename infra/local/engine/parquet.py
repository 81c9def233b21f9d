"""Parquet files: rows in, a file that appears whole or not at all.

``python -m infra.local.engine.parquet COLUMNS`` converts the rows on its standard input and writes
nothing: rows that ended the engine's process are tried in a process of their own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from analytics.warehouse import duckdb_type

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that the process of its own has for its rows."""


class UnconvertibleRows(ValueError):
    """A row does not have the types of the table's columns."""


def write_parquet(lines: Sequence[bytes], columns: Mapping[str, str], path: Path) -> None:
    """Write rows, each a JSON object, to a Parquet file that appears whole or not at all.

    ``columns`` maps names to Glue types.

    Raises
    ------
    UnconvertibleRows
        A row cannot be converted; no file is written.
    OSError
        The file cannot be written.
    """
    rows = path.with_name(f".{path.name}.json")
    temporary = path.with_name(f".{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_bytes(b"\n".join(lines))
    try:
        _convert(rows, columns, temporary)
    finally:
        rows.unlink(missing_ok=True)
    publish(temporary, path)


def _convert(rows: Path, columns: Mapping[str, str], to: Path) -> None:
    import duckdb

    quoted = "'" + str(to).replace("'", "''") + "'"
    types = {name: duckdb_type(kind) for name, kind in columns.items()}
    try:
        with duckdb.connect() as connection:
            connection.execute("set threads = 1")
            connection.execute("set memory_limit = '256MB'")
            connection.execute(
                "copy (select * from read_json(?, format = 'newline_delimited', columns = ?))"
                f" to {quoted} (format parquet, compression snappy)",
                [str(rows), types],
            )
    except duckdb.IOException as error:
        raise OSError(str(error)) from None
    except duckdb.Error as error:
        raise UnconvertibleRows(str(error)) from None


def unconvertible(
    items: Sequence[T], line: Callable[[T], bytes], converts: Callable[[Sequence[bytes]], str]
) -> list[tuple[T, str]]:
    """Return the items whose rows do not convert, each with the reason, by halving.

    ``converts`` returns why rows do not convert together, or nothing.
    """
    problem = converts([line(item) for item in items])
    if not problem:
        return []
    if len(items) == 1:
        return [(items[0], problem)]
    middle = len(items) // 2
    halves = (items[:middle], items[middle:])
    return [found for half in halves for found in unconvertible(half, line, converts)]


def converts_here(columns: Mapping[str, str]) -> Callable[[Sequence[bytes]], str]:
    """Return what tries to convert rows in this process."""

    def converts(lines: Sequence[bytes]) -> str:
        with TemporaryDirectory() as folder:
            try:
                write_parquet(lines, columns, Path(folder) / "rows.parquet")
            except UnconvertibleRows as error:
                return str(error)
        return ""

    return converts


def converts_apart(columns: Mapping[str, str]) -> Callable[[Sequence[bytes]], str]:
    """Return what tries to convert rows in a process of its own, which they may end."""

    def converts(lines: Sequence[bytes]) -> str:
        tried = subprocess.run(  # noqa: S603 - this very Python, our own module
            [sys.executable, "-m", "infra.local.engine.parquet", json.dumps(dict(columns))],
            input=b"\n".join(lines),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        if tried.returncode == 0:
            return ""
        return tried.stderr.decode(errors="replace")[-500:] or f"exit status {tried.returncode}"

    return converts


def publish(temporary: Path, path: Path) -> None:
    """Give a file its name once its content is on disk."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_lines(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    publish(temporary, path)


if __name__ == "__main__":
    problem = converts_here(json.loads(sys.argv[1]))(sys.stdin.buffer.read().split(b"\n"))
    if problem:
        sys.exit(problem)
