"""The crash marker: names the item that a process handles, in a file that outlives the process.

A process that ends in the middle of an item (out of memory, a crash in a C library, a kill)
leaves the item's name in a memory-mapped file of the data directory. The next start reads it, and
quarantines an item that was named twice (`infra.local.engine.recovery`). The file is not synced:
a power cut says nothing about an item.
"""

import mmap
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple, TypeAlias


class Kind(IntEnum):
    """A kind of items; its number is in the journal and in the marker's file."""

    NONE = 0
    EVENT = 1
    DELIVERY = 2
    MESSAGE = 3
    EXECUTION = 4
    RECORD = 5
    SCHEDULE = 6
    OUTBOX = 7
    REQUEST = 8
    CALL = 9
    WORK = 10
    LETTER = 11
    SUBSCRIPTION = 12
    REPLAY = 13
    LETTER_JOB = 14

    @property
    def label(self) -> str:
        """The kind in lower case, for messages and the table ``failures``."""
        return self.name.lower()


class Item(NamedTuple):
    """One item, or the items of a batch: ``first`` to ``last`` are ids in the journal."""

    kind: Kind
    first: int
    last: int

    def __str__(self) -> str:
        ids = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        return f"{self.kind.label} {ids}"


ItemIds: TypeAlias = tuple[Kind, int, int]
"""An `Item` as a plain tuple, which takes a fifth of the time to create."""

NO_ITEM: ItemIds = (Kind.NONE, 0, 0)


class CrashMarker:
    """The item that one thread handles, in memory only."""

    def __init__(self) -> None:
        self.current: ItemIds = NO_ITEM

    def enter(self, item: ItemIds) -> None:
        """Name the item that is handled from now on; `NO_ITEM` for none."""
        self.current = item

    def leave(self, outer: ItemIds) -> None:
        """Return to the outer item; without one, keep the name until the next item or commit.

        Writing `NO_ITEM` after each item would take half of the marker's time.
        """
        if outer is NO_ITEM:
            self.current = outer
        else:
            self.enter(outer)


_SLOT = 3 * 8
"""Bytes of a slot: the kind and the two ids, as integers of 64 bits."""


class FileMarker(CrashMarker):
    """A marker in a slot of a `MarkerFile`, which outlives the process."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        super().__init__()
        self.slot = memoryview(memory)[at : at + _SLOT].cast("q")

    def enter(self, item: ItemIds) -> None:
        """Name the item that is handled from now on; `NO_ITEM` for none."""
        self.current = item
        slot = self.slot
        slot[0], slot[1], slot[2] = item


class Markers:
    """The markers of one process, in memory only: the engine's and its background thread's.

    ``interrupted`` are the items that the process before this one was handling when it ended.
    """

    def __init__(self) -> None:
        self.engine = CrashMarker()
        self.background = CrashMarker()
        self.interrupted: list[Item] = []


class MarkerFile(Markers):
    """The markers of one process, in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        with path.open("a+b") as file:
            file.truncate(_SLOT * 2)
            self._memory = mmap.mmap(file.fileno(), _SLOT * 2)
        self._slots = FileMarker(self._memory, 0), FileMarker(self._memory, _SLOT)
        self.engine, self.background = self._slots
        self.interrupted = [
            Item(Kind(kind), first, last)
            for kind, first, last in (marker.slot for marker in self._slots)
            if kind in set(Kind) - {Kind.NONE}
        ]

    def clear(self) -> None:
        """Erase the items of the process before this one, once the journal has them."""
        self.engine.enter(NO_ITEM)
        self.background.enter(NO_ITEM)

    def close(self) -> None:
        """Close the file at a normal end of the process."""
        with suppress(ValueError):
            self.clear()
            for marker in self._slots:
                marker.slot.release()
            self._memory.close()
