"""A move carries each kind of data completely, to the last field and part."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from infra.cli.commands.export import export_
from infra.cli.commands.import_ import import_
from infra.errors import Refusal
from infra.local.directory.data_directory import DataDirectory
from infra.moving import export_file as bundle
from infra.moving.sqlite import SQLitePlace
from inventory.model import Receipt
from kernel.order_record import Entry, Status
from orders.store import SQLiteOrders
from storage.sqlite.database import Database
from tests.fakes.records import NOW, order
from tests.integration.dynamo_stores import DynamoStores, moto

app = typer.Typer()
app.command("export")(export_)
app.command("import")(import_)

INSERT = (
    "insert into events (id, detail_type, order_id, envelope, arrived_at, archived)"
    " values (?, 'd', ?, ?, ?, ?)"
)


@pytest.fixture
def stores() -> Iterator[DynamoStores]:
    with moto() as client:
        opened = DynamoStores(client)
        yield opened
        opened.close()


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in (*arguments, "--json")])
    assert result.exception is None, result.output
    return json.loads(result.stdout.splitlines()[-1])


def machine(folder: Path) -> Database:
    """Return the database of a new data directory, which the caller closes."""
    with DataDirectory(folder).writer() as database:
        SQLitePlace(database, "").prepare()
    return Database(str(DataDirectory(folder).database))


def lines(file: Path, kind: str) -> list[Any]:
    return [row for row in bundle.rows(file) if row["kind"] == kind]


def put_events(database: Database, *, archived: bool, **ids: str) -> None:
    for name, order_id in ids.items():
        envelope = {"id": name, "detail-type": "d", "detail": {"order_id": order_id}}
        with database.write() as connection:
            connection.execute(INSERT, (name, order_id, json.dumps(envelope), NOW, int(archived)))


def test_only_archived_events_are_exported(tmp_path: Path) -> None:
    source = machine(tmp_path / "old")
    put_events(source, archived=True, archived_event="A-1")
    put_events(source, archived=False, other_event="A-2")
    source.close()
    file = tmp_path / "moved.ndjson"
    assert run("export", file, "--data", tmp_path / "old")["totals"]["events"] == 1
    assert [json.loads(row["envelope"])["id"] for row in lines(file, "event")] == ["archived_event"]


def test_imported_data_can_be_exported_completely(tmp_path: Path) -> None:
    source = machine(tmp_path / "old")
    put_events(source, archived=True, first="A-1", second="A-2")
    changes = [
        order(version=0, order_id="A-1", epoch=3).change(Entry("RECEIVED", NOW)),
        order(version=0, order_id="A-2", status=Status.CANCELLED).change(Entry("RECEIVED", NOW)),
    ]
    for change in changes:
        saved = SQLiteOrders(source).save(change)
        SQLiteOrders(source).save(saved.change(Entry("CHARGED", NOW + 1), epoch=saved.epoch + 1))
    source.close()
    first, second = tmp_path / "first.ndjson", tmp_path / "second.ndjson"
    run("export", first, "--data", tmp_path / "old")
    run("import", first, "--data", tmp_path / "new")
    run("export", second, "--data", tmp_path / "new")
    for kind in ("order", "event"):
        assert lines(second, kind) == lines(first, kind)
    [moved, _] = lines(second, "order")
    assert [entry["epoch"] for entry in moved["timeline"]] == [3, 4]


def test_a_receipt_in_parts_is_exported_with_all_its_units(
    tmp_path: Path, stores: DynamoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory.dynamodb.TRANSACTION", 5)
    units = {f"SKU-{number}": number for number in range(1, 10)}
    assert stores.inventory().receive(Receipt("digest", units), NOW)
    file = tmp_path / "moved.ndjson"
    run("export", file, "--table", stores.table.name, "--region", "us-east-1")
    [receipt] = lines(file, "receipt")
    assert (receipt["digest"], receipt["units"]) == ("digest", sum(units.values()))


def test_a_file_in_a_missing_folder_cannot_be_written(tmp_path: Path) -> None:
    machine(tmp_path / "old").close()
    arguments = ["export", str(tmp_path / "nowhere" / "x.ndjson"), "--data", str(tmp_path / "old")]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, Refusal)
    assert "cannot be written: No such file or directory" in str(result.exception)
