"""A popular SKU in DynamoDB: shards, write units of each key, and orders per second."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any

import pytest

from infra.moving.dynamodb import DynamoPlace
from inventory import usecases as inventory
from inventory.dynamodb import HELD, DynamoInventory
from inventory.dynamodb_shards import MIN_SHARE, SHARD, SHARDS, SPLIT_AFTER, Shards, read_stock
from inventory.model import Receipt, Stock
from kernel.order_record import Line, OrderRecord
from kernel.order_status import Reservation, Status
from storage.dynamodb.table import Table
from tests.fakes.records import EPOCH, NOW, order
from tests.integration.dynamo_stores import Contending, DynamoStores, OneAtATime, moto
from tests.integration.units import size

PARTITION_UNITS = 1_000
"""Write units a second of a partition, and so of an item (Partition keys, best practices)."""

TRANSACTIONAL = 2
"""Write units of 1 KB in a transaction (Transactions, How it works: Capacity management)."""

TARGET = 500
"""Orders of one SKU a second."""

SLOWER = 25
"""Factor by which the test of the rate is slower than DynamoDB, since moto is."""

TRANSACTION_SECONDS = 0.012
"""Duration of a transaction that the bill assumes (`infra.cost.deployment.TRANSACTION_MS`)."""


@pytest.fixture(scope="module")
def aws() -> Iterator[OneAtATime]:
    with moto() as client:
        yield client


@pytest.fixture
def stores(aws: OneAtATime) -> Iterator[DynamoStores]:
    opened = DynamoStores(aws)
    yield opened
    opened.close()


def stocked(stores: DynamoStores, units: int, receipt: str = "first") -> None:
    assert stores.inventory().receive(Receipt(receipt, {"TEA": units}), NOW)


def split(stores: DynamoStores) -> None:
    Shards(stores.table).split("TEA")


def placed(stores: DynamoStores, number: int, units: int = 1, **fields: Any) -> OrderRecord:
    lines = (Line("TEA", units, 3700),)
    unwritten = order(order_id=f"A-{number}", items=lines, version=0, updated_at=NOW, **fields)
    return stores.orders().save(unwritten.change())


def ports(stores: DynamoStores) -> inventory.Ports:
    return inventory.Ports(stores.inventory(), lambda: NOW)


def shards(stores: DynamoStores) -> list[dict[str, Any]]:
    return [item for item in stores.table.scan() if item["sk"] == SHARD]


def undone(stores: DynamoStores, number: int) -> None:
    """Set an order COMPENSATING, and give its units back."""
    record = stores.orders().read(f"A-{number}")
    stores.orders().save(record.change(status=Status.COMPENSATING))
    inventory.release(f"A-{number}", EPOCH, ports(stores))


# ---- the split


def test_a_stock_item_of_an_earlier_version_is_split_with_all_its_counts(
    stores: DynamoStores,
) -> None:
    """The item is as version 0.1.0 wrote it, with units that an order has reserved there."""
    stocked(stores, 1000)
    placed(stores, 1, 3)
    assert inventory.reserve("A-1", EPOCH, ports(stores)).outcome == "RESERVED"
    split(stores)
    assert len(shards(stores)) == SHARDS
    assert {item["available"] for item in shards(stores)} == {997 // SHARDS}
    assert stores.stock() == {"TEA": Stock("TEA", 1000, on_hand=1000, reserved=3)}
    inventory.commit("A-1", EPOCH, ports(stores))
    placed(stores, 2, 2)
    store = ports(stores)
    assert inventory.reserve("A-2", EPOCH, store).outcome == "RESERVED"
    inventory.commit("A-2", EPOCH, store)
    assert stores.stock() == {"TEA": Stock("TEA", 1000, on_hand=995, shipped=5)}


def test_a_second_split_changes_nothing(stores: DynamoStores) -> None:
    stocked(stores, 1000)
    split(stores)
    before = stores.everything()
    split(stores)
    assert stores.everything() == before


@pytest.mark.parametrize("units", [0, 1, SHARDS * MIN_SHARE - 1])
def test_few_units_are_not_split(stores: DynamoStores, units: int) -> None:
    stocked(stores, units)
    before = stores.everything()
    split(stores)
    Shards(stores.table).split("UNKNOWN")
    assert stores.everything() == before


def test_orders_that_contend_for_a_sku_split_it(stores: DynamoStores) -> None:
    stocked(stores, 1000)
    client = Refusing(stores.client, "stock#TEA", SPLIT_AFTER)
    table = Table(stores.table.name, lambda: client, lambda _: None)
    placed(stores, 1)
    store = inventory.Ports(DynamoInventory(table), lambda: NOW)
    assert inventory.reserve("A-1", EPOCH, store).outcome == "RESERVED"
    [place] = stores.table.get("order#A-1", "order")[HELD].values()  # type: ignore[index]
    assert stores.table.get(f"stock#TEA#{place}", SHARD)["reserved"] == 1  # type: ignore[index]


def test_a_sku_with_a_rare_conflict_is_not_split(stores: DynamoStores) -> None:
    stocked(stores, 1000)
    client = Refusing(stores.client, "stock#TEA", SPLIT_AFTER - 1)
    table = Table(stores.table.name, lambda: client, lambda _: None)
    placed(stores, 1)
    inventory.reserve("A-1", EPOCH, inventory.Ports(DynamoInventory(table), lambda: NOW))
    assert shards(stores) == []


class Refusing(Contending):
    """A client whose first transactions conflict at one key."""

    def __init__(self, client: Any, pk: str, times: int) -> None:
        super().__init__(client, 0.0)
        self._pk, self._times = pk, times

    def transact_write_items(self, **arguments: Any) -> Any:
        keys = [write["Update"]["Key"]["pk"]["S"] for write in arguments["TransactItems"]]
        if self._times and self._pk in keys:
            self._times -= 1
            table = arguments["TransactItems"][0]["Update"]["TableName"]
            self._held = {f"{table} {self._pk} stock"}
        try:
            return super().transact_write_items(**arguments)
        finally:
            self._held = set()


# ---- units of a split SKU


@pytest.mark.parametrize("units", [1, 3, 7])
def test_a_split_sku_is_sold_to_its_last_unit_and_never_oversold(
    stores: DynamoStores, units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The units of the last orders are in several shards, none of which has enough."""
    monkeypatch.setattr("inventory.dynamodb_shards.SHARDS", 4)
    total = 32
    stocked(stores, total)
    split(stores)
    number = ceil(total / units) + 2
    store = ports(stores)
    for each in range(number):
        placed(stores, each, units)
    found = Counter(inventory.reserve(f"A-{n}", EPOCH, store).outcome for n in range(number))
    sold = total // units
    assert found == {"RESERVED": sold, "OUT_OF_STOCK": number - sold}
    assert stores.stock() == {"TEA": Stock("TEA", total, on_hand=total, reserved=sold * units)}
    assert min(item["available"] for item in shards(stores)) >= 0


