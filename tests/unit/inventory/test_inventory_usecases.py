"""Stock is reserved completely or not at all, committed once, and released once."""

from typing import Any

import pytest

from inventory.model import Move, Receipt, Shortage, Stock, shortages
from inventory.usecases import Outcome, Ports, commit, release, reserve
from kernel.errors import LeaseLost, OrderCancelled, OrderflowError, OrderNotFound
from kernel.order_record import Entry, Line
from kernel.order_status import Reservation, Status
from tests.fakes.inventory import FakeInventory
from tests.fakes.records import EPOCH, NOW, order, waiting

DEMAND = {"TEA": 2, "CUP": 1}


def ports(store: FakeInventory) -> Ports:
    return Ports(store, lambda: NOW)


def holding(reservation: Reservation, **fields: Any) -> FakeInventory:
    """Return a store of 10 TEA and 10 CUP with the order in this state."""
    store = FakeInventory(order(), TEA=10, CUP=10)
    reserve("A-1", EPOCH, ports(store))
    if reservation is Reservation.COMMITTED:
        commit("A-1", EPOCH, ports(store))
    store.touch(**fields)
    store.moves.clear()
    store.timeline.clear()
    return store


# ---- reserve


def test_every_line_and_the_order_are_reserved() -> None:
    store = FakeInventory(order(), TEA=2, CUP=1)
    assert reserve("A-1", EPOCH, ports(store)) == Outcome("RESERVED")
    assert store.moves == [(Move.RESERVE, DEMAND)]
    assert (store.only.status, store.only.reservation) == (Status.RESERVED, "RESERVED")
    assert store.timeline == [("A-1", Entry("STOCK_RESERVED", NOW, {"units": 3}))]


def test_lines_of_one_sku_are_reserved_together() -> None:
    lines = (Line("TEA", 2, 100), Line("TEA", 3, 90))
    store = FakeInventory(order(items=lines), TEA=4)
    assert reserve("A-1", EPOCH, ports(store)).missing == (
        {"sku": "TEA", "requested": 5, "available": 4},
    )


def test_a_waiting_order_is_reserved_after_stock_arrived() -> None:
    store = FakeInventory(waiting(), TEA=2, CUP=1)
    assert reserve("A-1", EPOCH, ports(store)).outcome == "RESERVED"
    assert store.only.status is Status.RESERVED


@pytest.mark.parametrize("reservation", [Reservation.RESERVED, Reservation.COMMITTED])
def test_an_order_is_reserved_once(reservation: Reservation) -> None:
    store = holding(reservation)
    before = store.only
    assert reserve("A-1", EPOCH, ports(store)) == Outcome("RESERVED")
    assert (store.only, store.moves) == (before, [])


@pytest.mark.parametrize(
    ("on_hand", "message", "missing"),
    [
        ({"TEA": 1, "CUP": 9}, "TEA: 2 ordered, 1 available", [("TEA", 2, 1)]),
        ({"TEA": 9, "CUP": 0}, "CUP: 1 ordered, 0 available", [("CUP", 1, 0)]),
        (
            {"TEA": 1, "CUP": 0},
            "TEA: 2 ordered, 1 available, CUP: 1 ordered, 0 available",
            [("TEA", 2, 1), ("CUP", 1, 0)],
        ),
    ],
)
def test_nothing_is_reserved_if_a_line_is_short(
    on_hand: dict[str, int], message: str, missing: list[tuple[str, int, int]]
) -> None:
    store = FakeInventory(order(), **on_hand)
    names = ("sku", "requested", "available")
    assert reserve("A-1", EPOCH, ports(store)) == Outcome(
        "OUT_OF_STOCK",
        "OutOfStock",
        message,
        tuple(dict(zip(names, one, strict=True)) for one in missing),
    )
    assert (store.only, store.moves, store.timeline) == (order(), [], [])


