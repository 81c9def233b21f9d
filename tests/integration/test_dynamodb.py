"""Properties of the stores on DynamoDB only (see `test_stores` for the others)."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from high_value.dynamodb import DynamoReviews
from high_value.model import Review
from inventory import usecases as inventory
from inventory.model import Move, OutOfStock, Receipt, Shortage
from kernel.errors import InvalidSettings, InvalidStock, OrderNotFound, StoreError, VersionConflict
from kernel.order_record import MAX_TEXT, Entry, Message, OrderRecord
from kernel.order_status import ChargeStatus, Status
from lambda_support import aws
from notifications import usecases as notifications
from notifications.dynamodb import DynamoMails
from orders import outbox
from orders import usecases as orders
from orders.dynamodb import DynamoOrders, DynamoOutbox
from orders.early_requests import RETENTION
from orders.usecases import Policy
from payments import usecases as payments
from payments.model import LedgerEntry
from shipping import usecases as shipping
from storage.dynamodb.order_item import (
    MAX_ENTRIES,
    MAX_NOTED,
    compact_id,
    expand_id,
    open_partition,
)
from storage.dynamodb.records import DynamoRecords
from storage.dynamodb.table import MAX_PK, Table, Update, table
from storage.stores import open_store
from tests.fakes.events import ADDRESS, envelope
from tests.fakes.payments import FakeGateway
from tests.fakes.records import NOW, order
from tests.fakes.shipping import FakeCarrier
from tests.integration.dynamo_stores import DynamoStores, OneAtATime, moto
from tests.integration.units import Cost, Meter

EVENT = Message("event", {"Source": "orders.service"})


@pytest.fixture(scope="module")
def aws_client() -> Iterator[OneAtATime]:
    with moto() as client:
        yield client


@pytest.fixture
def stores(aws_client: OneAtATime) -> Iterator[DynamoStores]:
    opened = DynamoStores(aws_client)
    yield opened
    opened.close()


def placed(stores: DynamoStores, **fields: Any) -> OrderRecord:
    """Write an order with these fields and return it."""
    unwritten = order(**{"version": 0, "updated_at": NOW} | fields)
    return stores.orders().save(unwritten.change())


def item(stores: DynamoStores, sort: str = "order") -> dict[str, Any]:
    found = stores.table.get("order#A-1", sort)
    assert found is not None
    return found


# ---- the item


@pytest.mark.parametrize(
    "text",
    [
        "0b1f2c3d-1111-4222-8333-444455556666",
        "0b1f2c3d-1111-4222-8333-444455556666_e1ed8fe4-aaaa-4bbb-8ccc-1234567890ab",
        "ab" * 32,
    ],
)
def test_ids_are_stored_as_bytes(text: str) -> None:
    assert isinstance(compact_id(text), bytes)
    assert expand_id(compact_id(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "A-1", "0B1F2C3D-1111-4222-8333-444455556666", "ab" * 16, "AB" * 32, "a_b", "abcd"],
)
def test_other_text_is_stored_unchanged(text: str) -> None:
    assert compact_id(text) == text


def test_defaults_are_not_stored(stores: DynamoStores) -> None:
    placed(stores, lease_owner=None, lease_until=0.0, payment_token=None, epoch=0)
    found = " ".join(item(stores))
    assert found == "pk sk cust cur tot items plac hash evt corr crea upd v tl out gpk gsk dp due"


def test_an_item_of_an_older_shape_is_read_with_defaults(stores: DynamoStores) -> None:
    written = placed(stores)
    _edit(stores, "REMOVE att, canc, gpk, gsk, corr SET unheard_of = :new", {":new": {"S": "x"}})
    assert stores.orders().read("A-1") == written._replace(correlation_id=written.event_id)


def test_an_item_with_one_time_for_both_fields_is_read(stores: DynamoStores) -> None:
    """Version 0.1.0 wrote one time; a change of one field then writes its own."""
    at, later = "2026-01-31T12:30:00Z", "2026-01-31T13:00:00Z"
    placed(stores)
    _edit(stores, "SET amd = :at", {":at": {"S": at}})
    record = stores.orders().read("A-1")
    assert (record.email_as_of, record.shipping_address_as_of) == (at, at)
    stores.orders().save(record.change(email_as_of=later))
    record = stores.orders().read("A-1")
    assert (record.email_as_of, record.shipping_address_as_of) == (later, at)


@pytest.mark.parametrize(
    ("edit", "values", "problem"),
    [
        ("REMOVE #hash", None, r"content_hash \(hash\) is missing"),
        ("SET st = :new", {":new": {"S": "POLISHED"}}, r"status \(st\): 'POLISHED' is not"),
        ("SET #items = :new", {":new": {"S": "TEA"}}, r"items \(items\):"),
        ("SET evt = :new", {":new": {"B": b"seven.."}}, r"event_id \(evt\): 7"),
    ],
)
def test_an_item_that_cannot_be_read_says_what_is_wrong_with_it(
    stores: DynamoStores, edit: str, values: Mapping[str, Any] | None, problem: str
) -> None:
    placed(stores)
    _edit(stores, edit, values)
    with pytest.raises(StoreError, match=f"order A-1 was written by another version: {problem}"):
        stores.orders().find("A-1")


def _edit(stores: DynamoStores, expression: str, values: Mapping[str, Any] | None = None) -> None:
    more: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
    names = {"#items": "items", "#hash": "hash"}
    named = {name: known for name, known in names.items() if name in expression}
    if named:
        more["ExpressionAttributeNames"] = named
    stores.client.update_item(
        TableName=stores.table.name,
        Key={"pk": {"S": "order#A-1"}, "sk": {"S": "order"}},
        UpdateExpression=expression,
        **more,
    )


def test_a_full_timeline_only_counts_further_entries(stores: DynamoStores) -> None:
    record = placed(stores)
    many = tuple(Entry("MANY", NOW) for _ in range(MAX_ENTRIES - 1))
    record = stores.orders().save(record.change(*many))
    for number in range(3):
        record = stores.orders().save(record.change(Entry(f"LATE_{number}", NOW)))
    assert len(stores.timeline("A-1")) == MAX_ENTRIES
    assert item(stores)["more"] == 2
    assert stores.orders().read("A-1") == record
    with pytest.raises(VersionConflict):
        stores.orders().save(record._replace(version=1).change(*many[:1]))


def test_notes_leave_room_for_steps_in_the_timeline(stores: DynamoStores) -> None:
    record = placed(stores)
    for number in range(MAX_NOTED + 5):
        stores.orders().note("A-1", Entry("DUPLICATE_IGNORED", NOW + number))
    stores.orders().save(record.change(Entry("COMPENSATING", NOW)))
    whats = [entry.what for _, entry in stores.timeline("A-1")]
    assert (len(whats), whats[-1], item(stores)["more"]) == (MAX_NOTED + 1, "COMPENSATING", 5)


def test_a_long_text_in_a_timeline_is_cut(stores: DynamoStores) -> None:
    stores.orders().save(placed(stores).change(Entry("WAITING", NOW, {"message": "x" * 32_768})))
    [(_, entry)] = stores.timeline("A-1")
    assert entry.detail == {"message": "x" * (MAX_TEXT - 1) + "…"}


def test_no_order_has_an_id_that_dynamodb_takes_as_no_key() -> None:
    """DynamoDB refuses such a key, which a caller without a token can send."""
    asked: list[Mapping[str, Any]] = []

    class Client:
        def get_item(self, **request: Any) -> Mapping[str, Any]:
            asked.append(request["Key"])
            return {}

    records = DynamoRecords(Table("orders", Client))
    longest = "A" * (MAX_PK - len("order#"))
    assert records.find(longest + "A") is None
    assert asked == []
    assert records.find(longest) is None
    assert len(asked[0]["pk"]["S"]) == MAX_PK


def test_a_note_on_a_missing_order_is_refused(stores: DynamoStores) -> None:
    with pytest.raises(OrderNotFound):
        stores.orders().note("A-1", Entry("X", NOW))
    assert stores.everything() == {}


# ---- the indexes

LATER = NOW + 1_000
"""A time after the lease of every order of these tests."""


def test_an_order_is_a_due_item_until_it_has_ended_and_its_outbox_is_empty(
    stores: DynamoStores,
) -> None:
    record = placed(stores, status=Status.COMPENSATING)
    assert item(stores)["due"] == int(record.lease_until)
    stores.orders().save(
        record.change(Entry("FAILED", NOW), messages=(EVENT,), status=Status.FAILED)
    )
    outbox = DynamoOutbox(stores.table)
    [parcel] = outbox.overdue(LATER, 10)
    outbox.remove(parcel, list(parcel.messages))
    assert (item(stores)["gpk"], item(stores)["out"]) == ("C-42", {})
    assert not {"dp", "due"} & item(stores).keys()


def test_an_order_that_ended_without_a_message_is_moved_by_the_reconciler(
    stores: DynamoStores,
) -> None:
    placed(stores, status=Status.CANCELLED)
    assert DynamoOutbox(stores.table).overdue(LATER, 10) == []
    assert "dp" not in item(stores)
    assert [one.order_id for one in stores.orders().by_customer("C-42", 10, None)] == ["A-1"]


def test_a_customers_open_and_ended_orders_are_one_list(stores: DynamoStores) -> None:
    for number in range(6):
        status = Status.COMPLETED if number % 2 else Status.RECEIVED
        placed(stores, order_id=f"A-{number}", created_at=NOW + number, status=status)
    DynamoOutbox(stores.table).overdue(LATER, 10)
    listed: list[str] = []
    while page := stores.orders().by_customer("C-42", 2, listed[-1] if listed else None):
        listed += [one.order_id for one in page]
    assert listed == [f"A-{number}" for number in reversed(range(6))]


def test_a_message_to_a_settled_order_opens_it_again_in_the_index(stores: DynamoStores) -> None:
    record = placed(stores, status=Status.COMPLETED)
    outbox = DynamoOutbox(stores.table)
    outbox.overdue(LATER, 10)
    stores.orders().save(record.change(Entry("X", NOW), messages=(EVENT,)))
    assert [parcel.key for parcel in outbox.overdue(LATER, 10)] == [("order#A-1", "order")]


def as_before(stores: DynamoStores, record: OrderRecord, *, closed: bool = False) -> None:
    """Give an order the index keys of version 0.2."""
    update = Update(f"order#{record.order_id}", "order")
    update.remove("dp", "due")
    if closed:
        update.put(gpk=record.customer_id, gsk=f"{record.created_at:020.6f}#{record.order_id}")
    else:
        update.put(gpk=open_partition(record.customer_id), gsk=record.customer_id)
    stores.table.write(update)


def test_open_orders_of_an_earlier_version_are_found_and_closed(stores: DynamoStores) -> None:
    record = placed(stores, lease_until=NOW - 1)
    as_before(stores, record)
    store, outbox = stores.orders(), DynamoOutbox(stores.table)
    assert store.stranded(NOW, 300.0, 10) == [record]
    assert store.by_customer("C-42", 10, None) == [record]
    record = store.save(record.change(Entry("COMPENSATING", NOW), status=Status.COMPENSATING))
    ended = record.change(Entry("FAILED", NOW), messages=(EVENT,), status=Status.FAILED)
    store.save(ended)
    [parcel] = outbox.overdue(LATER, 10)
    outbox.remove(parcel, list(parcel.messages))
    assert outbox.overdue(LATER, 10) == []
    assert (item(stores)["gpk"], item(stores)["gsk"]) == (
        "C-42",
        f"{record.created_at:020.6f}",
    )
    assert [each.order_id for each in store.by_customer("C-42", 10, None)] == ["A-1"]


def test_an_order_in_both_indexes_is_found_once(stores: DynamoStores) -> None:
    """A claim gives an order of an earlier version a time at which it is due."""
    record = placed(stores)
    as_before(stores, record)
    held = stores.orders().save(record.change(lease_until=NOW + 600))
    assert stores.orders().stranded(NOW + 500, 300.0, 10) == []
    assert stores.orders().stranded(NOW + 700, 300.0, 10) == [held]


def test_orders_of_all_versions_are_one_list_page_by_page(stores: DynamoStores) -> None:
    for number in range(6):
        record = placed(stores, order_id=f"A-{number}", created_at=NOW + number // 2)
        if number % 3 == 0:
            as_before(stores, record, closed=number > 0)
    listed: list[str] = []
    while page := stores.orders().by_customer("C-42", 2, listed[-1] if listed else None):
        listed += [one.order_id for one in page]
    assert listed == [f"A-{number}" for number in reversed(range(6))]


def test_the_reconciler_reads_what_is_due_and_not_what_is_open(stores: DynamoStores) -> None:
    for number in range(40):
        placed(stores, order_id=f"W-{number}", status=Status.WAITING, resume_at=NOW + 200)
    due = placed(stores, lease_until=NOW - 1)
    calls = stores.client.calls
    calls.clear()
    assert stores.orders().stranded(NOW, 300.0, 1_000) == [due]
    assert DynamoOutbox(stores.table).overdue(NOW, 1_000) == []
    assert stores.orders().expired_requests(NOW - RETENTION, 1_000) == []
    read = [
        key["pk"]["S"]
        for operation, arguments in calls
        if operation == "batch_get_item"
        for key in arguments["RequestItems"][stores.table.name]["Keys"]
    ]
    assert set(read) == {"order#A-1"}


def test_a_limited_number_of_due_items_is_read(
    stores: DynamoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orders.dynamodb.BATCH", 2)
    for number in range(8):
        placed(stores, order_id=f"A-{number}", lease_until=NOW - 1)
    calls = stores.client.calls
    calls.clear()
    assert len(stores.orders().stranded(NOW, 300.0, 3)) == 3
    assert sum(operation == "batch_get_item" for operation, _ in calls) == 2


def test_an_order_moves_among_the_due_items_with_its_lease_and_its_wait_only(
    stores: DynamoStores,
) -> None:
    store = stores.orders()
    record = placed(stores)
    dues = [item(stores)["due"]]
    for change in (
        {"status": Status.RESERVED},
        {"status": Status.WAITING, "lease_owner": None, "lease_until": 0.0, "resume_at": NOW + 300},
        {"attempts": 5},
        {"lease_owner": "r", "lease_until": NOW + 900},
    ):
        record = store.save(record.change(Entry("X", NOW), **change))
        dues.append(item(stores)["due"])
    lease = int(order().lease_until)
    assert dues == [lease, lease, NOW + 300, NOW + 300, NOW + 900]


# ---- reviews and mails


REVIEW = Review("A-1", "C-42", "EUR", 150_000, 100_000, NOW, "event-1")


def test_a_review_may_come_before_its_order_and_is_opened_once(stores: DynamoStores) -> None:
    store = DynamoReviews(stores.table)
    entry = Entry("HIGH_VALUE_FLAGGED", NOW, {"threshold": 100_000})
    assert store.open(REVIEW, entry, EVENT)
    assert not store.open(REVIEW, entry, EVENT)
    assert stores.outbox() == [(EVENT, NOW)]
    assert stores.orders().find("A-1") is None
    placed(stores)
    assert [one.what for _, one in stores.timeline("A-1")] == ["HIGH_VALUE_FLAGGED"]
    outbox = DynamoOutbox(stores.table)
    [parcel] = outbox.overdue(LATER, 10)
    outbox.remove(parcel, list(parcel.messages))
    assert "gpk" not in item(stores, "review")


def test_a_mail_is_marked_once_in_its_orders_collection(stores: DynamoStores) -> None:
    store = DynamoMails(stores.table)
    placed(stores)
    assert not store.sent("m-1", "A-1")
    store.mark("m-1", "A-1", Entry("CONFIRMATION_SENT", NOW))
    store.mark("m-1", "A-1", Entry("CONFIRMATION_SENT", NOW + 1))
    assert store.sent("m-1", "A-1")
    assert stores.timeline("A-1") == [(None, Entry("CONFIRMATION_SENT", NOW))]


# ---- stock


def test_a_receipt_larger_than_a_transaction_is_received_in_parts_once(
    stores: DynamoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory.dynamodb.TRANSACTION", 5)
    units = {f"SKU-{number}": number for number in range(10)}
    store = stores.inventory()
    assert store.receive(Receipt("digest", units), NOW)
    assert {sku: stock.on_hand for sku, stock in stores.stock().items()} == units
    # interrupted after its second part
    stores.table.delete("receipt#digest", "receipt#2")
    for sku in sorted(units)[8:]:
        stores.table.delete(f"stock#{sku}", "stock")
    assert store.receive(Receipt("digest", units), NOW)
    assert not store.receive(Receipt("digest", units), NOW)
    assert {sku: stock.on_hand for sku, stock in stores.stock().items()} == units


def test_an_interrupted_large_delivery_is_completed_with_its_own_units_only(
    stores: DynamoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory.dynamodb.TRANSACTION", 5)
    units = {f"SKU-{number}": number for number in range(10)}
    store = stores.inventory()
    assert store.receive(Receipt.of(units, "D-1"), NOW)
    # interrupted after its second part
    stores.table.delete("receipt#delivery D-1", "receipt#2")
    stores.table.delete(f"receipt#{Receipt.of(units).digest}", "receipt#0")
    for sku in ("SKU-8", "SKU-9"):
        stores.table.delete(f"stock#{sku}", "stock")
    with pytest.raises(InvalidStock, match="other units"):
        store.receive(Receipt.of({**units, "SKU-9": 8}, "D-1"), NOW)
    assert store.receive(Receipt.of(units, "D-1"), NOW)
    assert not store.receive(Receipt.of(units, "D-1"), NOW)
    assert not store.receive(Receipt.of(units), NOW)
    assert {sku: stock.on_hand for sku, stock in stores.stock().items()} == units


def test_a_large_receipt_that_an_earlier_version_began_is_finished_under_its_digest(
    stores: DynamoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory.dynamodb.TRANSACTION", 5)
    units = {f"SKU-{number}": number for number in range(10)}
    store = stores.inventory()
    store.receive(Receipt("digest", units), NOW)
    stores.table.delete("receipt#digest", "receipt#2")
    for sku in ("SKU-8", "SKU-9"):
        stores.table.delete(f"stock#{sku}", "stock")
    receipt = Receipt.of(units, earlier=["other", "digest"])
    assert [store.receive(receipt, NOW), store.receive(receipt, NOW)] == [True, False]
    assert {sku: stock.on_hand for sku, stock in stores.stock().items()} == units


def test_the_largest_order_is_one_transaction(stores: DynamoStores) -> None:
    units = {f"SKU-{number:02}": 1 for number in range(98)}
    store = stores.inventory()
    store.receive(Receipt("digest", units), NOW)
    record = store.move(placed(stores).change(attempts=1), Move.RESERVE, units)
    with pytest.raises(OutOfStock) as short:
        store.move(record.change(), Move.RESERVE, {**units, "SKU-97": 2})
    assert short.value.missing[-1] == Shortage("SKU-97", 2, 0)


def test_a_charge_has_its_orders_total(stores: DynamoStores) -> None:
    entry = LedgerEntry("charge-1", "A-1", 1, "EUR", ChargeStatus.PENDING, None)
    with pytest.raises(ValueError, match="must be its total, 3700"):
        stores.ledger().enter(placed(stores).change(), entry)


# ---- what AWS may answer


class Refusing:
    """A client that refuses writes so often, each with an error of AWS."""

    def __init__(self, client: Any, *answers: Mapping[str, Any]) -> None:
        self.client = client
        self.answers = list(answers)

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.client, name)

        def request(**arguments: Any) -> Any:
            if self.answers:
                raise ClientError(self.answers.pop(0), name)  # type: ignore[arg-type]
            return operation(**arguments)

        return request


def error(code: str, *reasons: str) -> Mapping[str, Any]:
    """Return AWS's answer to what it refused."""
    return {
        "Error": {"Code": code, "Message": "of the test"},
        "CancellationReasons": [{"Code": reason} for reason in reasons],
    }