def test_a_shortage_names_the_units_of_all_shards(stores: DynamoStores) -> None:
    stocked(stores, 300)
    split(stores)
    placed(stores, 1, 301)
    [missing] = inventory.reserve("A-1", EPOCH, ports(stores)).missing
    assert missing == {"sku": "TEA", "requested": 301, "available": 300}
    placed(stores, 2, 300)
    assert inventory.reserve("A-2", EPOCH, ports(stores)).outcome == "RESERVED"


def test_received_and_restocked_units_are_sold_by_the_shards(stores: DynamoStores) -> None:
    stocked(stores, 300)
    split(stores)
    placed(stores, 1, 300)
    store = ports(stores)
    inventory.reserve("A-1", EPOCH, store)
    inventory.commit("A-1", EPOCH, store)
    undone(stores, 1)
    assert stores.stock() == {"TEA": Stock("TEA", 300, on_hand=300, shipped=300, restocked=300)}
    stocked(stores, 100, "second")
    placed(stores, 2, 400)
    assert inventory.reserve("A-2", EPOCH, store).outcome == "RESERVED"
    undone(stores, 2)
    assert stores.stock() == {"TEA": Stock("TEA", 400, on_hand=400, shipped=300, restocked=300)}
    assert HELD not in (stores.table.get("order#A-2", "order") or {})


