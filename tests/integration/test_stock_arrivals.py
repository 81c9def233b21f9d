"""Orders that wait for units resume when these arrive, the oldest first (`Stock Received`)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from inventory.model import Adjustment, Receipt
from kernel.errors import InvalidEvent, InvalidStock
from kernel.order_record import Entry, Message
from kernel.stock_events import NAME, SOURCE, Supply, parse
from orders import model, stock_arrivals
from orders.change_requests import apply_request
from orders.model import Reason, Wait
from orders.usecases import Policy, Ports
from tests.fakes.records import NOW
from tests.faults.scene import forget, let_go
from tests.host import Host, host, order
from tests.integration.stores import Stores
from tests.integration.test_stores import aws, placed, stocked, stores  # noqa: F401 - a fixture

OUT_OF_STOCK = Reason("OutOfStock", "TEA: 1 ordered, 0 available")


def waits(stores: Stores, order_id: str, created_at: float, *skus: str) -> None:  # noqa: F811
    """Write an order that waits for these SKUs."""
    record = placed(stores, order_id=order_id, created_at=created_at)
    change = model.pause(record, record.epoch, OUT_OF_STOCK, Wait(NOW, 300), ())
    stores.orders().save_waiting(change, skus)


def runs(stores: Stores) -> list[str]:  # noqa: F811
    """Return the orders for which a run is in the outbox, in its order."""
    inputs: list[Any] = [
        message.body["input"] for message, _ in stores.outbox() if message.kind == "run"
    ]
    return [each["resume"]["order_id"] for each in inputs]


def ports(stores: Stores) -> Ports:  # noqa: F811
    ticks = count()
    return Ports(stores.orders(), lambda: NOW + next(ticks) / 1000, Policy())


def test_the_oldest_order_that_waits_for_a_sku_is_the_first(stores: Stores) -> None:  # noqa: F811
    waits(stores, "A-3", NOW - 1, "TEA")
    waits(stores, "A-1", NOW - 3, "TEA", "CAKE")
    waits(stores, "A-2", NOW - 2, "CAKE")
    store = stores.orders()
    assert store.waiting_for("TEA", 9) == ["A-1", "A-3"]
    assert store.waiting_for("TEA", 1) == ["A-1"]
    store.forget_waiting("TEA", [store.read("A-1")])
    assert (store.waiting_for("TEA", 9), store.waiting_for("CAKE", 9)) == (["A-3"], ["A-1", "A-2"])


def test_supplies_start_the_orders_that_they_cover_once(stores: Stores) -> None:  # noqa: F811
    demand = placed(stores, order_id="probe").demand["TEA"]
    for number in (3, 1, 2):
        waits(stores, f"A-{number}", NOW - 10 + number, "TEA")
    supply = [Supply("TEA", 2 * demand, 2 * demand)]
    assert stock_arrivals.resume_waiting(supply, ports(stores)) == 2
    assert runs(stores) == ["A-1", "A-2"]
    assert stores.orders().waiting_for("TEA", 9) == ["A-3"]
    assert stock_arrivals.resume_waiting([Supply("TEA", 1, 0)], ports(stores)) == 0


def test_an_order_that_went_on_is_not_started_and_its_entry_goes(stores: Stores) -> None:  # noqa: F811
    waits(stores, "A-1", NOW, "TEA")
    record = stores.orders().read("A-1")
    stores.orders().save(record.change(Entry("X", NOW), waiting_for="PaymentUnavailable"))
    assert stock_arrivals.resume_waiting([Supply("TEA", 99, 99)], ports(stores)) == 0
    assert (runs(stores), stores.orders().waiting_for("TEA", 9)) == ([], [])


def test_an_entry_without_an_order_stops_no_other_order(
    stores: Stores,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The order was pruned between the two reads."""
    waits(stores, "A-1", NOW, "TEA")
    given = ports(stores)
    monkeypatch.setattr(given.store, "waiting_for", lambda _sku, _limit: ["gone", "A-1"])
    assert stock_arrivals.resume_waiting([Supply("TEA", 99, 99)], given) == 1
    assert runs(stores) == ["A-1"]


