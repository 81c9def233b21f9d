"""The export file: a header, lines and their totals, as NDJSON or gzipped NDJSON."""

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, NamedTuple

from infra.errors import MoveError
from infra.moving.invariants import Invariants
from infra.moving.lines import Row, Totals, check_fields, identity
from kernel import json_text
from kernel.clock import timestamp

FORMAT, VERSION = "orderflow", 2
"""Version 1 has no messages, dead letters and outbox, and its envelopes are objects."""

_SINCE_2 = ("to_be_sent", "messages", "dead_letters")
"""Totals that version 1 does not have."""


class Checked(NamedTuple):
    """A validated file: its header, totals, digest and number of lines.

    ``newest_order`` is the creation time of its newest order, in epoch seconds.
    """

    header: Row
    totals: Row
    digest: str
    lines: int
    newest_order: float

    @property
    def has_archive(self) -> bool:
        """Whether the file has all events of its orders."""
        table = str(self.header.get("from", "")).startswith("the table ")  # of version 1
        return bool(self.header.get("archive", not table))


def write(path: Path, place: str, rows: Iterable[Row], now: float, *, archive: bool = True) -> Row:
    """Write a file atomically; return its totals.

    ``archive`` is whether the lines have all events of their orders.

    Raises
    ------
    MoveError
        The file cannot be written, or the lines break an invariant.
    """
    totals, invariants = Totals(), Invariants()
    header = {"kind": "header", "format": FORMAT, "version": VERSION, "from": place}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _opened(part, "wt", zipped=path.suffix == ".gz") as file:
            _put(file, {**header, "at": timestamp(now), "archive": archive})
            for row in rows:
                totals.add(row)
                invariants.add(row)
                _put(file, row)
            _put(file, {"kind": "totals", **totals.figures})
        broken = invariants.broken()
        if broken is not None:
            raise MoveError(f"{place} breaks {broken.invariant}, so nothing was exported: {broken}")
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        raise MoveError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
    return totals.figures


def check(path: Path) -> Checked:
    """Validate all lines of a file, and return its header and sums.

    Raises
    ------
    MoveError
        The file is no export, has a newer version, is incomplete, differs from its totals, or
        breaks an invariant.
    """
    header = _header(path)
    totals, invariants, end, ids = Totals(), Invariants(), None, set[tuple[str, str]]()
    newest = 0.0
    for number, row in _lines(path):
        if end is not None:
            raise MoveError(f"{path}:{number}: follows the totals; export again")
        if row["kind"] == "totals":
            end = {name: value for name, value in row.items() if name != "kind"}
            continue
        key = _identified(path, number, row)
        if key in ids:
            raise MoveError(f"{path}:{number}: {' '.join(key)} occurs twice; export again")
        ids.add(key)
        try:
            check_fields(row)
            totals.add(row)
            invariants.add(row)
            if row["kind"] == "order":
                newest = max(newest, float(row["record"]["created_at"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MoveError(
                f"{path}:{number}: {' '.join(key)} cannot be read ({error}); export again"
            ) from None
    if end is None:
        raise MoveError(f"{path} ends before its totals, so it is incomplete; export again")
    _compare(path, end, totals.figures, header["version"])
    broken = invariants.broken()
    if broken is not None:
        raise MoveError(
            f"{path} breaks {broken.invariant}, so nothing was imported: {broken.subject}:"
            f" {broken.problem}; export again from a place that `orders audit` finds sound"
        )
    return Checked(header, totals.figures, _digest(path), len(ids), newest)


def rows(path: Path) -> Iterator[Row]:
    """Return the lines of a validated file."""
    return (row for _, row in _lines(path) if row["kind"] != "totals")


def _compare(path: Path, declared: Row, actual: Row, version: int) -> None:
    """Raise `MoveError` if the totals in a file differ from those of its lines."""
    expected = {
        name: value for name, value in actual.items() if version > 1 or name not in _SINCE_2
    }
    if declared != expected:
        wrong = next(
            (name for name, value in expected.items() if value != declared.get(name)),
            "list of totals",
        )
        raise MoveError(
            f"{path} differs from its totals: its {wrong} should be {declared.get(wrong)}"
            f" and are {expected.get(wrong)}; export again"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _header(path: Path) -> Row:
    with _readable(path), _opened(path, "rt", zipped=path.suffix == ".gz") as file:
        header = _row(path, 1, file.readline())
    if (header["kind"], header.get("format")) != ("header", FORMAT):
        raise MoveError(f"{path} is no file of `orders export`")
    version: Any = header.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise MoveError(
            f"{path} has version {version}, and this Orderflow knows {VERSION}; import it with the"
            " Orderflow that wrote it, or a newer one"
        )
    return header


def _lines(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the lines after the header with their numbers, in the present version's form."""
    version = _header(path)["version"]
    with _readable(path), _opened(path, "rt", zipped=path.suffix == ".gz") as file:
        file.readline()
        for number, line in enumerate(file, 2):
            row = _row(path, number, line)
            yield number, _upgraded(row) if version == 1 else row


def _upgraded(row: Row) -> Row:
    """Return a line of version 1 in the present version's form."""
    envelope = row.get("envelope")
    if row["kind"] != "event" or not isinstance(envelope, dict) or "id" not in envelope:
        return row
    return {**row, "id": envelope["id"], "envelope": json_text.write(envelope).decode()}


def _row(path: Path, number: int, line: str) -> Row:
    try:
        row = json_text.read(line)
    except json_text.InvalidJSON:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str):
        raise MoveError(f"{path}:{number}: is no line of `orders export`")
    return row


def _identified(path: Path, number: int, row: Row) -> tuple[str, str]:
    try:
        return identity(row)
    except (KeyError, TypeError):
        raise MoveError(f"{path}:{number}: {row['kind']!r} is an unknown kind") from None


def _put(file: IO[str], row: Row) -> None:
    file.write(json_text.write(row).decode() + "\n")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise MoveError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None


@contextmanager
def _opened(path: Path, mode: str, *, zipped: bool) -> Iterator[IO[Any]]:
    make: Any = gzip.open if zipped else open
    with make(path, mode, encoding="utf-8") as file:
        yield file
