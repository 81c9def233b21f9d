"""Moves of orders in flight: the export is as of one moment, and all work continues there."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from analytics.warehouse import connect
from infra.audit.directory import audit
from infra.dead_letters.reading import letters
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.moving import export_file as bundle
from infra.moving.dynamodb import DynamoPlace
from infra.moving.lines import Totals, same
from infra.moving.sqlite import SQLitePlace
from inventory.model import Move, Receipt
from kernel.order_record import Entry, Message
from kernel.order_status import Reservation, Status
from orders.dynamodb import DynamoKeys
from orders.idempotency_key import Key
from orders.store import SQLiteKeys, SQLiteOrders
from storage.sqlite.waiting import waiting_for
from tests.fakes.older import ahead, select, template, unpacked
from tests.fakes.records import NOW, order, waiting
from tests.faults.scene import Scene
from tests.integration.deployed import run
from tests.integration.dynamo_stores import DynamoStores, moto
from tests.integration.test_upgrade import alone, wanted

IN_FLIGHT = ("outbox", "message", "letter")

__all__ = ["alone"]


def answer(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exception is None, f"{result.output} {result.exception!r}"
    return json.loads(result.stdout.splitlines()[-1])


def refusal(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exception is not None, result.output
    return str(result.exception)


def rows_of(file: Path, *kinds: str) -> list[dict[str, Any]]:
    return [row for row in bundle.rows(file) if row["kind"] in kinds]


def moved(source: DataDirectory, folder: Path) -> DataDirectory:
    """Move a directory to a new one; copy its partners' records unchanged."""
    file = folder / "moved.ndjson.gz"
    exported = answer("export", file, "--data", source.root)
    goal = DataDirectory(folder / "goal")
    imported = answer("import", file, "--data", goal.root)
    assert imported["totals"] == exported["totals"]
    assert imported["known"] == 0
    sound(goal)
    with (
        closing(sqlite3.connect(source.sandbox)) as here,
        closing(sqlite3.connect(goal.sandbox)) as there,
    ):
        here.backup(there)
    return goal


def dump(directory: DataDirectory) -> list[str]:
    with closing(sqlite3.connect(directory.database)) as connection:
        return list(connection.iterdump())


def sound(directory: DataDirectory) -> None:
    findings = audit(directory, template()).findings
    assert [str(finding) for finding in findings.first] == []


# ---- one machine


@pytest.mark.parametrize("name", ["version-1-killed", "version-3-killed"])
def test_every_accepted_order_ends_in_its_new_place(name: str, tmp_path: Path) -> None:
    source = unpacked(name, tmp_path)
    created = "select envelope from events where detail_type = 'Order Created'"
    requests = "select order_id from events where detail_type = 'Order Cancelled'"
    cancelled = {order_id for (order_id,) in select(source, requests)}
    ends = dict(wanted(envelope, cancelled) for (envelope,) in select(source, created))
    goal = moved(source, tmp_path)
    later = ahead(goal)
    with Scene(goal.root).open(later=later) as machine:
        machine.settle()
    assert dict(select(goal, "select order_id, status from orders")) == ends
    mailed = {order_id for (order_id,) in select(goal, "select order_id from mails")}
    assert {order_id for order_id, end in ends.items() if end == "COMPLETED"} <= mailed
    sound(goal)


def test_dead_letters_are_moved_with_their_reasons_and_times(tmp_path: Path) -> None:
    source = unpacked("version-3-settled", tmp_path)
    goal = moved(source, tmp_path)
    queues = stack_of(goal).dead_letter_queues

    def dead_letters_in(directory: DataDirectory) -> list[Any]:
        reader = directory.reader()
        dead_letters = [{**letter, "id": None} for letter in letters(reader, queues)]
        reader.close()
        return dead_letters

    assert dead_letters_in(goal) == dead_letters_in(source) != []
    order_ids = {letter["order_id"] for letter in dead_letters_in(goal)}
    assert order_ids >= {"X-STUCK", "X-MAIL", "X-WRONG"}


def test_a_deleted_dead_letter_does_not_reappear(tmp_path: Path) -> None:
    source = unpacked("version-3-settled", tmp_path)
    goal = moved(source, tmp_path)
    with goal.writer() as database:
        database.connection.execute("delete from messages")
    assert answer("import", tmp_path / "moved.ndjson.gz", "--data", goal.root)["added"] == 0
    assert select(goal, "select count(*) from messages") == [(0,)]


