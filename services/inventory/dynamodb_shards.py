"""The stock of a SKU in DynamoDB: one item, and shards once orders contend for it.

A transaction on an item that another transaction holds is refused, not queued (Transactions, How
it works: Transaction conflict handling), and a partition takes 1,000 write units a second
(Partition keys, best practices). So a SKU whose item refuses one order `SPLIT_AFTER` times is
split: its available units move to `SHARDS` items with partition keys of their own. An order
reserves all units of a SKU at one shard. The SKU's first item stays the reserve of the shards:
receipts and restocked units are added to it, and a shard without enough units is filled from it,
then from other shards. The stock of the SKU is the sum of its items.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from math import ceil

from inventory.model import Shortage, Stock
from kernel.errors import VersionConflict
from storage.dynamodb.table import ConditionFailed, Contended, Item, Table, Update

STOCK, SHARD = "stock", "shard"
COUNTS = ("received", "available", "reserved", "shipped", "restocked")

SHARDS = 32
"""Shards of a split SKU; the number is stored in its item."""

SPLIT_AFTER = 3
"""Conflicts of one order at a SKU's item before the SKU is split."""

MIN_SHARE = 8
"""Units of a shard at the split; a SKU with fewer is sold out before shards help."""

ROUNDS = 12
"""Maximum attempts to supply a shard, and of an order to reserve."""


def stock_key(sku: str, place: int = 0) -> tuple[str, str]:
    """Return the key of a SKU's item, or of one of its shards, which have the numbers from 1."""
    return (f"{STOCK}#{sku}#{place}", SHARD) if place else (f"{STOCK}#{sku}", STOCK)


def sku_of(item: Item) -> str:
    """Return the SKU of its item or of a shard."""
    name = str(item["pk"]).partition("#")[2]
    return name.rpartition("#")[0] if item["sk"] == SHARD else name