CONFLICT = error("TransactionCanceledException", "None", "TransactionConflict")


@pytest.mark.parametrize(
    "answer",
    [
        CONFLICT,
        error("TransactionCanceledException", "ThrottlingError"),
        error("TransactionConflictException"),
    ],
)
def test_a_write_that_conflicts_with_a_transaction_is_retried_with_backoff(
    stores: DynamoStores, answer: Mapping[str, Any]
) -> None:
    waits: list[float] = []
    record = placed(stores)
    client = Refusing(stores.client, answer, answer, answer)
    store = DynamoRecords(Table(stores.table.name, lambda: client, waits.append))
    assert store.save(record.change(attempts=1)) == stores.orders().read("A-1")
    assert len(waits) == 3
    assert all(0 <= wait <= 0.02 * 2**attempt for attempt, wait in enumerate(waits))


def test_a_write_that_keeps_conflicting_with_transactions_raises_a_conflict(
    stores: DynamoStores,
) -> None:
    client = Refusing(stores.client, *[CONFLICT] * 6)
    store = DynamoRecords(Table(stores.table.name, lambda: client, lambda _: None))
    with pytest.raises(VersionConflict):
        store.save(order(version=0).change())


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("ExpiredTokenException", "AWS does not accept the credentials .*; sign in"),
        ("AccessDeniedException", "the credentials lack an IAM permission .*; extend their"),
        ("ValidationException", "refused the request: ValidationException: of the test"),
    ],
)
def test_a_refusal_of_aws_is_one_sentence(stores: DynamoStores, code: str, problem: str) -> None:
    store = DynamoRecords(Table("orders", lambda: Refusing(stores.client, error(code))))
    with pytest.raises(StoreError, match=problem):
        store.find("A-1")