def test_equal_dead_letters_are_all_moved(tmp_path: Path) -> None:
    source = unpacked("version-3-settled", tmp_path)
    with source.writer() as database:
        copy = (
            "insert into messages (queue, body, sent_at, visible_at, receives, attributes)"
            " select queue, body, sent_at, visible_at, receives, attributes from messages"
        )
        database.connection.execute(copy)
    goal = moved(source, tmp_path)
    count = "select count(*) from messages"
    assert select(goal, count) == select(source, count)


def test_analysts_have_the_same_rows_once_the_new_place_runs(tmp_path: Path) -> None:
    source = unpacked("version-3-settled", tmp_path)
    with Scene(source.root).open(later=ahead(source)) as machine:
        machine.settle()
    goal = moved(source, tmp_path)
    with Scene(goal.root).open(later=ahead(goal)) as machine:
        machine.settle()

    def rows(directory: DataDirectory) -> list[Any]:
        with connect(directory.bucket) as connection:
            query = "select dt, order_id, event_type, event_id from order_events order by all"
            return connection.execute(query).fetchall()

    assert rows(goal) == rows(source) != []


def test_an_export_is_as_of_one_moment_despite_concurrent_commits(tmp_path: Path) -> None:
    where = DataDirectory(tmp_path / "data")
    with where.writer() as database:
        SQLitePlace(database, "").prepare()
        from inventory.store import SQLiteInventory

        inventory = SQLiteInventory(database)
        inventory.receive(Receipt("digest", {"TEA": 9, "CUP": 9}), NOW)
        held = SQLiteOrders(database).save(order(version=0).change(Entry("RECEIVED", NOW)))
        reader = where.reader()
        rows = SQLitePlace(reader, "", stack_of(where)).rows()
        first = next(rows)
        reserved = held.change(
            Entry("STOCK_RESERVED", NOW), status=Status.RESERVED, reservation=Reservation.RESERVED
        )
        inventory.move(reserved, Move.RESERVE, held.demand)
        inventory.receive(Receipt("later", {"TEA": 1}), NOW)
        SQLiteOrders(database).send(Message("run", {"name": "later", "input": {}}), NOW)
        read = [first, *rows]
        reader.close()
    file = tmp_path / "read.ndjson"
    totals = bundle.write(file, "machine", read, NOW)
    assert (totals["in_flight"], totals["stock"]["reserved"]) == (1, 0)
    assert (totals["receipts"], totals["to_be_sent"]) == (1, 0)
    assert bundle.check(file).totals == totals


def test_an_import_that_fails_midway_is_rolled_back(tmp_path: Path) -> None:
    source = unpacked("version-3-settled", tmp_path)
    file = tmp_path / "moved.ndjson"
    answer("export", file, "--data", source.root)
    lines = file.read_text().splitlines(keepends=True)
    reviews = [number for number, line in enumerate(lines) if '"kind":"review"' in line]
    row = json.loads(lines[reviews[0]])
    lines[reviews[0]] = json.dumps({**row, "threshold": row["total"] + 1}) + "\n"
    file.write_text("".join(lines))
    goal = tmp_path / "goal"
    message = refusal("import", file, "--data", goal)
    assert "does not take a line (CHECK constraint failed" in message
    assert "nothing was imported" in message
    for table in ("orders", "stock", "receipts", "events", "messages", "imports"):
        assert select(DataDirectory(goal), f"select count(*) from {table}") == [(0,)]


KEY = Key("subject", "k-1", "f" * 64)


def test_idempotency_keys_are_moved(tmp_path: Path) -> None:
    """A retry in the new place is the same order; a table stores no text of a key to export."""
    source = unpacked("version-3-settled", tmp_path)
    with source.writer() as database:
        SQLiteKeys(database).keep(KEY, "G7-000001", NOW)
    goal = moved(source, tmp_path)
    with goal.writer() as database:
        assert SQLiteKeys(database).use_of(KEY) == ("G7-000001", KEY.fingerprint)
    keys = [row for row in bundle.rows(tmp_path / "moved.ndjson.gz") if row["kind"] == "key"]
    with moto() as client:
        stores = DynamoStores(client)
        place = DynamoPlace(stores.table)
        place.add(keys[0])
        assert DynamoKeys(stores.table).use_of(KEY) == ("G7-000001", KEY.fingerprint)
        assert same(keys[0], place.find(keys[0]) or {})
        back = tmp_path / "back.ndjson"
        bundle.write(back, place.name, place.rows(), NOW, archive=False)
    result = answer("import", back, "--data", tmp_path / "again")
    assert (result["added"], result["totals"]["keys"]) == (0, 1)


