"""Properties of the stores on SQLite only (see `test_stores` for the others)."""

import errno
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel.errors import InvalidSettings
from kernel.order_record import Message
from kernel.order_status import Status
from storage.sqlite.database import Database, database
from storage.sqlite.records import SQLiteRecords
from tests.fakes.events import envelope
from tests.fakes.records import NOW, order
from tests.integration.stores import SQLiteStores


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[SQLiteStores]:
    opened = SQLiteStores(tmp_path)
    yield opened
    opened.close()


# ---- the sink: on one machine, the bus's journal


@pytest.mark.parametrize(
    ("situation", "event", "arrived_at", "is_lost"),
    [
        ("no order came of it", envelope(order_id="A-2"), NOW - 1000, True),
        ("its order is here", envelope(order_id="A-1"), NOW - 1000, False),
        ("it has just arrived", envelope(order_id="A-2"), NOW - 900, False),
        ("too long ago", envelope(order_id="A-2"), NOW - 5000, False),
        ("it opens no order", envelope("Order Cancelled", order_id="A-2"), NOW - 1000, False),
    ],
)
def test_an_event_without_an_order_is_in_the_sink_and_not_among_the_orders(
    stores: SQLiteStores,
    situation: str,
    event: dict[str, Any],
    arrived_at: float,
    is_lost: bool,  # noqa: FBT001 - a column
) -> None:
    stores.orders().save(order(version=0, status=Status.COMPLETED).change())
    stores.sink(event, arrived_at)
    found = stores.journal().events_without_order(NOW - 5000, NOW - 900)
    assert list(found) == ([event] if is_lost else []), situation


def test_the_oldest_event_without_an_order_is_first(stores: SQLiteStores) -> None:
    for n in range(5):
        stores.sink(envelope(order_id=f"B-{n}"), NOW - 1000 - n)
    found = stores.journal().events_without_order(NOW - 5000, NOW - 900)
    assert [event["detail"]["order_id"] for event in found] == ["B-4", "B-3", "B-2", "B-1", "B-0"]


def test_an_event_that_waits_to_be_started_again_is_not_lost(stores: SQLiteStores) -> None:
    for name in ("B-1", "B-2"):
        stores.sink(envelope(order_id=name), NOW - 1000)
    stores.await_restart("B-1", None)
    found = stores.journal().events_without_order(NOW - 5000, NOW - 900)
    assert [event["detail"]["order_id"] for event in found] == ["B-2"]


def test_without_a_sink_no_event_is_without_an_order(stores: SQLiteStores) -> None:
    assert list(stores.journal().events_without_order(0.0, NOW)) == []


# ---- the database


def test_a_url_names_a_file_and_one_process_has_one_connection_to_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/orders.db"
    assert database(url) is database(url)
    assert database(url).path == f"{tmp_path}/orders.db"
    modes = {"": 1, "?synchronous=NORMAL": 1, "?synchronous=full": 2}
    for query, number in modes.items():
        row = database(url + query).row("pragma synchronous")
        assert row is not None
        assert row[0] == number


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("dynamodb://table", "'dynamodb://table' is not of the form sqlite:///PATH"),
        ("sqlite://", "is not of the form sqlite:///PATH"),
        ("orders.db", "is not of the form sqlite:///PATH"),
        ("sqlite:////nowhere/at/all.db", "the folder of /nowhere/at/all.db does not exist"),
    ],
)
def test_a_url_without_a_database_says_why(url: str, problem: str) -> None:
    with pytest.raises(InvalidSettings, match=problem):
        database(url)


def test_the_next_process_reads_the_committed_rows(tmp_path: Path) -> None:
    first = SQLiteStores(tmp_path)
    written = first.orders().save(order(version=0).change())
    first.close()
    second = SQLiteStores(tmp_path)
    assert second.orders().read("A-1") == written
    second.close()


def test_without_a_write_ahead_log_each_commit_is_synced_by_sqlite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In memory, or on a file system without shared memory."""
    monkeypatch.setattr(os, "fdatasync", lambda _: pytest.fail("there is no log to sync"))
    database = Database(":memory:")
    with database.write(durable=True) as connection:
        connection.execute("create table t (n integer)")
    assert [row[0] for row in database.rows("pragma synchronous")] == [2]
    database.close()


def test_a_failed_sync_is_raised_as_an_error_of_sqlite(
    stores: SQLiteStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    database = stores.orders().database
    with (
        pytest.raises(sqlite3.OperationalError, match="No space left"),
        database.write(durable=True),
    ):
        pass


def test_a_process_waits_while_another_creates_the_database(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    other = Database(str(path))
    other.connection.execute("pragma journal_mode = delete")  # as a file is at first
    held, done = threading.Event(), threading.Event()

    def make() -> None:
        with other.write():
            held.set()
            done.wait(0.2)

    maker = threading.Thread(target=make)
    maker.start()
    held.wait()
    try:
        Database(str(path)).close()
    finally:
        done.set()
        maker.join()
        other.close()


def test_the_outbox_takes_a_message_of_the_deepest_event(tmp_path: Path) -> None:
    records = SQLiteRecords(Database(str(tmp_path / "x.db")))
    body = {"queue": "Q", "body": {"event": json.loads('{"a":' * 1_001 + "1" + "}" * 1_001)}}
    records.send(Message("message", body), 0.0)
    [row] = records.database.rows("select body from outbox")
    assert json.loads(row["body"]) == body
    records.database.close()


def test_a_full_disk_is_reported_as_a_full_disk(tmp_path: Path) -> None:
    full = Database(str(tmp_path / "full.db"))
    full.define("create table things (thing)")
    full.connection.execute("pragma max_page_count = 10")
    with pytest.raises(sqlite3.OperationalError, match="full"), full.write() as connection:
        connection.executemany("insert into things values (?)", [("x" * 5000,)] * 100)
    full.close()


def test_a_failed_commit_does_not_block_the_next_write(tmp_path: Path) -> None:
    store = Database(str(tmp_path / "x.db"))
    store.define(
        "create table parents (id integer primary key);"
        "create table children (parent references parents deferrable initially deferred)"
    )
    store.connection.execute("pragma foreign_keys = on")
    with pytest.raises(sqlite3.IntegrityError), store.write() as connection:
        connection.execute("insert into children values (1)")
    with store.write() as connection:
        connection.execute("insert into parents values (1)")
    store.close()
