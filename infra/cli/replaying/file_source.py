"""Files and folders as the source of a replay, which can continue at any of their values."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

from infra.cli.event_files import Line, check_readable, event_files, read_events, read_items
from infra.cli.event_reader import by_time, print_skipped_files
from infra.cli.text_source import STDIN, TextSource

_PIECE = 1 << 20


class Item(NamedTuple):
    """The events of one value of a source, and the number of values up to and with it."""

    offset: int
    lines: Sequence[Line]


class Source(Protocol):
    """A source of events whose position is a number of values."""

    @property
    def name(self) -> str:
        """The name of the source, for the name of the replay."""

    def described(self) -> str:
        """Return the source in words."""

    def digest(self) -> str | None:
        """Return the digest of the source; None for one that is read only once."""

    def fraction(self) -> float | None:
        """Return the share that was read; None if it is unknown."""

    def items(self, skip: int = 0) -> Iterator[Item]:
        """Yield each value with its events, from the value after the first ``skip`` ones."""


class FileSource:
    """The events of files and folders; with a folder among the paths, sorted by time.

    Raises
    ------
    UnreadableFile
        A path holds no events.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        for path in paths:
            check_readable(path)
        self.paths = paths
        self._sorts = any(path.is_dir() for path in paths)
        self._size = self._passed = 0
        self._current: TextSource | None = None

    @property
    def name(self) -> str:
        """The name of the first path, for the name of the replay."""
        first = self.paths[0]
        return "stdin" if str(first) == STDIN else first.resolve().name.partition(".")[0]

    def described(self) -> str:
        """Return the paths as the user wrote them."""
        return ", ".join(str(path) for path in self.paths)

    def digest(self) -> str | None:
        """Return the digest of all files; None for standard input and pipes, read only once."""
        digest = sha256()
        for path in self.paths:
            if not (path.is_dir() or path.is_file()):
                return None
            for file in event_files(path):
                digest.update(f"{Path(file).resolve()}\0".encode(errors="surrogateescape"))
                with Path(file).open("rb") as content:
                    while piece := content.read(_PIECE):
                        digest.update(piece)
        return digest.hexdigest()

    def items(self, skip: int = 0) -> Iterator[Item]:
        """Yield each value with its events, from the value after the first ``skip`` ones."""
        for path in self.paths:
            print_skipped_files(path)
        values: Iterator[Sequence[Line]]
        if self._sorts:
            lines = chain.from_iterable(read_events(path) for path in self.paths)
            values = ([line] for line in by_time(lines))
        else:
            values = self._values(skip)
        for number, value in enumerate(values, 1):
            if number > skip:
                yield Item(number, value)

    def fraction(self) -> float | None:
        """Return the share of the bytes that were read; None if it is unknown."""
        if self._current is None or not self._size:
            return None
        return min(1.0, (self._passed + self._current.position) / self._size)

    def _values(self, skip: int) -> Iterator[Sequence[Line]]:
        number = 0
        self._size = sum(path.stat().st_size for path in self.paths if path.is_file())
        for path in self.paths:
            self._current = TextSource(str(path))
            for value in read_items(self._current, max(0, skip - number)):
                number += 1
                yield value
            self._passed += path.stat().st_size if path.is_file() else 0