def test_a_missing_table_says_what_to_do(aws_client: OneAtATime) -> None:
    store = DynamoRecords(Table("nowhere", lambda: aws_client))
    uses: list[Callable[[], object]] = [
        lambda: store.find("A-1"),
        lambda: store.save(order(version=0).change()),
    ]
    for use in uses:
        with pytest.raises(
            StoreError, match=r"table nowhere was not found \(.*\); deploy the stack"
        ):
            use()


SILENT = """
from lambda_support import aws
from kernel.errors import OrderflowError
from storage.dynamodb.table import table
try:
    table("dynamodb://orders").get("order#A-1", "order")
except OrderflowError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "InvalidSettings environment variable AWS_REGION: is not set; name the region"),
        (
            {"AWS_DEFAULT_REGION": "eu-west-1"},
            "StoreError the DynamoDB table orders: Unable to locate",
        ),
        (
            {
                "AWS_DEFAULT_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "x",
                "AWS_SECRET_ACCESS_KEY": "x",
                "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            },
            "StoreError the DynamoDB table orders did not answer: Could not connect",
        ),
    ],
    ids=["no region", "no credentials", "no answer"],
)
def test_without_aws_it_says_what_to_do(environment: dict[str, str], said: str) -> None:
    nothing = {"PATH": "", "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run(
        [sys.executable, "-c", SILENT],
        env=nothing | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(said)


@pytest.mark.parametrize("url", ["dynamodb://", "dynamodb:///x", "dynamodb://a/b", "dynamodb:x"])
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match="is not of the form dynamodb://TABLE"):
        table(url)


def test_a_url_of_neither_store_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="'mysql://x' is neither sqlite:///PATH nor dynamodb"):
        open_store("mysql://x", lambda _: None, lambda _: None)


def test_a_process_has_one_client_of_a_service_and_one_table_of_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert table("dynamodb://orders") is table("dynamodb://orders")
    try:
        config = aws.client("dynamodb").meta.config
        assert aws.client("dynamodb") is aws.client("dynamodb")
        assert config.retries == {"mode": "standard", "total_max_attempts": 3}
        assert (config.connect_timeout, config.read_timeout) == (1.0, 2.0)
    finally:
        aws.client.cache_clear()


IMPORTED = """
import sys
for name in ("orders", "inventory", "payments", "shipping", "high_value", "notifications"):
    __import__(f"{name}.wiring", fromlist=["ports"]).ports()
