"""The file of a move: a header, lines, and their totals, as NDJSON or gzipped NDJSON."""

import gzip
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from infra.cli.output import CommandError
from infra.moving.lines import Row, Totals, identity
from shared.clock import timestamp

FORMAT, VERSION = "orderflow", 1


def write(path: Path, place: str, rows: Iterable[Row], now: float) -> Row:
    """Write a file, there whole or not at all; return its totals."""
    totals = Totals()
    header = {"kind": "header", "format": FORMAT, "version": VERSION, "from": place}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _opened(part, "wt", zipped=path.suffix == ".gz") as file:
            _put(file, {**header, "at": timestamp(now)})
            for row in rows:
                totals.add(row)
                _put(file, row)
            _put(file, {"kind": "totals", **totals.figures})
        part.replace(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return totals.figures


def check(path: Path) -> Row:
    """Read a whole file and return its totals.

    Raises
    ------
    CommandError
        It is no such file, of a newer version, half written, or not what its totals say.
    """
    totals, end, ids = Totals(), None, set[tuple[str, str]]()
    for number, row in _lines(path):
        if end is not None:
            raise CommandError(f"{path}:{number}: stands after the totals; export again")
        if row["kind"] == "totals":
            end = {name: value for name, value in row.items() if name != "kind"}
            continue
        found = _identified(path, number, row)
        if found in ids:
            raise CommandError(f"{path}:{number}: {' '.join(found)} stands there twice")
        ids.add(found)
        totals.add(row)
    if end is None:
        raise CommandError(f"{path} ends before its totals: it was half written; export again")
    if end != totals.figures:
        wrong = next(name for name, value in totals.figures.items() if value != end.get(name))
        raise CommandError(
            f"{path} is not what was exported: its {wrong} should be {end.get(wrong)}"
            f" and are {totals.figures[wrong]}; export again"
        )
    return end


def rows(path: Path) -> Iterator[Row]:
    """Return the lines of a file that was checked."""
    return (row for _, row in _lines(path) if row["kind"] != "totals")


def _lines(path: Path) -> Iterator[tuple[int, Row]]:
    """Return all lines behind the header with their numbers."""
    try:
        with _opened(path, "rt", zipped=path.suffix == ".gz") as file:
            _check_header(path, _row(path, 1, file.readline()))
            for number, line in enumerate(file, 2):
                yield number, _row(path, number, line)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CommandError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None


def _row(path: Path, number: int, line: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
        raise CommandError(f"{path}:{number}: is no line of `orders export`")
    return row


def _check_header(path: Path, row: Row) -> None:
    if (row["kind"], row.get("format")) != ("header", FORMAT):
        raise CommandError(f"{path} is no file of `orders export`")
    version: Any = row.get("version")
    if version != VERSION:
        raise CommandError(
            f"{path} is of version {version}, and {VERSION} is known here; import it with the"
            " Orderflow that wrote it, or a newer one"
        )


def _identified(path: Path, number: int, row: Row) -> tuple[str, str]:
    try:
        return identity(row)
    except (KeyError, TypeError):
        raise CommandError(f"{path}:{number}: {row['kind']!r} is no kind that is known") from None


def _put(file: IO[str], row: Row) -> None:
    file.write(json.dumps(row, separators=(",", ":")) + "\n")


@contextmanager
def _opened(path: Path, mode: str, *, zipped: bool) -> Iterator[IO[Any]]:
    make: Any = gzip.open if zipped else open
    with make(path, mode, encoding="utf-8") as file:
        yield file