def whole(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the item of each SKU with the sums of its shards, instead of the shards."""
    firsts: dict[str, Item] = {}
    shards: list[Item] = []
    for item in items:
        if item["sk"] == STOCK:
            firsts[sku_of(item)] = dict(item)
        else:
            shards.append(item)
    for shard in shards:
        first = firsts.setdefault(sku_of(shard), _nothing(sku_of(shard)))
        for count in COUNTS:
            first[count] += shard.get(count, 0)
    yield from firsts.values()


def stock_of(item: Item) -> Stock:
    """Return the stock in a SKU's whole item."""
    on_hand = item["available"] + item["reserved"]
    counts = (item["reserved"], item["shipped"], item["restocked"])
    return Stock(sku_of(item), item["received"], on_hand, *counts)


def read_stock(table: Table, skus: Iterable[str]) -> dict[str, Stock]:
    """Return the stock of these SKUs, by SKU; unknown SKUs are left out."""
    items = table.get_all((stock_key(sku) for sku in skus), consistent=True)
    keys = (stock_key(sku_of(item), place) for item in items for place in _shards(item))
    items += table.get_all(keys, consistent=True)
    return {sku_of(item): stock_of(item) for item in whole(items)}


class Shards:
    """The shards of split SKUs in a table; a process remembers which SKUs are split."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._split: dict[str, int] = {}

    def choose(self, sku: str) -> int:
        """Return the place at which an order reserves: 0, or a shard of a split SKU at random."""
        shards = self._split.get(sku, 0)
        return random.randint(1, shards) if shards else 0  # noqa: S311 - no secret

    def learn(self, sku: str, first: Item | None) -> bool:
        """Remember whether a SKU's first item is split, and return it."""
        shards = int((first or {}).get("shards", 0))
        if shards:
            self._split[sku] = shards
        return bool(shards)

    def split(self, sku: str, attempt: int = 0) -> None:
        """Split a SKU's available units, unless they are too few or others were faster.

        It is tried once, since a transaction of all shards refuses the orders that use them.
        ``attempt`` is that of `Table.write`.
        """
        first = self._table.get(*stock_key(sku))
        if first is None or self.learn(sku, first):
            return
        share = first["available"] // SHARDS
        if share < MIN_SHARE:
            return
        update = _taken(sku, 0, share * SHARDS)
        update.when(f"attribute_not_exists({update.name('shards')})")
        update.put(shards=SHARDS)
        shards = [_added(sku, place, share) for place in range(1, SHARDS + 1)]
        try:
            self._table.write(update, *shards, attempt=attempt)
        except ConditionFailed as failed:
            self.learn(sku, failed.stored.get(0))
        except Contended:
            return  # the next conflict tries again
        else:
            self._split[sku] = SHARDS

    def supply(self, sku: str, units: int) -> int | Shortage:
        """Return a shard that has these units, filled if necessary, or the shortage.

        No read shows all items at one moment. So a shortage is certain only if two reads agree.

        Raises
        ------
        VersionConflict
            Other orders keep taking the units.
        """
        before: dict[int, int] = {}
        for attempt in range(ROUNDS):
            available = self._available(sku)
            total = sum(available.values())
            if total < units:
                if available == before:
                    return Shortage(sku, units, total)
                before = available
                continue
            place = self._supplied(sku, units, available, attempt)
            if place:
                return place
        raise VersionConflict(f"other orders keep taking the units of {sku}")

    def _available(self, sku: str) -> dict[int, int]:
        keys = {stock_key(sku, place): place for place in range(self._split[sku] + 1)}
        available = dict.fromkeys(keys.values(), 0)
        for item in self._table.get_all(keys, consistent=True):
            available[keys[item["pk"], item["sk"]]] = item["available"]
        return available

    def _supplied(self, sku: str, units: int, available: Mapping[int, int], attempt: int) -> int:
        """Return a shard with enough units, or 0 if it was not filled."""
        rich = [place for place in available if place and available[place] >= units]
        if rich and not available[0]:
            return random.choice(rich)  # noqa: S311 - no secret
        target = self.choose(sku)
        if target in rich:
            return target
        given = _gifts(units, available, target)
        try:
            self._table.write(
                _added(sku, target, sum(given.values())),
                *(_taken(sku, place, number) for place, number in given.items()),
                attempt=attempt,
            )
        except (ConditionFailed, Contended):
            return random.choice(rich) if rich else 0  # noqa: S311 - no secret
        return target


def _gifts(units: int, available: Mapping[int, int], target: int) -> dict[int, int]:
    """Return the units that other places give to a shard.

    The first item gives a share of its units, so that few orders need it; it gives its last units
    at once.
    """
    needed = units - available[target]
    shards = len(available) - 1
    reserve = available[0]
    given = {}
    if reserve:
        share = reserve if reserve <= shards * MIN_SHARE else ceil(reserve / shards)
        given[0] = min(reserve, max(share, needed))
        needed -= given[0]
    others = sorted(available, key=lambda place: available[place], reverse=True)
    for place in others:
        if needed > 0 and place not in (0, target) and available[place]:
            given[place] = min(available[place], needed)
            needed -= given[place]
    return given


def _shards(first: Item) -> range:
    return range(1, int(first.get("shards", 0)) + 1)


def _nothing(sku: str) -> Item:
    pk, sk = stock_key(sku)
    return {"pk": pk, "sk": sk, **dict.fromkeys(COUNTS, 0)}


def _added(sku: str, place: int, units: int) -> Update:
    update = Update(*stock_key(sku, place))
    for count in COUNTS:
        update.add(count, units if count == "available" else 0)
    return update


def _taken(sku: str, place: int, units: int) -> Update:
    update = Update(*stock_key(sku, place))
    available, number = update.name("available"), update.value(units)
    update.when(f"{available} >= {number}")
    update.set(available, f"{available} - {number}")
    return update
