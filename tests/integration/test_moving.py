"""Moves from one machine to AWS and back: no data is lost, and no order is charged twice."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from infra.audit.directory import audit
from infra.cli.commands.export import export_
from infra.cli.commands.import_ import import_
from infra.cli.generator import Generated, generate
from infra.errors import Refusal
from infra.local.directory.data_directory import DataDirectory, DataDirectoryError
from infra.local.platform import stack_of
from infra.moving import export_file as bundle
from infra.moving.lines import identity
from infra.moving.sqlite import SQLitePlace
from inventory.model import Receipt
from inventory.store import SQLiteInventory
from kernel.errors import DuplicateOrder, InvalidStock, OrderConflict, StoreError
from kernel.idempotency import confirmation_id
from kernel.order_record import Entry, Message
from kernel.order_status import Status
from notifications.dynamodb import DynamoMails
from orders import change_requests
from orders import usecases as orders
from orders.store import SQLiteOrders
from orders.usecases import Policy
from storage.sqlite.database import Database
from tests.fakes.events import envelope
from tests.fakes.records import NOW, order
from tests.integration.dynamo_stores import DynamoStores, OneAtATime, moto

COUNT, SEED = 30, 7

app = typer.Typer()
app.command("export")(export_)
app.command("import")(import_)


def orders_run(*arguments: object) -> dict[str, Any]:
    """Run `orders run` in a process of its own; return its totals."""
    command = "from infra.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "run", "--workers", "0", "--json", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    totals: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["totals"]
    return totals


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exception is None, result.output
    return json.loads(result.stdout.splitlines()[-1])


def refusal(*arguments: object) -> str:
    """Return the error message of a command."""
    result = run(*arguments)
    assert isinstance(result.exception, Refusal | StoreError | DataDirectoryError)
    return str(result.exception)


def to_aws(stores: DynamoStores) -> tuple[str, ...]:
    return ("--table", stores.table.name, "--region", "us-east-1")


def machine_with(root: Path, write: Callable[[Database], object]) -> tuple[str, ...]:
    """Make a data directory, call ``write``, and return the option that names the directory."""
    with DataDirectory(root).writer() as database:
        SQLitePlace(database, "").prepare()
        write(database)
    return ("--data", str(root))


@dataclass(frozen=True, slots=True)
class ExportedDirectory:
    """A data directory with finished orders of every kind, and its export file."""

    root: Path
    generated: Generated
    totals: Mapping[str, Any]
    file: Path

    @property
    def created(self) -> list[dict[str, Any]]:
        events = (event for kind, event in self.generated.events if kind != "rejected")
        return [event for event in events if event["detail-type"] == "Order Created"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportedDirectory:
    root = tmp_path_factory.mktemp("directory")
    totals = orders_run("--count", COUNT, "--seed", SEED, "--data", root / "data")
    assert totals["completed"] > 0 < totals["failed"]
    file = root / "moved.ndjson.gz"
    answer("export", file, "--data", root / "data")
    return ExportedDirectory(root / "data", generate(COUNT, SEED), totals, file)


@pytest.fixture
def small(exported: ExportedDirectory, tmp_path: Path) -> Path:
    """Write a file with two lines of each kind of the export, and the stock of its orders."""
    kinds = groupby(bundle.rows(exported.file), key=lambda row: row["kind"])
    rows = [row for _, group in kinds for row in list(group)[:2]]
    assert {row["kind"] for row in rows} == {"stock", "receipt", "order", "mail", "review", "event"}
    rows = [*stock_of(rows), *(row for row in rows if row["kind"] not in ("stock", "receipt"))]
    file = tmp_path / "small.ndjson"
    bundle.write(file, "directory", rows, NOW)
    return file


def stock_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return stock lines that cover the completed orders, with one unit remaining per SKU."""
    shipped: Counter[str] = Counter()
    for row in rows:
        if row["kind"] == "order":
            assert row["record"]["reservation"] == "COMMITTED"
            shipped.update({sku: units for sku, units, _ in row["record"]["items"]})
    counts: list[dict[str, Any]] = [
        {"sku": sku, "received": units + 1, "on_hand": 1, "reserved": 0, "shipped": units}
        for sku, units in sorted(shipped.items())
    ]
    units = sum(sku_counts["received"] for sku_counts in counts)
    receipt = {"kind": "receipt", "digest": "delivery", "received_at": NOW, "units": units}
    return [*({"kind": "stock", **sku_counts, "restocked": 0} for sku_counts in counts), receipt]