def test_few_orders_use_the_first_item_of_a_split_sku(stores: DynamoStores) -> None:
    """After a receipt all shards are empty; each order that fills one takes a share."""
    stocked(stores, 256)
    split(stores)
    placed(stores, 0, 256)
    inventory.reserve("A-0", EPOCH, ports(stores))
    stocked(stores, 10_000, "second")
    stores.client.calls.clear()
    store = ports(stores)
    for number in range(1, 81):
        placed(stores, number)
        inventory.reserve(f"A-{number}", EPOCH, store)
    assert written(stores.client.calls)["stock#TEA"] <= 1 + SHARDS


def test_a_step_that_is_repeated_moves_the_units_once(stores: DynamoStores) -> None:
    stocked(stores, 300)
    split(stores)
    placed(stores, 1, 5)
    for _ in range(2):
        inventory.reserve("A-1", EPOCH, ports(stores))
    for _ in range(2):
        inventory.commit("A-1", EPOCH, ports(stores))
    assert stores.stock() == {"TEA": Stock("TEA", 300, on_hand=295, shipped=5)}


def test_concurrent_orders_do_not_oversell_a_split_sku(stores: DynamoStores) -> None:
    stocked(stores, 260)
    split(stores)
    client = Contending(stores.client, 0.003)
    for number in range(30):
        placed(stores, number, 10)

    def reserve(worker: int) -> list[str]:
        table = Table(stores.table.name, lambda: client)
        store = inventory.Ports(DynamoInventory(table), lambda: NOW)
        return [inventory.reserve(f"A-{n}", EPOCH, store).outcome for n in range(worker, 30, 6)]

    with ThreadPoolExecutor(6) as pool:
        outcomes = Counter(one for found in pool.map(reserve, range(6)) for one in found)
    assert outcomes == {"RESERVED": 26, "OUT_OF_STOCK": 4}
    assert stores.stock() == {"TEA": Stock("TEA", 260, on_hand=260, reserved=260)}


# ---- orders per second


def written(calls: Sequence[tuple[str, Mapping[str, Any]]]) -> Counter[str]:
    """Return the number of writes to each partition key."""
    keys: Counter[str] = Counter()
    for operation, arguments in calls:
        if operation == "update_item":
            keys[arguments["Key"]["pk"]["S"]] += 1
        elif operation == "transact_write_items":
            keys.update(item["Update"]["Key"]["pk"]["S"] for item in arguments["TransactItems"])
    return keys


def test_no_key_of_a_popular_sku_is_written_by_every_order(stores: DynamoStores) -> None:
    """The units that orders write to each key of the SKU bound the orders per second."""
    random.seed(7)
    stocked(stores, 10_000)
    split(stores)
    number = 60
    for each in range(number):
        placed(stores, each)
    stores.client.calls.clear()
    store = ports(stores)
    for each in range(number):
        inventory.reserve(f"A-{each}", EPOCH, store)
        inventory.commit(f"A-{each}", EPOCH, store)
    writes = written(stores.client.calls)
    of_stock = {key: count for key, count in writes.items() if key.startswith("stock#")}
    assert of_stock.pop("stock#TEA") == 1, "the first order of a process learns of the shards"
    assert sum(of_stock.values()) == 2 * number, "a reservation and a commit, at one shard each"
    largest = max(size(raw(stores, key, SHARD)) for key in of_stock)
    units = TRANSACTIONAL * ceil(largest / 1024)
    an_order = max(of_stock.values()) * units / number
    assert PARTITION_UNITS / an_order >= TARGET
    # with evenly chosen shards
    assert PARTITION_UNITS * SHARDS / (2 * units) == 8_000
    # the orders' own items are written by one order each
    orders = {key: count for key, count in writes.items() if key.startswith("order#")}
    assert Counter(orders.values()) in ({2: number}, {2: number - 1, 3: 1})