def test_an_order_that_waits_for_stock_is_in_the_index_of_its_new_place(tmp_path: Path) -> None:
    source = DataDirectory(tmp_path / "source")
    with source.writer() as database:
        SQLitePlace(database, "").prepare()
        SQLiteOrders(database).save(
            waiting(version=0, waiting_for="OutOfStock").change(Entry("WAITING", NOW))
        )
    answer("export", tmp_path / "e.ndjson", "--data", source.root)
    answer("import", tmp_path / "e.ndjson", "--data", tmp_path / "goal")
    [moved_order] = rows_of(tmp_path / "e.ndjson", "order")
    order_id, sku = moved_order["record"]["order_id"], next(iter(waiting().demand))
    with closing(DataDirectory(tmp_path / "goal").reader()) as reader:
        assert waiting_for(reader, sku, 9) == [order_id]
    with moto() as client:
        stores = DynamoStores(client)
        DynamoPlace(stores.table).add(moved_order)
        assert stores.orders().waiting_for(sku, 9) == [order_id]


# ---- the invariants of a file


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    file = folder / "moved.ndjson"
    answer("export", file, "--data", unpacked("version-3-settled", folder).root)
    return file


@pytest.fixture
def file(exported: Path, tmp_path: Path) -> Path:
    """Copy the export file of a directory with orders of every kind, not zipped."""
    return Path(shutil.copy(exported, tmp_path))


