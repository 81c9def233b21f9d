"""A read of all items of a DynamoDB table as of one moment.

A scan is no snapshot. So items that can change are read again until two readings agree: both then
show the table between the two readings.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from inventory.dynamodb import RECEIPT
from inventory.dynamodb_shards import SHARD, STOCK
from kernel.order_status import ENDED
from storage.dynamodb.order_item import ATTRIBUTES, OPEN, ORDER, SHARDS
from storage.dynamodb.table import DUE, Item, Table

READINGS = 5
"""Maximum number of readings of the items that can change."""

PAUSE = 1.0
"""Seconds between two of these readings."""

_ENDED = frozenset(str(status) for status in ENDED)

Items = dict[tuple[str, str], Item]


class Reading:
    """One read of a table: first the items `settled`, then those `moving`.

    After that, ``rested`` is whether the items are as of one moment.
    """

    def __init__(self, table: Table, sleep: Callable[[float], None] = time.sleep) -> None:
        self.table = table
        self.rested = False
        self._sleep = sleep
        self._moving: Items = {}

    def settled(self) -> Iterator[Item]:
        """Yield the items that do not change while orders are processed."""
        for item in self.table.scan():
            if _can_change(item):
                self._moving[item["pk"], item["sk"]] = item
            else:
                yield item

    def moving(self) -> Iterable[Item]:
        """Return the other items as of two readings that agree, or as of the last reading."""
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
            for keys in (
                self.table.query("dp = :part", index=DUE, part=str(part)),
                self.table.query("gpk = :part", part=f"{OPEN}#{part}"),
            )
            for key in keys
        ]
        items = self.table.get_all([*known, *open_now], consistent=True)
        return {(item["pk"], item["sk"]): item for item in items}


def _can_change(item: Item) -> bool:
    if item.get("out") or item["sk"] in (STOCK, SHARD) or item["sk"].startswith(RECEIPT):
        return True
    return item["sk"] == ORDER and item.get(ATTRIBUTES["status"]) not in _ENDED
