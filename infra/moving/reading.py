"""Reading a whole DynamoDB table as of one moment.

A scan is no snapshot. So what can still change is read once more, and again, until two readings are
the same: both are then what was there between them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from inventory.dynamodb import RECEIPT, STOCK
from kernel.order_status import ENDED
from storage.dynamodb.order_item import ATTRIBUTES, OPEN, ORDER, SHARDS
from storage.dynamodb.table import Item, Table

READINGS = 5
"""Times that what can still change is read, at most."""

PAUSE = 1.0
"""Seconds between two of these readings."""

_ENDED = frozenset(str(status) for status in ENDED)

Items = dict[tuple[str, str], Item]


class Reading:
    """One reading of a table: first what is `settled`, then what was `moving`.

    ``rested`` says, after that, whether it was read as of one moment.
    """

    def __init__(self, table: Table, sleep: Callable[[float], None] = time.sleep) -> None:
        self.table = table
        self.rested = False
        self._sleep = sleep
        self._moving: Items = {}

    def settled(self) -> Iterator[Item]:
        """Return every item but those that are written again while orders move."""
        for item in self.table.scan():
            if _can_change(item):
                self._moving[item["pk"], item["sk"]] = item
            else:
                yield item

    def moving(self) -> Iterable[Item]:
        """Return the other items, as two readings in a row have found them, or as the last did."""
        for attempt in range(READINGS):
            if attempt:
                self._sleep(PAUSE)
            again = self._read_again(self._moving)
            self.rested = again == self._moving
            self._moving = again
            if self.rested:
                break
        return self._moving.values()

    def _read_again(self, known: Mapping[tuple[str, str], Item]) -> Items:
        open_now = [
            (key["pk"], key["sk"])
            for part in range(SHARDS)
            for key in self.table.query("gpk = :part", part=f"{OPEN}#{part}")
        ]
        found = self.table.get_all([*known, *open_now], consistent=True)
        return {(item["pk"], item["sk"]): item for item in found}


def _can_change(item: Item) -> bool:
    if item.get("out") or item["sk"] == STOCK or item["sk"].startswith(RECEIPT):
        return True
    return item["sk"] == ORDER and item.get(ATTRIBUTES["status"]) not in _ENDED