@pytest.fixture(scope="module")
def aws() -> Iterator[OneAtATime]:
    with moto() as client:
        yield client


@pytest.fixture
def stores(aws: OneAtATime) -> Iterator[DynamoStores]:
    opened = DynamoStores(aws)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def moved(exported: ExportedDirectory, aws: OneAtATime) -> Iterator[DynamoStores]:
    """Create a table with the imported directory."""
    opened = DynamoStores(aws)
    result = answer("import", exported.file, *to_aws(opened))
    assert (result["known"], result["totals"]["in_flight"]) == (0, 0)
    yield opened
    opened.close()


# ---- round trip


@pytest.mark.long
def test_a_directory_moves_to_aws_and_back_with_all_its_data(
    exported: ExportedDirectory, moved: DynamoStores, tmp_path: Path
) -> None:
    back = tmp_path / "back.ndjson"
    totals = answer("export", back, *to_aws(moved))["totals"]
    for name in set(totals) & set(exported.totals):
        assert totals[name] == exported.totals[name], name
    assert sorted_rows(back) == sorted_rows(exported.file)
    assert answer("import", back, "--data", tmp_path / "new")["totals"] == totals
    sound(tmp_path / "new")
    again = tmp_path / "again.ndjson"
    answer("export", again, "--data", tmp_path / "new")
    answer("import", again, "--data", tmp_path / "newer")
    sound(tmp_path / "newer")
    replayed = tmp_path / "created.ndjson"
    replayed.write_text("".join(json.dumps(event) + "\n" for event in exported.created))
    assert orders_run("--from", replayed, "--data", tmp_path / "new") == exported.totals


def sound(data: Path) -> None:
    """Assert that an audit has no findings, although the events stayed at their origin."""
    where = DataDirectory(data)
    assert [str(finding) for finding in audit(where, stack_of(where)).findings.first] == []


def sorted_rows(file: Path) -> list[str]:
    """Return a file's lines sorted, with timelines sorted by time."""
    lines = []
    for row in bundle.rows(file):
        if row["kind"] == "order":
            row["timeline"].sort(key=lambda entry: (entry["at"], entry["what"]))
        lines.append(json.dumps(row, sort_keys=True))
    return sorted(lines)


def test_replayed_events_are_duplicates_on_aws(
    exported: ExportedDirectory, moved: DynamoStores
) -> None:
    """The same events at the same handlers cause no second charge."""
    before = moved.charges()
    ports = orders.Ports(moved.orders(), lambda: NOW, Policy())
    for event in exported.created:
        with pytest.raises(DuplicateOrder):
            orders.claim(event, "replayed", ports)
    changed = {
        **exported.created[0],
        "detail": {**exported.created[0]["detail"], "email": "x@y.zz"},
    }
    with pytest.raises(OrderConflict):
        orders.claim(changed, "replayed", ports)
    assert moved.charges() == before
    assert moved.outbox() == []


def test_marks_are_effective_on_aws(exported: ExportedDirectory, moved: DynamoStores) -> None:
    assert not moved.inventory().receive(exported.generated.receipt, NOW)
    customer = exported.created[0]["detail"]["customer_id"]
    [completed, *_] = moved.orders().by_customer(customer, 9, None)
    assert completed.status is Status.COMPLETED
    assert DynamoMails(moved.table).sent(confirmation_id(completed.order_id), completed.order_id)