def test_a_call_that_ends_early_is_continued(
    stores: Stores,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(5):
        waits(stores, f"A-{number}", NOW - 10 + number, "TEA")
    given = ports(stores)
    send = given.store.send
    monkeypatch.setattr(stock_arrivals, "BATCH", 2)

    def ends_at_the_fourth(message: Message, at: float) -> None:
        if len(runs(stores)) == 3:
            raise TimeoutError
        send(message, at)

    supply = [Supply("TEA", 99, 99)]
    with monkeypatch.context() as patched:
        patched.setattr(given.store, "send", ends_at_the_fourth)
        with pytest.raises(TimeoutError):
            stock_arrivals.resume_waiting(supply, given)
    assert stores.orders().waiting_for("TEA", 9) == ["A-2", "A-3", "A-4"]
    assert stock_arrivals.resume_waiting(supply, given) == 3
    assert set(runs(stores)) == {f"A-{number}" for number in range(5)}
    assert stores.orders().waiting_for("TEA", 9) == []


def test_a_receipt_publishes_what_orders_wait_for_and_only_once(stores: Stores) -> None:  # noqa: F811
    waits(stores, "A-1", NOW, "TEA")
    receipt = Receipt.of({"TEA": 4, "CAKE": 2})
    assert stores.inventory().receive(receipt, NOW)
    assert not stores.inventory().receive(receipt, NOW + 1)
    [(message, at)] = stores.outbox()
    assert (message.kind, message.body["Source"], at) == ("event", SOURCE, NOW)
    detail = json.loads(str(message.body["Detail"]))
    envelope = {"source": SOURCE, "detail-type": NAME, "detail": detail}
    assert parse(envelope) == [Supply("TEA", 4, 4)]
    apply_request(envelope, ports(stores))
    assert runs(stores) == ["A-1"]


def test_an_adjustment_counts_once_and_takes_no_reserved_unit(stores: Stores) -> None:  # noqa: F811
    stocked(stores, TEA=3)
    store = stores.inventory()
    assert store.adjust(Adjustment("TEA", -1, "k-1"), NOW).on_hand == 2
    assert store.adjust(Adjustment("TEA", -1, "k-1"), NOW).on_hand == 2
    assert store.adjust(Adjustment("TEA", 5, "k-2"), NOW).on_hand == 7
    for units, problem in ((-8, "cannot be removed"), (0, "change nothing")):
        with pytest.raises(InvalidStock, match=problem):
            store.adjust(Adjustment("TEA", units, f"k{units}"), NOW)
    with pytest.raises(InvalidStock, match="never received"):
        store.adjust(Adjustment("NONE", 1, "k-4"), NOW)
    assert stores.stock()["TEA"].on_hand == 7
    assert stores.stock()["TEA"].received == 7


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"detail-type": "Stock Lost"}, "detail-type"),
        ({"detail": None}, "detail.items"),
        ({"detail": {"items": [7]}}, "items.0"),
        ({"detail": {"items": [{"sku": 1, "units": 1, "available": 1}]}}, "items.0"),
        ({"detail": {"items": [{"sku": "A", "units": True, "available": 1}]}}, "items.0"),
    ],
)
def test_a_malformed_stock_event_is_refused_with_its_field(
    change: dict[str, Any], field: str
) -> None:
    envelope = {"source": SOURCE, "detail-type": NAME, "detail": {"items": []}} | change
    with pytest.raises(InvalidEvent, match=field):
        parse(envelope)


@contextmanager
def real(path: Path) -> Iterator[Host]:
    """Open a platform in which no time is skipped to the end of a wait."""
    forget()
    with host(path) as opened:
        yield opened
    let_go(opened)


def test_a_waiting_order_completes_before_its_timer(tmp_path: Path) -> None:
    with real(tmp_path) as opened:
        opened.receive(TEA=0)
        opened.put(order("T-1"))
        turns(opened)
        before = opened.engine.clock.now()
        [row] = opened.rows("select status, resume_at from orders")
        assert row["status"] == "WAITING"
        opened.receive(TEA=1)
        opened.engine.outbox.is_due = True
        turns(opened)
        assert opened.rows("select status from orders") == [{"status": "COMPLETED"}]
        assert opened.engine.clock.now() - before < 60 < row["resume_at"] - before
        assert opened.rows("select reserved, shipped from stock") == [{"reserved": 0, "shipped": 1}]
        assert opened.rows("select * from waiting_orders") == []


def turns(opened: Host) -> None:
    """Take turns while items are due now, without a skip of time."""
    for _ in range(60):
        opened.engine.turn(0)
