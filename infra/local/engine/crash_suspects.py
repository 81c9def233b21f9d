"""Items that ended the process: the next start recognises them, the second time puts them aside."""

from collections.abc import Sequence

from infra.local.directory.crash_marker import Item, Kind
from infra.local.directory.journal import Journal

CRASHES = 2
"""Ends of the process in the middle of an item after which it is not tried again."""

_NOT_JOURNALLED = {Kind.EVENT, Kind.REQUEST, Kind.CALL, Kind.WORK, Kind.LETTER}
"""Kinds of items that end with their process: nothing of them is left to try again."""


class Suspects:
    """What the processes before this one were handling when they ended.

    ``messages`` and ``records`` are suspects that are handled one by one from now on, so that the
    next end of the process names one of them; ``to_put_aside`` are not handled again.
    """

    def __init__(self, journal: Journal, left: Sequence[Item], now: float) -> None:
        self.messages: set[int] = set()
        self.records: list[tuple[int, int]] = []
        self.to_put_aside: list[Item] = []
        known = [
            (Item(Kind(row["kind"]), row["first"], row["last"]), row["crashes"])
            for row in journal.database.rows("select * from suspects")
        ]
        for item in left:
            if item.kind in _NOT_JOURNALLED:
                continue
            before = [crashes for other, crashes in known if _overlaps(item, other)]
            crashes = 1 + max(before, default=0)
            if crashes >= CRASHES:
                self.to_put_aside.append(item)
                continue
            known.append((item, crashes))
            journal.batch.add("insert into suspects values (?, ?, ?, ?, ?)", *item, crashes, now)
        for item, _ in known:
            if item.kind is Kind.MESSAGE:
                self.messages.update(range(item.first, item.last + 1))
            elif item.kind is Kind.RECORD:
                self.records.append((item.first, item.last))


def _overlaps(one: Item, other: Item) -> bool:
    return one.kind is other.kind and one.first <= other.last and other.first <= one.last