for handler in ("relay", "reconcile"):
    __import__(f"orders.handlers.{handler}")
print(*sorted({"boto3", "sqlite3"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("scheme", "mailer", "imported"),
    [("sqlite:///:memory:", "sqlite:///:memory:", "sqlite3"), ("dynamodb://x", "ses://a@b.c", "")],
)
def test_only_the_adapter_of_the_url_is_imported(scheme: str, mailer: str, imported: str) -> None:
    """With DynamoDB boto3 is imported by the first request; no client is made before."""
    names = ("STORE_URL", "GATEWAY_URL", "CARRIER_URL")
    other = {"MAILER_URL": mailer, "QUARANTINE_QUEUE_URL": "q", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        env=dict.fromkeys(names, scheme) | other,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == imported


# ---- orders that never began


def test_missing_orders_are_named(stores: DynamoStores) -> None:
    placed(stores)
    many = [f"A-{number}" for number in range(150)]
    assert stores.orders().unknown(many) == [one for one in many if one != "A-1"]


def test_the_time_of_the_last_comparison_with_the_sink_is_stored(stores: DynamoStores) -> None:
    assert stores.orders().compared() == 0.0
    stores.orders().mark_compared(NOW)
    stores.orders().mark_compared(NOW + 0.5)
    assert stores.orders().compared() == NOW + 0.5


# ---- what an order costs


class NoMail:
    def send(self, name: str, mail: object) -> None:
        """Take it."""


class TakesAll:
    def put(self, messages: Any) -> list[str | None]:
        return [None] * len(messages)


ORDER_ID = "0b1f2c3d-1111-4222-8333-444455556666"
RUN = "4ed3f2e2-4e5a-4e0e-8f0c-1a2b3c4d5e6f_e1ed8fe4-aaaa-4bbb-8ccc-1234567890ab"
CREATED = envelope(
    order_id=ORDER_ID,
    items=[
        {"sku": sku, "quantity": 2, "unit_price": 12.5}
        for sku in ("SENCHA-100", "TEAPOT-GLASS", "CUP-PORCELAIN")
    ],
    total=75,
    email="ada.lovelace@example.com",
    shipping_address=ADDRESS,
)


def test_the_units_of_a_happy_order_of_three_lines(stores: DynamoStores) -> None:
    """An order of n lines has two transactions of n + 1 items, with 2 units each."""
    meter = Meter(stores.client)
    metered = Table(stores.table.name, lambda: meter)
    moments = iter(range(100))

    def now() -> float:
        return NOW + 0.123456 * next(moments)

    stores.inventory().receive(
        Receipt("d", dict.fromkeys(["SENCHA-100", "TEAPOT-GLASS", "CUP-PORCELAIN"], 9)), NOW
    )
    ports = orders.Ports(DynamoOrders(metered), now, Policy())
    stock = inventory.Ports(type(stores.inventory())(metered), now)
    ledger = payments.Ports(type(stores.ledger())(metered), FakeGateway(), now)
    parcels = shipping.Ports(type(stores.shipments())(metered), FakeCarrier(), now)
    mails = notifications.Ports(DynamoMails(metered), NoMail(), "orders@example.com", now)
    steps: dict[str, Callable[[], object]] = {
        "ValidateOrder": lambda: orders.claim(CREATED, RUN, ports),
        "CheckInventory": lambda: inventory.reserve(ORDER_ID, 1, stock),
        "ProcessPayment": lambda: payments.pay(ORDER_ID, 1, ledger),
        "UpdateInventory": lambda: inventory.commit(ORDER_ID, 1, stock),
        "CreateShipment": lambda: shipping.ship(ORDER_ID, 1, parcels),
        "SendConfirmation": lambda: notifications.confirm(ORDER_ID, mails),
        "OrderCompleted": lambda: orders.complete(ORDER_ID, 1, ports),
        "Relay": lambda: outbox.relay([_image(stores)], _relay(metered), lambda: 60.0),
    }
    counted = {}
    for name, step in steps.items():
        step()
        counted[name] = [
            (cost.request, cost.writes, cost.index_writes, cost.reads)
            for cost in _shown(name, meter.take())
        ]
    read = ("GetItem", 0, 0, 1)
    write = ("UpdateItem", 1, 0, 0)
    assert counted == {
        "ValidateOrder": [read, ("UpdateItem", 1, 2, 0)],
        "CheckInventory": [read, ("TransactWriteItems of 4", 8, 0, 0)],
        "ProcessPayment": [read, write, write],
        "UpdateInventory": [read, ("TransactWriteItems of 4", 8, 0, 0)],
        "CreateShipment": [read, write],
        "SendConfirmation": [read, read, write],
        "OrderCompleted": [read, ("UpdateItem", 2, 0, 0)],
        "Relay": [("UpdateItem", 2, 1, 0)],
    }


def _image(stores: DynamoStores) -> Mapping[str, Any]:
    key = {"pk": {"S": f"order#{ORDER_ID}"}, "sk": {"S": "order"}}
    image = stores.client.get_item(TableName=stores.table.name, Key=key)["Item"]
    return {"dynamodb": {"SequenceNumber": "1", "NewImage": image}}


def _relay(table: Table) -> outbox.Ports:
    return outbox.Ports(DynamoOutbox(table), TakesAll(), lambda: NOW)


def _shown(step: str, costs: list[Cost]) -> list[Cost]:
    for cost in costs:
        print(f"{step:18}{cost.request:24}{cost.size:6} bytes")  # noqa: T201 - shown if it fails
    return costs