@pytest.mark.parametrize("on_hand", [{"TEA": 9}, {"TEA": 0}])
def test_an_order_does_not_wait_for_an_unknown_sku(on_hand: dict[str, int]) -> None:
    outcome = reserve("A-1", EPOCH, ports(FakeInventory(order(), **on_hand)))
    assert (outcome.outcome, outcome.reason) == ("UNDO", "UnknownSku")
    assert outcome.message == "no stock is known of CUP; receive it or correct the order"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cancel_requested": True}, "OrderCancelled"),
        ({"status": Status.COMPENSATING, "failure": "PaymentDeclined"}, "PaymentDeclined"),
        ({"status": Status.COMPENSATING, "failure": None}, "OrderCancelled"),
    ],
)
def test_a_cancelled_or_compensated_order_is_not_reserved(
    fields: dict[str, Any], reason: str
) -> None:
    store = FakeInventory(order(**fields), TEA=9, CUP=9)
    outcome = reserve("A-1", EPOCH, ports(store))
    assert (outcome.outcome, outcome.reason) == ("UNDO", reason)
    assert "A-1" in outcome.message
    assert store.moves == []


def test_a_concurrent_cancellation_prevents_the_reservation() -> None:
    store = FakeInventory(order(), TEA=9, CUP=9)
    store.before_next_write(lambda: store.touch(cancel_requested=True))
    assert reserve("A-1", EPOCH, ports(store)).outcome == "UNDO"
    assert store.moves == []


def test_concurrent_invocations_reserve_once() -> None:
    store = FakeInventory(order(), TEA=2, CUP=1)
    store.before_next_write(lambda: reserve("A-1", EPOCH, ports(store)))
    assert reserve("A-1", EPOCH, ports(store)) == Outcome("RESERVED")
    assert store.moves == [(Move.RESERVE, DEMAND)]


# ---- commit


def test_reserved_units_are_committed_once() -> None:
    store = holding(Reservation.RESERVED)
    assert [commit("A-1", EPOCH, ports(store)) for _ in range(2)] == [Outcome("COMMITTED")] * 2
    assert store.moves == [(Move.COMMIT, DEMAND)]
    assert (store.only.status, store.only.reservation) == (Status.RESERVED, "COMMITTED")
    assert store.timeline == [("A-1", Entry("STOCK_COMMITTED", NOW, {"units": 3}))]
    assert store.stock["TEA"] == Stock("TEA", received=10, on_hand=8, shipped=2)


def test_concurrent_invocations_commit_once() -> None:
    store = holding(Reservation.RESERVED)
    store.before_next_write(lambda: commit("A-1", EPOCH, ports(store)))
    assert commit("A-1", EPOCH, ports(store)) == Outcome("COMMITTED")
    assert store.moves == [(Move.COMMIT, DEMAND)]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"cancel_requested": True}, OrderCancelled),
        ({"status": Status.COMPENSATING}, OrderCancelled),
        ({"epoch": EPOCH + 1}, LeaseLost),
        ({"status": Status.FAILED}, LeaseLost),
    ],
)
def test_an_inactive_order_is_not_committed(
    fields: dict[str, Any], error: type[OrderflowError]
) -> None:
    store = holding(Reservation.RESERVED, **fields)
    with pytest.raises(error):
        commit("A-1", EPOCH, ports(store))
    assert store.moves == []


@pytest.mark.parametrize("reservation", [None, Reservation.RELEASED])
def test_an_order_without_a_reservation_is_not_committed(reservation: Reservation | None) -> None:
    store = FakeInventory(order(reservation=reservation), TEA=9, CUP=9)
    store.stock = {sku: stock._replace(reserved=9) for sku, stock in store.stock.items()}
    with pytest.raises(OrderflowError):
        commit("A-1", EPOCH, ports(store))
    assert store.moves == []


# ---- give back