def test_a_moved_large_receipt_is_not_received_again(
    stores: DynamoStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory.dynamodb.TRANSACTION", 5)
    receipt = Receipt("digest", {f"SKU-{number}": 1 for number in range(9)})
    source = machine_with(
        tmp_path / "directory", lambda database: SQLiteInventory(database).receive(receipt, NOW)
    )
    file = tmp_path / "moved.ndjson"
    answer("export", file, *source)
    answer("import", file, *to_aws(stores))
    assert not stores.inventory().receive(receipt, NOW)
    assert {stock.on_hand for stock in stores.stock().values()} == {1}


def test_moved_stock_deliveries_are_known_by_their_numbers(
    stores: DynamoStores, tmp_path: Path
) -> None:
    first, second = (Receipt.of({"TEA": 5}, number) for number in ("D-1", "D-2"))

    def received(database: Database) -> None:
        for receipt in (first, second):
            SQLiteInventory(database).receive(receipt, NOW)

    file, back = tmp_path / "moved.ndjson", tmp_path / "back.ndjson"
    answer("export", file, *machine_with(tmp_path / "directory", received))
    answer("import", file, *to_aws(stores))
    store = stores.inventory()
    assert [store.receive(item, NOW) for item in (first, second, Receipt.of({"TEA": 5}))] == [
        False
    ] * 3
    with pytest.raises(InvalidStock, match="other units"):
        store.receive(Receipt.of({"TEA": 6}, "D-1"), NOW)
    answer("export", back, *to_aws(stores))
    there, here = (sorted(bundle.rows(item), key=identity) for item in (back, file))
    assert there == here


def test_an_order_in_flight_is_resumed_in_its_new_place(
    stores: DynamoStores, tmp_path: Path
) -> None:
    held = order(version=0).change(Entry("RECEIVED", NOW), lease_owner="run", lease_until=NOW)
    source = machine_with(
        tmp_path / "directory", lambda database: SQLiteOrders(database).save(held)
    )
    file = tmp_path / "moved.ndjson"
    assert answer("export", file, *source)["totals"]["in_flight"] == 1
    answer("import", file, *to_aws(stores))
    ports = orders.Ports(stores.orders(), lambda: NOW + 1000, Policy())
    assert orders.reconcile(ports).started == 1
    assert [message.kind for message, _ in stores.outbox()] == ["run"]


def test_an_early_request_is_moved_and_applied(stores: DynamoStores, tmp_path: Path) -> None:
    def cancel(database: Database) -> None:
        ports = orders.Ports(SQLiteOrders(database), lambda: NOW, Policy())
        change_requests.apply_request(
            envelope("Order Cancelled", metadata={"event_id": "event-9"}), ports
        )

    source, file = machine_with(tmp_path / "directory", cancel), tmp_path / "moved.ndjson"
    assert answer("export", file, *source)["totals"]["early_requests"] == 1
    assert answer("import", file, *to_aws(stores))["added"] == 1
    assert answer("import", file, *to_aws(stores))["added"] == 0
    back = tmp_path / "back.ndjson"
    answer("export", back, *to_aws(stores))
    assert sorted_rows(back) == sorted_rows(file)
    ports = orders.Ports(stores.orders(), lambda: NOW + 1, Policy())
    orders.claim(envelope(), "run-1", ports)
    record = stores.orders().read("A-1")
    assert (record.cancel_requested, record.cancel_event_id) == (True, "event-9")


def test_a_file_of_0_1_0_with_one_time_for_both_fields_is_read(
    stores: DynamoStores, tmp_path: Path
) -> None:
    at = "2026-01-31T12:30:00Z"
    held = order(version=0, email="ada@example.com", email_as_of=at, shipping_address_as_of=at)
    source = machine_with(
        tmp_path / "directory", lambda database: SQLiteOrders(database).save(held.change())
    )
    file = tmp_path / "moved.ndjson"
    answer("export", file, *source)

    def older(lines: list[str]) -> list[str]:
        row = json.loads(lines[1])
        del row["record"]["email_as_of"], row["record"]["shipping_address_as_of"]
        row["record"]["amended_at"] = at
        return [lines[0], json.dumps(row) + "\n", *lines[2:]]

    _edited(file, older)
    assert answer("import", file, *to_aws(stores))["added"] == 1
    assert answer("import", file, *to_aws(stores))["added"] == 0
    record = stores.orders().read("A-1")
    assert (record.email_as_of, record.shipping_address_as_of) == (at, at)


# ---- repeated imports, and other data


def test_importing_again_changes_nothing(small: Path, stores: DynamoStores) -> None:
    first = answer("import", small, *to_aws(stores))
    before = stores.everything()
    again = answer("import", small, *to_aws(stores))
    assert (again["added"], again["known"]) == (0, first["added"])
    assert stores.everything() == before


def test_an_interrupted_import_can_be_completed(small: Path, stores: DynamoStores) -> None:
    first = answer("import", small, *to_aws(stores))
    lost = list(stores.table.scan())[::3]
    for item in lost:
        stores.table.delete(item["pk"], item["sk"])
    again = answer("import", small, *to_aws(stores))
    assert again["added"] == len(lost)
    assert again["totals"] == first["totals"]


def order_in(file: Path) -> str:
    """Return the id of an order in a file."""
    orders_there = (row["record"] for row in bundle.rows(file) if row["kind"] == "order")
    return str(next(orders_there)["order_id"])


def test_notes_on_an_order_do_not_conflict(small: Path, stores: DynamoStores) -> None:
    answer("import", small, *to_aws(stores))
    order_id = order_in(small)
    stores.orders().note(order_id, Entry("DUPLICATE_IGNORED", NOW))
    assert answer("import", small, *to_aws(stores))["added"] == 0


@pytest.mark.parametrize("place", ["aws", "directory"])
def test_a_place_with_other_data_is_left_unchanged(
    small: Path, stores: DynamoStores, tmp_path: Path, place: str
) -> None:
    other = order(version=0, order_id=order_in(small)).change()
    if place == "aws":
        stores.orders().save(other)
        goal = to_aws(stores)
    else:
        goal = machine_with(tmp_path / "new", lambda database: SQLiteOrders(database).save(other))
    message = refusal("import", small, *goal)
    assert f"holds other data of order {order_in(small)}; nothing was imported" in message
    assert len(stores.everything()) == (place == "aws")


def test_stock_with_other_counts_is_refused(small: Path, stores: DynamoStores) -> None:
    sku = next(row["sku"] for row in bundle.rows(small) if row["kind"] == "stock")
    stores.inventory().receive(Receipt("other", {sku: 1}), NOW)
    assert f"holds other data of stock {sku}" in refusal("import", small, *to_aws(stores))


def test_a_table_with_a_pending_outbox_is_not_exported(
    stores: DynamoStores, tmp_path: Path
) -> None:
    file = tmp_path / "moved.ndjson"
    stores.orders().send(Message("run", {"name": "x", "input": {}}), NOW)
    message = refusal("export", file, *to_aws(stores))
    assert "the outbox of" in message
    assert "has messages" in message
    assert not list(tmp_path.glob("*moved*"))


# ---- bad files


def _edited(file: Path, edit: Callable[[list[str]], list[str]]) -> Path:
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(edit(lines)))
    return file


