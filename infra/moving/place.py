"""The protocol of a place: the source or the destination of a move."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from infra.moving.export_file import Checked
from infra.moving.lines import Row


class Place(Protocol):
    """A data directory or a DynamoDB table, as the source or the destination of a move."""

    name: str

    @property
    def archive(self) -> bool:
        """Whether the place has all events of its orders."""

    def rows(self) -> Iterator[Row]:
        """Yield all exported lines, as of one moment.

        Raises
        ------
        MoveError
            The place cannot be read as of one moment.
        """

    def notes(self) -> list[str]:
        """Return a line for each kind of data that is not exported."""

    def prepare(self) -> None:
        """Prepare the place for an import."""

    def find(self, row: Row) -> Row | None:
        """Return the line that the place has under the id of ``row``, or None."""

    def importing(self, file: Checked, now: float) -> AbstractContextManager[None]:
        """Return a block in which `add` writes: all or nothing, if the place supports that."""

    def add(self, row: Row) -> None:
        """Write a line that the place does not have."""