def raw(stores: DynamoStores, pk: str, sk: str) -> Mapping[str, Any]:
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    found: Mapping[str, Any] = stores.client.get_item(TableName=stores.table.name, Key=key)["Item"]
    return found


@pytest.mark.parametrize(("already_split", "attempts"), [(True, 3.0), (False, 6.0)])
def test_a_sku_is_sold_at_the_target_rate_without_a_failed_step(
    stores: DynamoStores,
    already_split: bool,  # noqa: FBT001 - a column
    attempts: float,
) -> None:
    """500 orders a second, with shards or from the moment on at which the SKU is one item.

    ``attempts`` is the maximum mean of attempts of a transaction. Everything is slower by one
    factor: transactions, backoff, and the orders' arrival. A step may take the 10 s of its
    function.
    """
    number = 80
    stocked(stores, 2_000)
    if already_split:
        split(stores)
    for each in range(number):
        placed(stores, each)
    client = Contending(stores.client, TRANSACTION_SECONDS * SLOWER)
    slow = Table(stores.table.name, lambda: client, lambda wait: time.sleep(wait * SLOWER))
    store = inventory.Ports(DynamoInventory(slow), lambda: NOW)
    longest: list[float] = []

    def run(each: int) -> None:
        for step in (inventory.reserve, inventory.commit):
            started = time.monotonic()
            step(f"A-{each}", EPOCH, store)
            longest.append((time.monotonic() - started) / SLOWER)

    _arrive(number, TARGET / SLOWER, run)
    assert len(longest) == 2 * number
    assert max(longest) < 3.0
    assert stores.stock() == {"TEA": Stock("TEA", 2_000, on_hand=2_000 - number, shipped=number)}
    assert len(shards(stores)) == SHARDS
    assert 1 + len(client.refused) / (2 * number) < attempts


def _arrive(number: int, rate: float, run: Callable[[int], None]) -> None:
    """Start runs at random moments with this mean rate per second, and wait for all."""
    threads = [threading.Thread(target=run, args=(each,)) for each in range(number)]
    for thread in threads:
        thread.start()
        time.sleep(random.expovariate(rate))
    for thread in threads:
        thread.join()


def test_the_views_of_stock_agree(stores: DynamoStores) -> None:
    stocked(stores, 300)
    stores.inventory().receive(Receipt("other", {"A#1": 4, "A": 2}), NOW)
    split(stores)
    placed(stores, 1, 5)
    inventory.reserve("A-1", EPOCH, ports(stores))
    assert stores.orders().read("A-1").reservation is Reservation.RESERVED
    found = read_stock(stores.table, ["TEA", "A#1", "A", "NONE"])
    assert found == stores.stock()
    assert found["TEA"] == Stock("TEA", 300, on_hand=300, reserved=5)


def test_a_split_sku_is_exported_as_one_line_and_its_orders_continue_elsewhere(
    stores: DynamoStores,
) -> None:
    stocked(stores, 300)
    split(stores)
    for number in (1, 2):
        placed(stores, number, 5)
        inventory.reserve(f"A-{number}", EPOCH, ports(stores))
    inventory.commit("A-2", EPOCH, ports(stores))
    here = DynamoPlace(stores.table, sleep=lambda _: None)
    rows = list(here.rows())
    [line] = [row for row in rows if row["kind"] == "stock"]
    expected = Stock("TEA", 300, on_hand=295, reserved=5, shipped=5)
    assert line == {"kind": "stock", **expected._asdict()}
    assert here.find(line) == line
    other = DynamoStores(stores.client)
    there = DynamoPlace(other.table, sleep=lambda _: None)
    for row in rows:
        there.add(row)
    inventory.commit("A-1", EPOCH, ports(other))
    assert other.stock() == {"TEA": Stock("TEA", 300, on_hand=290, shipped=10)}
    other.close()