def _with(line: str, **fields: object) -> str:
    return json.dumps({**json.loads(line), **fields}) + "\n"


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda lines: lines[:-1], "ends before its totals, so it is incomplete"),
        (lambda lines: lines[:1], "ends before its totals"),
        (lambda lines: [*lines[:3], lines[3][:40]], ":4: is no line of `orders export`"),
        (lambda lines: lines[1:], "is no file of `orders export`"),
        (lambda _: [], ":1: is no line of `orders export`"),
        (lambda _: ["hello\n"], ":1: is no line of `orders export`"),
        (
            lambda lines: [_with(lines[0], version=3), *lines[1:]],
            "has version 3, and this Orderflow knows 2",
        ),
        (
            lambda lines: [_with(lines[0], version="1"), *lines[1:]],
            "has version 1, and this Orderflow knows 2",
        ),
        (lambda lines: [*lines[:2], *lines[1:]], "occurs twice"),
        (lambda lines: [lines[0], *lines[2:]], "differs from its totals: its"),
        (lambda lines: [*lines, lines[1]], "follows the totals"),
        (
            lambda lines: [lines[0], _with(lines[1], kind="sock"), *lines[2:]],
            ":2: 'sock' is an unknown kind",
        ),
    ],
)
def test_an_invalid_file_is_refused_before_any_write(
    small: Path,
    stores: DynamoStores,
    edit: Callable[[list[str]], list[str]],
    problem: str,
) -> None:
    assert problem in refusal("import", _edited(small, edit), *to_aws(stores))
    assert stores.everything() == {}


def test_a_truncated_or_invalid_gzip_file_is_refused(small: Path, stores: DynamoStores) -> None:
    for content in (gzip.compress(small.read_bytes())[:-100], b"hello", b""):
        file = small.with_name("cut.ndjson.gz")
        file.write_bytes(content)
        assert "cut.ndjson.gz" in refusal("import", file, *to_aws(stores))
    assert stores.everything() == {}


def test_a_missing_file_or_place_is_reported(small: Path, aws: OneAtATime, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert "No such file" in refusal("import", nowhere, "--data", tmp_path / "new")
    assert "has no orders yet" in refusal("export", tmp_path / "x.ndjson", "--data", nowhere)
    table = ("--table", "nowhere", "--region", "us-east-1")
    for command in ("import", "export"):
        assert "the DynamoDB table nowhere was not found" in refusal(command, small, *table)