@pytest.mark.parametrize(
    ("reservation", "move", "after"),
    [
        (Reservation.RESERVED, Move.RELEASE, "RELEASED"),
        (Reservation.COMMITTED, Move.RESTOCK, "RESTOCKED"),
    ],
)
def test_reserved_units_are_released_and_committed_units_restocked_once(
    reservation: Reservation, move: Move, after: str
) -> None:
    store = holding(reservation, status=Status.COMPENSATING)
    assert [release("A-1", EPOCH, ports(store)) for _ in range(2)] == [Outcome("GIVEN_BACK")] * 2
    assert store.moves == [(move, DEMAND)]
    assert (store.only.reservation, store.only.status) == (after, Status.COMPENSATING)
    assert store.timeline == [("A-1", Entry(f"STOCK_{after}", NOW, {"units": 3}))]
    assert {stock.available for stock in store.stock.values()} == {10}


def test_concurrent_invocations_release_once() -> None:
    store = holding(Reservation.RESERVED, status=Status.COMPENSATING)
    store.before_next_write(lambda: release("A-1", EPOCH, ports(store)))
    assert release("A-1", EPOCH, ports(store)) == Outcome("GIVEN_BACK")
    assert store.moves == [(Move.RELEASE, DEMAND)]


def test_an_order_without_a_reservation_releases_nothing() -> None:
    store = FakeInventory(order(status=Status.COMPENSATING), TEA=9, CUP=9)
    assert release("A-1", EPOCH, ports(store)) == Outcome("GIVEN_BACK")
    assert (store.only, store.moves) == (order(status=Status.COMPENSATING), [])


@pytest.mark.parametrize("status", sorted(frozenset(Status) - {Status.COMPENSATING}))
def test_only_an_order_in_compensation_releases_units(status: Status) -> None:
    store = holding(Reservation.RESERVED, status=status, cancel_requested=True)
    with pytest.raises(LeaseLost):
        release("A-1", EPOCH, ports(store))
    assert store.moves == []


# ---- fences


@pytest.mark.parametrize("step", [reserve, commit, release])
def test_a_run_without_the_lease_moves_nothing(step: Any) -> None:
    for status in (Status.RESERVED, Status.COMPENSATING):
        store = holding(Reservation.RESERVED, epoch=EPOCH + 1, status=status)
        with pytest.raises(LeaseLost):
            step("A-1", EPOCH, ports(store))
        assert store.moves == []


@pytest.mark.parametrize("step", [reserve, commit])
def test_a_run_superseded_between_read_and_write_moves_nothing(step: Any) -> None:
    """F20: a function that runs on after its timeout meets the compensation."""
    store = FakeInventory(order(), TEA=9, CUP=9)
    if step is commit:
        store = holding(Reservation.RESERVED)
    store.before_next_write(lambda: store.touch(status=Status.COMPENSATING, epoch=EPOCH + 1))
    with pytest.raises(LeaseLost):
        step("A-1", EPOCH, ports(store))
    assert store.moves == []


@pytest.mark.parametrize("step", [reserve, commit, release])
def test_an_unknown_order_moves_nothing(step: Any) -> None:
    with pytest.raises(OrderNotFound):
        step("A-1", EPOCH, ports(FakeInventory()))


# ---- receive


def test_a_receipt_is_received_once() -> None:
    store = FakeInventory(TEA=1)
    receipt = Receipt("digest", {"TEA": 5, "CUP": 2})
    assert [store.receive(receipt, NOW) for _ in range(2)] == [True, False]
    assert store.stock == {"TEA": Stock("TEA", 6, 6), "CUP": Stock("CUP", 2, 2)}


# ---- the rule


@pytest.mark.parametrize(
    ("stock", "missing"),
    [
        (Stock("TEA", 5, on_hand=5, reserved=3), []),
        (Stock("TEA", 5, on_hand=5, reserved=4), [Shortage("TEA", 2, 1)]),
        (Stock("TEA", 5, on_hand=1), [Shortage("TEA", 2, 1)]),
        (None, [Shortage("TEA", 2, 0, known=False)]),
    ],
)
def test_units_reserved_by_other_orders_are_not_available(
    stock: Stock | None, missing: list[Shortage]
) -> None:
    assert shortages({"TEA": 2}, {"TEA": stock} if stock else {}) == missing
