"""Parquet files: convert rows, and publish each file atomically.

``python -m infra.local.engine.parquet COLUMNS`` converts the rows on its standard input and writes
no file: rows that ended the engine's process are tested in a process of their own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from analytics.warehouse import file_type

T = TypeVar("T")

TIMEOUT = 60.0
"""Seconds that a separate process has for its rows."""


class UnconvertibleRows(ValueError):
    """A row does not match the types of the table's columns."""


def write_parquet(lines: Sequence[bytes], columns: Mapping[str, str], path: Path) -> None:
    """Write rows, each a JSON object, to a Parquet file; publish it atomically.

    ``columns`` maps names to Glue types.

    Raises
    ------
    UnconvertibleRows
        A row cannot be converted. No file is written.
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
    types = {name: file_type(kind) for name, kind in columns.items()}
    try:
        with duckdb.connect() as connection:
            connection.execute("set threads = 1")
            connection.execute("set TimeZone = 'UTC'")  # the rows' times are in UTC
            connection.execute("set memory_limit = '256MB'")
            connection.execute(
                # DuckDB would add the folder's dt as a column, which pyarrow then has twice
                "copy (select * from read_json(?, format = 'newline_delimited', columns = ?,"
                " hive_partitioning = false))"
                f" to {quoted} (format parquet, compression snappy)",
                [str(rows), types],
            )
    except duckdb.IOException as error:
        raise OSError(str(error)) from None
    except duckdb.Error as error:
        raise UnconvertibleRows(str(error)) from None


def unconvertible(
    items: Sequence[T], line: Callable[[T], bytes], problem_with: Callable[[Sequence[bytes]], str]
) -> list[tuple[T, str]]:
    """Return the items whose rows do not convert, each with the reason, by bisection.

    ``problem_with`` returns the reason why rows do not convert together, or an empty text.
    """
    problem = problem_with([line(item) for item in items])
    if not problem:
        return []
    if len(items) == 1:
        return [(items[0], problem)]
    middle = len(items) // 2
    halves = (items[:middle], items[middle:])
    return [bad for half in halves for bad in unconvertible(half, line, problem_with)]


def conversion_here(columns: Mapping[str, str]) -> Callable[[Sequence[bytes]], str]:
    """Return a trial conversion in this process, for `unconvertible`."""

    def problem_with(lines: Sequence[bytes]) -> str:
        with TemporaryDirectory() as folder:
            try:
                write_parquet(lines, columns, Path(folder) / "rows.parquet")
            except UnconvertibleRows as error:
                return str(error)
        return ""

    return problem_with


def conversion_in_process(columns: Mapping[str, str]) -> Callable[[Sequence[bytes]], str]:
    """Return a trial conversion in a separate process, which the rows may end."""

    def problem_with(lines: Sequence[bytes]) -> str:
        ended = subprocess.run(  # noqa: S603 - this very Python, our own module
            [sys.executable, "-m", "infra.local.engine.parquet", json.dumps(dict(columns))],
            input=b"\n".join(lines),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        if ended.returncode == 0:
            return ""
        return ended.stderr.decode(errors="replace")[-500:] or f"exit status {ended.returncode}"

    return problem_with


def publish(temporary: Path, path: Path) -> None:
    """Sync a file to disk, then rename it to its final name."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_lines(path: Path, content: bytes) -> None:
    """Write a file, and publish it atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    publish(temporary, path)


if __name__ == "__main__":
    problem = conversion_here(json.loads(sys.argv[1]))(sys.stdin.buffer.read().split(b"\n"))
    if problem:
        sys.exit(problem)