def edited(file: Path, kind: str, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Change the first line of a kind that `edit` accepts, and recompute the totals."""
    rows = list(bundle.rows(file))
    for row in rows:
        if row["kind"] == kind and edit(row) is not False:
            break
    header = json.loads(file.read_text().splitlines()[0])
    totals = Totals()
    for row in rows:
        totals.add(row)
    lines = [header, *rows, {"kind": "totals", **totals.figures}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def completed(**changes: Any) -> Callable[[dict[str, Any]], object]:
    """Change fields of a completed order: ``charge__status`` is the status of its charge."""

    def edit(row: dict[str, Any]) -> object:
        if row["record"]["status"] != "COMPLETED":
            return False
        for path, value in changes.items():
            part, _, name = path.partition("__")
            row[part][name] = value
        return True

    return edit


def without(part: str) -> Callable[[dict[str, Any]], object]:
    def edit(row: dict[str, Any]) -> object:
        if row["record"]["status"] != "COMPLETED":
            return False
        row[part] = None
        return True

    return edit


@pytest.mark.parametrize(
    ("kind", "edit", "problem"),
    [
        ("order", completed(charge__status="VOIDED"), "breaks Money"),
        ("order", completed(charge__charge_id="other"), "breaks Money"),
        ("order", without("charge"), "breaks Money"),
        ("order", completed(record__charge="REFUNDED"), "breaks Money"),
        ("order", completed(shipment__status="VOIDED"), "breaks Shipment"),
        ("order", completed(shipment__tracking_number="SBX"), "breaks Shipment"),
        ("order", without("shipment"), "breaks Shipment"),
        ("order", completed(record__shipment="VOIDED"), "breaks Shipment"),
        ("order", completed(record__reservation="RELEASED"), "breaks Stock"),
        ("order", completed(record__status="FAILED"), "breaks"),
        ("stock", lambda row: row.update(reserved=row["reserved"] + 1), "breaks Stock"),
        ("stock", lambda row: row.update(on_hand=row["on_hand"] + 1), "breaks Stock"),
        (
            "stock",
            lambda row: row.update(on_hand=row["on_hand"] + 1, received=row["received"] + 1),
            "breaks Stock",
        ),
        ("receipt", lambda row: row.update(units=row["units"] + 1), "breaks Stock"),
    ],
)
def test_a_file_that_breaks_an_invariant_is_refused_despite_correct_totals(
    file: Path, tmp_path: Path, kind: str, edit: Any, problem: str
) -> None:
    goal = tmp_path / "goal"
    message = refusal("import", edited(file, kind, edit), "--data", goal)
    assert problem in message
    assert "nothing was imported" in message
    assert not goal.exists()


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        ("stock", lambda row: row.update(reserved="1")),
        ("stock", lambda row: row.update(received=1.5)),
        ("stock", lambda row: row.update(on_hand=True)),
        ("order", lambda row: row.update(record=[])),
        ("order", lambda row: row["record"].update(items="x")),
        ("order", lambda row: row["record"].pop("customer_id")),
        ("order", lambda row: row["record"].update(status="LOST")),
        ("order", lambda row: row.pop("charge")),
        ("event", lambda row: row.update(envelope={})),
        ("letter", lambda row: row.update(body=None)),
        ("letter", lambda row: row.pop("attributes")),
        ("receipt", lambda row: row.update(received_at="today")),
    ],
)
def test_an_invalid_line_is_refused_with_its_number(
    file: Path, tmp_path: Path, kind: str, edit: Any
) -> None:
    rows = list(bundle.rows(file))
    lines = file.read_text().splitlines(keepends=True)
    place = next(number for number, row in enumerate(rows, 1) if row["kind"] == kind)
    row = json.loads(lines[place])
    edit(row)
    lines[place] = json.dumps(row) + "\n"
    file.write_text("".join(lines))
    goal = tmp_path / "goal"
    message = refusal("import", file, "--data", goal)
    assert f"{file.name}:{place + 1}: " in message
    assert not goal.exists()


@pytest.mark.parametrize(
    ("part", "sql"),
    [
        ("ledger", "update charges set reference = 'other'"),
        ("ledger", "update charges set updated_at = updated_at + 1"),
        ("shipments", "update shipments set updated_at = updated_at + 1"),
        ("shipments", "delete from shipments"),
    ],
)
def test_a_place_with_another_ledger_or_shipment_is_left_unchanged(
    file: Path, tmp_path: Path, part: str, sql: str
) -> None:
    goal = DataDirectory(tmp_path / "goal")
    answer("import", file, "--data", goal.root)
    with goal.writer() as database:
        database.connection.execute(sql)
    before = dump(goal)
    assert "holds other data of order" in refusal("import", file, "--data", goal.root)
    assert dump(goal) == before


def test_a_directory_that_breaks_an_invariant_is_not_exported(tmp_path: Path) -> None:
    source = unpacked("version-3-settled", tmp_path)
    with source.writer() as database:
        database.connection.execute("update stock set reserved = 1 where sku = 'TEA-GREEN-100'")
    message = refusal("export", tmp_path / "moved.ndjson", "--data", source.root)
    assert "breaks Stock, so nothing was exported: SKU TEA-GREEN-100" in message
    assert not list(tmp_path.glob("*moved*"))


# ---- files of older versions

VERSION_1 = Path(__file__).parents[1] / "fixtures" / "bundles" / "version-1.ndjson.gz"


def test_a_file_of_version_1_is_imported(tmp_path: Path) -> None:
    goal = DataDirectory(tmp_path / "goal")
    result = answer("import", VERSION_1, "--data", goal.root)
    assert (result["known"], result["totals"]["orders"]) == (0, 11)
    sound(goal)
    with Scene(goal.root).open(later=ahead(goal)) as machine:
        machine.settle()
    state = dict(select(goal, "select order_id, status from orders"))
    assert state["X-WAITS"] == "FAILED"
    source = unpacked("version-3-settled", tmp_path)
    assert answer("import", VERSION_1, "--data", source.root)["added"] == 0


def test_a_file_of_version_1_that_breaks_an_invariant_is_refused(tmp_path: Path) -> None:
    """Version 1 read one table after another while orders changed."""
    import gzip

    lines = gzip.decompress(VERSION_1.read_bytes()).decode().splitlines()
    rows = [json.loads(line) for line in lines]
    stock = next(row for row in rows if row["kind"] == "stock")
    stock["reserved"] += 1
    rows[-1]["stock"]["reserved"] += 1
    file = tmp_path / "torn.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    message = refusal("import", file, "--data", tmp_path / "goal")
    assert "breaks Stock, so nothing was imported" in message
    assert not (tmp_path / "goal").exists()
