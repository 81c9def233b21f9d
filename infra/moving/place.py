"""A place that orders move from or to, and the import of a checked file into it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from infra.errors import MoveError
from infra.moving import export_file
from infra.moving.lines import Row, Totals, identity, same


class Place(Protocol):
    """A data directory, or a DynamoDB table with or without the queues of its stack."""

    name: str

    @property
    def archive(self) -> bool:
        """Whether all events of the orders are here."""

    def rows(self) -> Iterator[Row]:
        """Return all lines to export, as of one moment, or raise `MoveError`."""

    def notes(self) -> list[str]:
        """Return a sentence about each kind of data that is not exported."""

    def prepare(self) -> None:
        """Make the place ready for writes."""

    def find(self, row: Row) -> Row | None:
        """Return the stored line with the identity of this one."""

    def importing(self, file: export_file.Checked, now: float) -> AbstractContextManager[None]:
        """Open a block of `add` calls, in one transaction where the place has transactions."""

    def add(self, row: Row) -> None:
        """Write a line that is not stored yet."""


def import_rows(file: Path, place: Place) -> int:
    """Add the lines of a checked file that a place lacks; return their number.

    Raises
    ------
    MoveError
        The place holds other data under an id of the file; nothing was added.
    """
    missing = [identity(row) for row in export_file.rows(file) if not _is_stored(row, place)]
    wanted = set(missing)
    for row in export_file.rows(file):
        if identity(row) in wanted:
            place.add(row)
    return len(missing)


def stored_totals(file: Path, place: Place) -> Row:
    """Return the totals of a file's lines as a place has stored them."""
    totals = Totals()
    for row in export_file.rows(file):
        stored = place.find(row)
        if stored is not None:
            totals.add(stored)
    return totals.figures


def _is_stored(row: Row, place: Place) -> bool:
    stored = place.find(row)
    if stored is not None and not same(row, stored):
        kind, name = identity(row)
        raise MoveError(
            f"{place.name} holds other data of {kind} {name}; nothing was imported:"
            " name a place where it was never changed"
        )
    return stored is not None
