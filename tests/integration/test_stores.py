"""Properties of every store, on real files: the same tests for each adapter."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from inventory import usecases as inventory
from inventory.model import Move, OutOfStock, Receipt, Shortage, Stock
from kernel.errors import (
    ChangeRefused,
    DuplicateOrder,
    InvalidStock,
    OrderNotFound,
    VersionConflict,
)
from kernel.idempotency import confirmation_id
from kernel.order_record import Change, Entry, Line, Message, OrderRecord
from kernel.order_status import Approval, ChargeStatus, Reservation, ShipmentStatus, Status
from notifications.dynamodb import DynamoMails
from notifications.store import SQLiteMails
from notifications.usecases import MailStore
from orders import usecases as orders
from orders.model import Amendment
from orders.usecases import Policy
from payments.model import LedgerEntry
from shipping.model import Shipment
from tests.fakes.events import ADDRESS, envelope
from tests.fakes.records import EPOCH, NOW, order, waiting
from tests.integration.dynamo_stores import Contending, DynamoStores, OneAtATime, moto
from tests.integration.stores import SQLiteStores, Stores

T = TypeVar("T")
THREADS = 8
EVENT = Message("event", {"Source": "orders.service"})
UNSTORABLE: Any = object()


@pytest.fixture(scope="module")
def aws() -> Iterator[OneAtATime]:
    with moto() as client:
        yield client


TRANSACTION_SECONDS = 0.004


@pytest.fixture(params=["sqlite", "dynamodb", "dynamodb, contending"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    opened: Stores
    if request.param == "sqlite":
        opened = SQLiteStores(tmp_path)
    else:
        client = request.getfixturevalue("aws")
        contending = Contending(client, TRANSACTION_SECONDS)
        opened = DynamoStores(client if request.param == "dynamodb" else contending)
    yield opened
    opened.close()


def at_once(*tasks: Callable[[], T]) -> list[T | Exception]:
    """Run tasks in threads that start together; return the result or error of each."""
    barrier = threading.Barrier(len(tasks))

    def run(task: Callable[[], T]) -> T | Exception:
        barrier.wait()
        try:
            return task()
        except Exception as error:  # noqa: BLE001 - returned to be looked at
            return error

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def placed(stores: Stores, **fields: Any) -> OrderRecord:
    """Write an order with these fields and return it."""
    unwritten = order(**{"version": 0, "updated_at": NOW} | fields)
    return stores.orders().save(unwritten.change())


def stocked(stores: Stores, **units: int) -> None:
    stores.inventory().receive(Receipt("first", units), NOW)


def reservation(record: OrderRecord) -> Change:
    return record.change(
        Entry("STOCK_RESERVED", NOW), messages=(EVENT,), reservation=Reservation.RESERVED
    )


def entry(status: str, reference: str | None = None, amount: int = 3700) -> LedgerEntry:
    return LedgerEntry("charge-1", "A-1", amount, "EUR", ChargeStatus(status), reference)


def parcel(status: ShipmentStatus = ShipmentStatus.CREATED) -> Shipment:
    return Shipment("shipment-1", status, "TRACK-1")


Writer = Callable[[Stores, Change], object]
WRITERS: dict[str, Writer] = {
    "save": lambda stores, change: stores.orders().save(change),
    "move": lambda stores, change: stores.inventory().move(change, Move.RESERVE, {"TEA": 2}),
    "enter": lambda stores, change: stores.ledger().enter(change, entry("PENDING")),
    "put": lambda stores, change: stores.shipments().put(change, parcel()),
}


# ---- records


def test_a_record_is_read_unchanged(stores: Stores) -> None:
    record = order(
        version=0,
        email="ada@example.com",
        shipping_address=ADDRESS,
        status=Status.COMPENSATING,
        attempts=3,
        resume_at=NOW + 0.25,
        waiting_for="OutOfStock",
        shipping_address_as_of="2026-01-31T12:30:00Z",
        email_as_of="2026-01-31T12:40:00Z",
        cancel_requested=True,
        cancel_reason="cheaper",
        cancel_event_id="event-9",
        reservation=Reservation.COMMITTED,
        charge=ChargeStatus.REFUNDED,
        charge_id="charge-1",
        shipment=ShipmentStatus.VOIDED,
        shipment_id="shipment-1",
        tracking_number="TRACK-1",
        failure="CarrierError",
        failure_message="no van: \N{CROSS MARK}",
        approval=Approval.EXPIRED,
        approval_token="dG9rZW4=",
        approve_by=NOW + 60.5,
    )
    assert all(value not in (None, "") for value in record)
    written = stores.orders().save(record.change())
    for store in (stores.orders(), stores.inventory(), stores.ledger(), stores.shipments()):
        read = store.read("A-1")
        assert read == written == store.find("A-1")
        assert type(read.cancel_requested) is bool
        assert type(read.status) is Status


def test_a_record_without_optional_fields_is_read_unchanged(stores: Stores) -> None:
    written = placed(stores, payment_token=None, lease_owner=None)
    assert stores.orders().read("A-1") == written


def test_a_change_writes_its_fields_and_only_those(stores: Stores) -> None:
    before = placed(stores, email="ada@example.com", shipping_address=ADDRESS)
    lines = (Line("POT", 1, 3700),)
    change = before.change(
        Entry("CHANGED", NOW + 5), status=Status.RESERVED, items=lines, shipping_address=None
    )
    after = stores.orders().save(change)
    assert stores.orders().read("A-1") == after == change.after
    assert (after.version, after.updated_at, after.email) == (2, NOW + 5, "ada@example.com")


def test_an_unknown_order_is_not_found(stores: Stores) -> None:
    assert stores.orders().find("A-1") is None
    with pytest.raises(OrderNotFound, match="no order has the id 'A-1'"):
        stores.orders().read("A-1")


def test_a_write_changes_one_order_only(stores: Stores) -> None:
    first, second = placed(stores), placed(stores, order_id="A-2")
    stores.orders().save(first.change(attempts=5))
    assert stores.orders().read("A-2") == second


def test_the_timeline_has_its_entries_in_order_with_their_epochs(stores: Stores) -> None:
    store, record = stores.orders(), placed(stores)
    entries = (Entry("ONE", NOW, {"a": 1}), Entry("TWO", NOW + 1, {"b": [2]}))
    store.save(record.change(*entries, epoch=EPOCH + 1))
    store.note("A-1", Entry("THREE", NOW + 2))
    assert stores.timeline("A-1") == [
        (EPOCH + 1, entries[0]),
        (EPOCH + 1, entries[1]),
        (None, Entry("THREE", NOW + 2, {})),
    ]
    assert store.read("A-1").version == 2


def test_the_outbox_has_its_messages_in_the_order_of_their_writes(stores: Stores) -> None:
    store, record = stores.orders(), placed(stores)
    messages = tuple(Message(kind, {"n": n}) for n, kind in enumerate(("event", "run", "message")))
    store.save(record.change(Entry("X", NOW + 1), messages=messages))
    store.send(EVENT, NOW + 2)
    assert stores.outbox() == [*((message, NOW + 1) for message in messages), (EVENT, NOW + 2)]


# ---- one atomic write, on one version only


@pytest.mark.parametrize("writer", WRITERS)
def test_state_timeline_and_messages_are_one_write(stores: Stores, writer: str) -> None:
    stocked(stores, TEA=2)
    change = reservation(placed(stores))
    WRITERS[writer](stores, change)
    assert stores.orders().read("A-1") == change.after
    assert stores.timeline("A-1") == [(EPOCH, Entry("STOCK_RESERVED", NOW, {}))]
    assert stores.outbox() == [(EVENT, NOW)]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_write_on_an_older_version_changes_nothing(stores: Stores, writer: str) -> None:
    stocked(stores, TEA=2)
    change = reservation(placed(stores))
    stores.orders().save(change.before.change(attempts=1))
    before = stores.everything()
    with pytest.raises(VersionConflict, match="A-1"):
        WRITERS[writer](stores, change)
    assert stores.everything() == before


@pytest.mark.parametrize("writer", WRITERS)
def test_a_second_first_write_changes_nothing(stores: Stores, writer: str) -> None:
    stocked(stores, TEA=2)
    placed(stores)
    before = stores.everything()
    with pytest.raises(VersionConflict):
        WRITERS[writer](stores, reservation(order(version=0)))
    assert stores.everything() == before


@pytest.mark.parametrize("writer", WRITERS)
def test_a_change_of_a_missing_order_changes_nothing(stores: Stores, writer: str) -> None:
    stocked(stores, TEA=2)
    before = stores.everything()
    with pytest.raises(VersionConflict):
        WRITERS[writer](stores, reservation(order()))
    assert stores.everything() == before


@pytest.mark.parametrize("writer", WRITERS)
def test_an_invalid_message_rolls_the_state_back(stores: Stores, writer: str) -> None:
    stocked(stores, TEA=2)
    change = reservation(placed(stores))._replace(messages=(EVENT, Message("event", UNSTORABLE)))
    before = stores.everything()
    with pytest.raises(stores.broken):
        WRITERS[writer](stores, change)
    assert stores.everything() == before


@pytest.mark.parametrize(
    "write",
    [
        lambda stores, change: stores.inventory().move(change, Move.COMMIT, {"TEA": 2}),
        lambda stores, change: stores.inventory().move(change, Move.RESERVE, {"TEA": 1.5j}),
        lambda stores, change: stores.ledger().enter(change, entry("PENDING", UNSTORABLE)),
        lambda stores, change: stores.shipments().put(
            change, parcel()._replace(tracking_number=UNSTORABLE)
        ),
    ],
    ids=["more than is reserved", "no number", "no reference", "no tracking number"],
)
def test_a_state_is_not_written_without_its_other_rows(stores: Stores, write: Writer) -> None:
    stocked(stores, TEA=2)
    change = reservation(placed(stores))
    before = stores.everything()
    with pytest.raises(stores.broken):
        write(stores, change)
    assert stores.everything() == before
    WRITERS["save"](stores, change)  # and the store goes on


def test_of_concurrent_first_writes_one_succeeds(stores: Stores) -> None:
    claims = [
        order(version=0, lease_owner=f"run-{n}").change(Entry("RECEIVED", NOW), messages=(EVENT,))
        for n in range(THREADS)
    ]
    opened = [stores.orders() for _ in claims]
    tasks = [
        lambda store=store, claim=claim: store.save(claim)
        for store, claim in zip(opened, claims, strict=True)
    ]
    results = at_once(*tasks)
    [first] = [result for result in results if isinstance(result, OrderRecord)]
    assert sum(isinstance(result, VersionConflict) for result in results) == THREADS - 1
    assert stores.orders().read("A-1") == first
    assert (len(stores.timeline("A-1")), len(stores.outbox())) == (1, 1)


def test_of_concurrent_changes_none_is_lost(stores: Stores) -> None:
    """Each step is repeated until its write succeeds: no update is lost."""
    placed(stores, lease_owner=None, lease_until=0.0, content_hash="x", epoch=0)
    opened = [orders.Ports(stores.orders(), lambda: NOW, Policy()) for _ in range(THREADS)]
    results = at_once(
        *(
            lambda n=n, ports=ports: orders.amend(
                "A-1", Amendment(None, f"ada{n}@example.com", "2026-01-31T12:30:00Z"), ports
            )
            for n, ports in enumerate(opened)
        )
    )
    assert all(isinstance(result, OrderRecord) for result in results)
    assert stores.orders().read("A-1").version == 1 + THREADS
    assert len(stores.timeline("A-1")) == THREADS


def test_of_concurrent_runs_one_claims_the_order(stores: Stores) -> None:
    """F1: concurrent runs of the same event."""
    opened = [orders.Ports(stores.orders(), lambda: NOW, Policy()) for _ in range(THREADS)]
    results = at_once(
        *(
            lambda n=n, ports=ports: orders.claim(envelope(), f"run-{n}", ports)
            for n, ports in enumerate(opened)
        )
    )
    assert sum(isinstance(result, orders.ClaimedOrder) for result in results) == 1
    assert sum(isinstance(result, DuplicateOrder) for result in results) == THREADS - 1
    assert stores.orders().read("A-1").epoch == 1


def test_an_order_is_unconfirmed_after_a_failure_until_its_mail_is_sent(stores: Stores) -> None:
    record = placed(stores)
    store: Any = stores.orders()
    mails: MailStore = (
        SQLiteMails(store.database)
        if isinstance(stores, SQLiteStores)
        else DynamoMails(store.table)
    )
    assert not store.is_unconfirmed("A-1")
    mails.note("A-1", Entry("CONFIRMATION_FAILED", NOW, {"reason": "bounced"}))
    mails.note("A-1", Entry("CONFIRMATION_FAILED", NOW + 1, {"reason": "bounced"}))
    assert store.is_unconfirmed("A-1")
    wanted = Amendment(None, "ada@example.com")
    store.save(record.change(status=Status.COMPENSATING))
    ports = orders.Ports(store, lambda: NOW, Policy())
    with pytest.raises(ChangeRefused):
        orders.amend("A-1", wanted, ports)
    mails.mark(confirmation_id("A-1"), "A-1", Entry("CONFIRMATION_SENT", NOW + 2))
    assert not store.is_unconfirmed("A-1")
    assert not store.is_unconfirmed("A-9")


# ---- stock


def test_the_last_unit_is_reserved_once(stores: Stores) -> None:
    stocked(stores, TEA=1)
    first, second = placed(stores), placed(stores, order_id="A-2")
    store = stores.inventory()
    store.move(reservation(first), Move.RESERVE, {"TEA": 1})
    with pytest.raises(OutOfStock) as short:
        store.move(reservation(second), Move.RESERVE, {"TEA": 1})
    assert short.value.missing == (Shortage("TEA", 1, 0),)
    assert store.read("A-2") == second
    assert stores.stock() == {"TEA": Stock("TEA", received=1, on_hand=1, reserved=1)}


@pytest.mark.parametrize(
    ("demand", "missing"),
    [
        ({"TEA": 2, "CUP": 2}, (Shortage("CUP", 2, 1),)),
        ({"CUP": 2, "TEA": 2}, (Shortage("CUP", 2, 1),)),
        ({"TEA": 2, "POT": 1}, (Shortage("POT", 1, 0, known=False),)),
        ({"TEA": 6, "CUP": 2}, (Shortage("TEA", 6, 5), Shortage("CUP", 2, 1))),
    ],
)
def test_all_lines_are_reserved_or_none(
    stores: Stores, demand: dict[str, int], missing: tuple[Shortage, ...]
) -> None:
    stocked(stores, TEA=5, CUP=1)
    change = reservation(placed(stores))
    before = stores.everything()
    with pytest.raises(OutOfStock) as short:
        stores.inventory().move(change, Move.RESERVE, demand)
    assert short.value.missing == missing
    assert stores.everything() == before


def test_a_conflict_is_raised_before_a_shortage(
    stores: Stores,
) -> None:
    """A concurrent twin of the step may hold the missing units."""
    stocked(stores, TEA=2)
    change = reservation(placed(stores))
    stores.inventory().move(change, Move.RESERVE, {"TEA": 2})
    with pytest.raises(VersionConflict):
        stores.inventory().move(change, Move.RESERVE, {"TEA": 2})


def test_moves_of_units_keep_the_counts_consistent(stores: Stores) -> None:
    stocked(stores, TEA=3, CUP=1)
    store, record = stores.inventory(), placed(stores)
    for move, expected in (
        (Move.RESERVE, Stock("TEA", 3, on_hand=3, reserved=3)),
        (Move.RELEASE, Stock("TEA", 3, on_hand=3)),
        (Move.RESERVE, Stock("TEA", 3, on_hand=3, reserved=3)),
        (Move.COMMIT, Stock("TEA", 3, on_hand=0, shipped=3)),
        (Move.RESTOCK, Stock("TEA", 3, on_hand=3, shipped=3, restocked=3)),
    ):
        record = store.move(record.change(attempts=record.attempts + 1), move, {"TEA": 3})
        assert stores.stock()["TEA"] == expected
    assert stores.stock()["CUP"] == Stock("CUP", 1, on_hand=1)
    assert store.read("A-1") == record


@pytest.mark.parametrize("move", [Move.COMMIT, Move.RELEASE])
def test_only_reserved_units_are_committed_or_released(stores: Stores, move: Move) -> None:
    stocked(stores, TEA=10)
    with pytest.raises(stores.broken):
        stores.inventory().move(placed(stores).change(), move, {"TEA": 1})
    assert stores.stock() == {"TEA": Stock("TEA", 10, on_hand=10)}


@pytest.mark.long
def test_concurrent_orders_do_not_oversell(stores: Stores) -> None:
    stocked(stores, TEA=10, CUP=1000)
    ids = [f"A-{n}" for n in range(40)]
    for order_id in ids:
        placed(stores, order_id=order_id, items=(Line("CUP", 1, 100), Line("TEA", 1, 3600)))

    def reserve(ports: inventory.Ports, mine: Sequence[str]) -> list[str]:
        return [inventory.reserve(order_id, EPOCH, ports).outcome for order_id in mine]

    opened = [inventory.Ports(stores.inventory(), lambda: NOW) for _ in range(4)]
    results = at_once(
        *(lambda n=n, ports=ports: reserve(ports, ids[n::4]) for n, ports in enumerate(opened))
    )
    outcomes = [outcome for result in results if isinstance(result, list) for outcome in result]
    assert (outcomes.count("RESERVED"), outcomes.count("OUT_OF_STOCK")) == (10, 30)
    assert stores.stock() == {
        "TEA": Stock("TEA", 10, on_hand=10, reserved=10),
        "CUP": Stock("CUP", 1000, on_hand=1000, reserved=10),
    }
    held = [one for one in ids if stores.orders().read(one).reservation is Reservation.RESERVED]
    assert len(held) == 10


def test_a_receipt_adds_its_units_once(stores: Stores) -> None:
    store = stores.inventory()
    first = Receipt("digest", {"TEA": 5, "CUP": 0})
    assert store.receive(first, NOW)
    assert not store.receive(first, NOW + 1)
    assert stores.inventory().receive(Receipt("another", {"TEA": 2}), NOW)
    assert stores.stock() == {"TEA": Stock("TEA", 7, 7), "CUP": Stock("CUP")}


def test_a_delivery_is_known_by_its_number(
    stores: Stores,
) -> None:
    units = {"TEA": 5, "CUP": 0}
    plain, first, second = (Receipt.of(units, number) for number in ("", "D-1", "D/2"))
    assert [stores.inventory().receive(one, NOW) for one in (plain, first, second)] == [True] * 3
    again = [stores.inventory().receive(one, NOW + 9) for one in (plain, first, second)]
    assert again == [False] * 3
    assert [stores.inventory().received_at(one) for one in (plain, first, second)] == [NOW] * 3
    assert stores.inventory().received_at(Receipt.of(units, "D-3")) is None
    assert stores.stock()["TEA"] == Stock("TEA", 15, 15)


def test_the_units_of_a_numbered_delivery_are_not_received_again_without_the_number(
    stores: Stores,
) -> None:
    assert stores.inventory().receive(Receipt.of({"TEA": 5}, "D-1"), NOW)
    assert not stores.inventory().receive(Receipt.of({"TEA": 5}), NOW + 9)
    assert stores.inventory().received_at(Receipt.of({"TEA": 5})) == NOW
    assert stores.stock() == {"TEA": Stock("TEA", 5, 5)}


def test_a_deliverys_number_with_other_units_is_refused(stores: Stores) -> None:
    stores.inventory().receive(Receipt.of({"TEA": 5}, "D-1"), NOW)
    stores.inventory().receive(Receipt.of({"TEA": 5}, "D-11"), NOW)
    for units in ({"TEA": 6}, {"CUP": 5}, {"TEA": 5, "CUP": 0}):
        with pytest.raises(InvalidStock, match="delivery D-1: was received with other units at"):
            stores.inventory().receive(Receipt.of(units, "D-1"), NOW + 9)
    assert stores.stock() == {"TEA": Stock("TEA", 10, 10)}


def test_a_receipt_of_an_earlier_version_is_known(stores: Stores) -> None:
    stores.inventory().receive(Receipt("digest of bytes", {"TEA": 5}), NOW)
    receipt = Receipt.of({"TEA": 5}, earlier=["another", "digest of bytes"])
    assert not stores.inventory().receive(receipt, NOW + 9)
    assert stores.inventory().received_at(receipt) == NOW
    assert stores.inventory().receive(Receipt.of({"TEA": 5}, "D-1"), NOW + 9)
    assert stores.stock() == {"TEA": Stock("TEA", 10, 10)}


def test_concurrent_receipts_add_their_units_once(stores: Stores) -> None:
    opened = [stores.inventory() for _ in range(THREADS)]
    receipt = Receipt("digest", {"TEA": 5})
    results = at_once(*(lambda store=store: store.receive(receipt, NOW) for store in opened))
    assert sorted(map(str, results)) == ["False"] * (THREADS - 1) + ["True"]
    assert stores.stock() == {"TEA": Stock("TEA", 5, 5)}


def test_a_failed_receipt_is_not_marked_as_received(stores: Stores) -> None:
    store = stores.inventory()
    with pytest.raises(stores.broken):
        store.receive(Receipt("digest", {"CUP": 1, "TEA": -1}), NOW)
    assert stores.stock() == {}
    assert store.receive(Receipt("digest", {"CUP": 1}), NOW)


# ---- ledger and shipments


def test_the_ledger_has_one_entry_for_each_order(stores: Stores) -> None:
    store, record = stores.ledger(), placed(stores)
    for status, reference, kept in (
        ("PENDING", None, None),
        ("CHARGED", "ch_1", "ch_1"),
        ("REFUNDED", None, "ch_1"),
    ):
        record = store.enter(record.change(charge=ChargeStatus(status)), entry(status, reference))
        assert stores.charges() == {"A-1": (status, 3700, kept)}
        assert store.read("A-1").charge == status


def test_the_ledger_refuses_a_second_charge_of_an_order(stores: Stores) -> None:
    store, record = stores.ledger(), placed(stores)
    record = store.enter(record.change(), entry("CHARGED"))
    before = stores.everything()
    with pytest.raises(stores.broken):
        store.enter(record.change(), entry("CHARGED")._replace(charge_id="charge-2"))
    assert stores.everything() == before


def test_an_order_has_one_shipment_which_may_be_voided(stores: Stores) -> None:
    store, record = stores.shipments(), placed(stores)
    record = store.put(record.change(shipment=ShipmentStatus.CREATED), parcel())
    assert stores.parcels() == {"A-1": ("CREATED", "TRACK-1")}
    store.put(record.change(shipment=ShipmentStatus.VOIDED), parcel(ShipmentStatus.VOIDED))
    assert stores.parcels() == {"A-1": ("VOIDED", "TRACK-1")}
    assert store.read("A-1").shipment == "VOIDED"


def test_a_second_shipment_of_an_order_is_refused(stores: Stores) -> None:
    store, record = stores.shipments(), placed(stores)
    record = store.put(record.change(), parcel())
    with pytest.raises(stores.broken):
        store.put(record.change(), parcel()._replace(shipment_id="shipment-2"))
    assert stores.parcels() == {"A-1": ("CREATED", "TRACK-1")}


# ---- queries


GRACE = 300.0
NOBODY: dict[str, Any] = {"lease_owner": None, "lease_until": 0.0}


@pytest.mark.parametrize(
    ("situation", "record", "stranded"),
    [
        ("a run holds it", order(), False),
        ("held until this very moment", order(lease_until=NOW), False),
        ("its run is gone", order(lease_until=NOW - 1), True),
        ("charged, and its run is gone", order(status="CHARGED", lease_until=NOW - 1), True),
        ("its undoing was left", order(status="COMPENSATING", lease_until=NOW - 1), True),
        ("it has just been placed", order(**NOBODY, updated_at=NOW - GRACE), False),
        ("placed long ago, never run", order(**NOBODY, updated_at=NOW - GRACE - 1), True),
        ("it waits for its time", waiting(), False),
        ("its time has come", waiting(resume_at=NOW), False),
        ("its time to resume has passed", waiting(resume_at=NOW - GRACE - 1, updated_at=0.0), True),
        ("touched while it waits", waiting(resume_at=NOW - GRACE - 1, updated_at=NOW), False),
        ("resumed, and held", waiting(resume_at=0.0, lease_owner="r", lease_until=NOW + 1), False),
        ("resumed, and its run is gone", order(resume_at=NOW - 400, lease_until=NOW - 1), True),
        ("completed", order(status="COMPLETED", **NOBODY, updated_at=0.0), False),
        ("failed", order(status="FAILED", **NOBODY, updated_at=0.0), False),
        ("cancelled", order(status="CANCELLED", **NOBODY, updated_at=0.0), False),
    ],
)
def test_an_order_is_stranded_when_no_run_and_no_timer_continues_it(
    stores: Stores,
    situation: str,
    record: OrderRecord,
    stranded: bool,  # noqa: FBT001 - a column
) -> None:
    written = stores.orders().save(record._replace(version=0).change())
    found = stores.orders().stranded(NOW, GRACE, 10)
    assert found == ([written] if stranded else []), situation


def test_a_limited_number_of_stranded_orders_is_returned(stores: Stores) -> None:
    for n in range(5):
        placed(stores, order_id=f"A-{n}", lease_until=NOW - 1)
    assert len(stores.orders().stranded(NOW, GRACE, 3)) == 3
    assert len(stores.orders().stranded(NOW, GRACE, 10)) == 5


def test_a_reconciled_order_is_claimed_by_its_run(stores: Stores) -> None:
    placed(stores, lease_until=NOW - 1)
    ports = orders.Ports(stores.orders(), lambda: NOW, Policy())
    assert orders.reconcile(ports).started == 1
    [(run, _)] = stores.outbox()
    body: Any = run.body
    assert orders.claim(body["input"], body["name"], ports) == orders.ClaimedOrder("A-1", EPOCH + 1)
    assert orders.reconcile(ports).started == 0


def test_a_customers_orders_are_listed_newest_first_page_by_page(stores: Stores) -> None:
    for order_id, at in (("A-1", 10.0), ("A-2", 30.0), ("A-3", 20.0), ("A-4", 20.0)):
        placed(stores, order_id=order_id, created_at=at)
    placed(stores, order_id="B-1", customer_id="C-43", created_at=25.0)
    store = stores.orders()

    def page(limit: int, after: str | None) -> list[str]:
        return [record.order_id for record in store.by_customer("C-42", limit, after)]

    assert page(10, None) == ["A-2", "A-4", "A-3", "A-1"]
    assert page(2, None) == ["A-2", "A-4"]
    assert page(2, "A-4") == ["A-3", "A-1"]
    assert page(2, "A-1") == []
    assert store.by_customer("C-44", 10, None) == []
