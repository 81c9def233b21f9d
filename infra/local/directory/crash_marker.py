"""The item that a process handles, written where it outlives the process.

A process that ends in the middle of an item (out of memory, a crash in a C library, a kill)
leaves the item's name in a memory-mapped file of the data directory. The next start reads it: an
item that was named twice is put aside (`infra.local.engine.crash_suspects`). The file is not
synced, since a power cut says nothing about an item.
"""

import mmap
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple, TypeAlias


class Kind(IntEnum):
    """Kinds of items; their numbers are in the journal and in the marker's file."""

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

    @property
    def label(self) -> str:
        """The kind in lower case, as people read it."""
        return self.name.lower()


class Item(NamedTuple):
    """One item, or the items of a batch: ``first`` to ``last`` are ids in the journal."""

    kind: Kind
    first: int
    last: int

    def __str__(self) -> str:
        ids = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        return f"{self.kind.label} {ids}"


Ids: TypeAlias = tuple[Kind, int, int]
"""An `Item` before it is named: a plain tuple takes a fifth of the time to make."""

NOTHING: Ids = (Kind.NONE, 0, 0)


class CrashMarker:
    """The item that one thread handles; this one keeps it in memory alone."""

    def __init__(self) -> None:
        self.current: Ids = NOTHING

    def enter(self, item: Ids) -> None:
        """Note which item is handled from now on; `NOTHING` for none."""
        self.current = item

    def leave(self, outer: Ids) -> None:
        """Note that an item is handled; the next one, or the turn's end, takes its place.

        To write that nothing is handled after each item would take half of the marker's time.
        """
        if outer is NOTHING:
            self.current = outer
        else:
            self.enter(outer)


_SLOT = 3 * 8
"""Bytes of a slot: the kind and the two ids, as integers of 64 bits."""


class FileMarker(CrashMarker):
    """A marker whose item outlives the process, in a slot of a `MarkerFile`."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        super().__init__()
        self.slot = memoryview(memory)[at : at + _SLOT].cast("q")

    def enter(self, item: Ids) -> None:
        """Note which item is handled from now on; `NOTHING` for none."""
        self.current = item
        slot = self.slot
        slot[0], slot[1], slot[2] = item


class Markers:
    """The markers of one process, in memory alone: the engine's, and its background thread's.

    ``left`` are the items that the process before this one was handling when it ended.
    """

    def __init__(self) -> None:
        self.engine = CrashMarker()
        self.background = CrashMarker()
        self.left: list[Item] = []


class MarkerFile(Markers):
    """The markers of one process, in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        with path.open("a+b") as file:
            file.truncate(_SLOT * 2)
            self._memory = mmap.mmap(file.fileno(), _SLOT * 2)
        self._slots = FileMarker(self._memory, 0), FileMarker(self._memory, _SLOT)
        self.engine, self.background = self._slots
        self.left = [
            Item(Kind(kind), first, last)
            for kind, first, last in (marker.slot for marker in self._slots)
            if kind in set(Kind) - {Kind.NONE}
        ]

    def clear(self) -> None:
        """Forget the items of the process before this one: the journal has them now."""
        self.engine.enter(NOTHING)
        self.background.enter(NOTHING)

    def close(self) -> None:
        """Close the file of a process that ends in order."""
        with suppress(ValueError):
            self.clear()
            for marker in self._slots:
                marker.slot.release()
            self._memory.close()
