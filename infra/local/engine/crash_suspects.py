"""Suspects: items that were being handled when the process ended, with a count of the crashes."""

from collections.abc import Sequence

from infra.local.directory.crash_marker import Item, Kind
from infra.local.directory.journal import Journal

CRASHES = 2
"""Crashes in the middle of an item after which the item is quarantined."""

_NOTE = "insert or replace into suspects values (?, ?, ?, ?, ?)"

_NOT_JOURNALLED = {Kind.EVENT, Kind.REQUEST, Kind.CALL, Kind.WORK, Kind.LETTER}
"""Kinds of items that are in no table, so there is nothing to try again after a crash."""


class Suspects:
    """The items that earlier processes were handling when they ended.

    ``messages`` and ``records`` are handled one by one from now on, so that the next crash names a
    single item. ``to_quarantine`` are not handled again. ``quarantined`` are the numbers of the
    replayed events among these and those of earlier starts: no row of a replay has them.
    """

    def __init__(self, journal: Journal, interrupted: Sequence[Item], now: float) -> None:
        self.messages: set[int] = set()
        self.records: list[tuple[int, int]] = []
        self.to_quarantine: list[Item] = []
        known = [
            (Item(Kind(row["kind"]), row["first"], row["last"]), row["crashes"])
            for row in journal.database.rows("select * from suspects")
        ]
        for item in interrupted:
            if item.kind in _NOT_JOURNALLED:
                continue
            earlier = [crashes for other, crashes in known if _overlaps(item, other)]
            crashes = 1 + max(earlier, default=0)
            journal.batch.add(_NOTE, *item, crashes, now)
            known.append((item, crashes))
            if crashes >= CRASHES:
                self.to_quarantine.append(item)
        for item, _ in known:
            if item.kind is Kind.MESSAGE:
                self.messages.update(range(item.first, item.last + 1))
            elif item.kind is Kind.RECORD:
                self.records.append((item.first, item.last))
        self.quarantined = {
            item.first for item, crashes in known if item.kind is Kind.REPLAY and crashes >= CRASHES
        }


def _overlaps(item: Item, other: Item) -> bool:
    return item.kind is other.kind and item.first <= other.last and other.first <= item.last
