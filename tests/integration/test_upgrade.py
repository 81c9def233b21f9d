"""Migration of directories that older versions wrote with their own code."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import kernel.clock
from infra.audit.directory import audit
from infra.audit.quick import quick_findings
from infra.contracts.catalogue import SOLD_OUT
from infra.local.directory.data_directory import DataDirectory, DataDirectoryError
from infra.local.directory.migrations import FOLDER, STEPS, migrate, normalized
from infra.local.directory.schema import VERSION
from storage.sqlite.database import Database
from tests.fakes.older import KILLED, SETTLED, ahead, select, template, unpacked
from tests.faults.scene import Scene, forget
from tests.host import Host

EVERY = [*SETTLED, *KILLED]

FIGURES = (
    "select status, count(*), sum(total), sum(attempts) from orders group by status",
    "select status, count(*), sum(amount) from charges group by status order by status",
    "select status, count(*) from shipments group by status order by status",
    "select sku, received, on_hand, reserved, shipped, restocked from stock order by sku",
    "select digest, units from receipts order by digest",
    "select order_id, total, status from reviews order by order_id",
    "select message_id, order_id from mails order by message_id",
    "select seq, id, detail_type, order_id, envelope, arrived_at, archived from events",
    "select id, event_seq, target, due, attempts, replay from deliveries order by id",
    "select id, queue, body, sent_at, receives, attributes from messages order by id",
    "select kind, body, created_at from outbox order by id",
    "select id, name, status, order_id, input, output, error, wake_at from executions order by id",
    "select order_id, at, epoch, what, detail from timeline order by order_id, at, what, detail",
    "select count(distinct execution_id) from history",
    "select id, body from definitions order by id",
)


def figures(directory: DataDirectory) -> list[Any]:
    return [select(directory, query) for query in FIGURES]


def schema(directory: DataDirectory) -> dict[str, str]:
    """Return the definition of each table, index and view, in a normal form."""
    query = "select type || ' ' || name, sql from sqlite_master where sql is not null"
    return {name: normalized(sql) for name, sql in select(directory, query)}


def content(directory: DataDirectory) -> tuple[Any, ...]:
    """Return the version, the schema and the rows of a database."""
    with closing(sqlite3.connect(directory.database)) as connection:
        [(version,)] = connection.execute("pragma user_version").fetchall()
        schema = connection.execute("select type, name, sql from sqlite_master").fetchall()
        tables = [name for kind, name, _ in schema if kind == "table"]
        rows = {table: connection.execute(f"select * from {table}").fetchall() for table in tables}
    return version, schema, rows


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Reset the process after the platforms that a test opens in it."""
    environment = dict(os.environ)
    forget()
    yield
    forget()
    kernel.clock.shift(0.0)
    os.environ.clear()
    os.environ.update(environment)


# ---- the migrated directory


@pytest.fixture(scope="module")
def new_schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    new = DataDirectory(tmp_path_factory.mktemp("new") / "data")
    with Scene(new.root).open():
        pass
    return schema(new)


def test_there_is_a_directory_of_each_older_version(tmp_path: Path) -> None:
    versions = [
        select(unpacked(name, tmp_path / name), "pragma user_version")[0][0] for name in EVERY
    ]
    assert set(versions) == set(range(1, VERSION))


@pytest.mark.parametrize("name", EVERY)
def test_it_keeps_its_data_and_has_the_schema_of_a_new_directory(
    name: str, tmp_path: Path, new_schema: dict[str, str]
) -> None:
    older = unpacked(name, tmp_path)
    before = figures(older)
    with older.writer():
        pass
    assert figures(older) == before
    with Scene(older.root).open():
        pass
    assert schema(older) == new_schema
    assert select(older, "pragma user_version") == [(VERSION,)]
    assert select(older, "pragma integrity_check") == [("ok",)]


@pytest.mark.parametrize("way", ["reader", "writer"])
def test_a_reader_and_a_writer_migrate_it(way: str, tmp_path: Path) -> None:
    older = unpacked("version-1-settled", tmp_path)
    if way == "reader":
        older.reader().close()
    else:
        with older.writer():
            pass
    assert select(older, "pragma user_version") == [(VERSION,)]


def test_no_id_is_reused_after_it(tmp_path: Path) -> None:
    """The first builds reused the ids of an emptied table; files have the ids of deliveries."""
    older = unpacked("version-1-first-settled", tmp_path)
    used = max(int(path.stem.rpartition("-")[2]) for path in older.bucket.rglob("*.parquet"))
    with older.writer():
        pass
    last = dict(select(older, "select name, seq from sqlite_sequence"))
    assert last["deliveries"] > used
    for table, column in (("events", "seq"), ("executions", "id"), ("messages", "id")):
        assert last[table] >= select(older, f"select max({column}) from {table}")[0][0]


def test_a_users_own_view_is_unchanged(tmp_path: Path) -> None:
    older = unpacked("version-2-settled", tmp_path)
    mine = "create view mine as select order_id, total from orders where status = 'COMPLETED'"
    with closing(sqlite3.connect(older.database)) as connection:
        connection.execute(mine)
    before = select(older, "select * from mine")
    with older.writer():
        pass
    assert select(older, "select * from mine") == before != []


def test_the_time_of_a_change_becomes_that_of_each_field(tmp_path: Path) -> None:
    older = unpacked("version-3-settled", tmp_path)
    changed = "2026-01-31T12:00:00Z"
    with closing(sqlite3.connect(older.database)) as connection, connection:
        connection.execute(
            "update orders set amended_at = ? where order_id = 'X-WAITS'", (changed,)
        )
    older.reader().close()
    query = "select order_id, shipping_address_as_of, email_as_of from orders order by order_id"
    times = {order_id: rest for order_id, *rest in select(older, query)}
    assert times.pop("X-WAITS") == [changed, changed]
    assert all(rest == [None, None] for rest in times.values())


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("2.sql", "5658c02413d1c72ea98458d39707f34f"),
        ("3.sql", "65c6cb6c5b667d3d722a15d97742e264"),
    ],
)
def test_a_released_step_is_never_changed(name: str, digest: str) -> None:
    assert sha256((FOLDER / name).read_bytes()).hexdigest()[:32] == digest


# ---- atomicity


class Refusing:
    """An authorizer that refuses the n-th change of a table, an index or a row."""

    CHANGES = frozenset(
        {
            sqlite3.SQLITE_ALTER_TABLE,
            sqlite3.SQLITE_CREATE_INDEX,
            sqlite3.SQLITE_CREATE_TABLE,
            sqlite3.SQLITE_DROP_INDEX,
            sqlite3.SQLITE_DROP_TABLE,
            sqlite3.SQLITE_INSERT,
            sqlite3.SQLITE_PRAGMA,
        }
    )

    def __init__(self, number: int, act: Callable[[], int] = lambda: sqlite3.SQLITE_DENY) -> None:
        self.remaining = number
        self.act = act

    def __call__(self, action: int, *_: object) -> int:
        if action in self.CHANGES:
            self.remaining -= 1
            if self.remaining == 0:
                return self.act()
        return sqlite3.SQLITE_OK


@pytest.mark.long
@pytest.mark.parametrize("name", ["version-1-first-killed", "version-3-of-1-killed"])
def test_an_error_at_any_change_rolls_back(name: str, tmp_path: Path) -> None:
    """The first builds' directory runs every step, the other one rebuilds most tables.

    Every third change is refused, to save time.
    """
    older = unpacked(name, tmp_path)
    before = content(older)
    for number in count(1, 3):
        database = Database(str(older.database))
        database.connection.set_authorizer(Refusing(number))
        try:
            migrate(database, before[0])
        except sqlite3.DatabaseError:
            database.connection.set_authorizer(None)
            database.close()
            assert content(older) == before, f"change {number}"
            continue
        database.close()
        break
    assert number > 1
    assert select(older, "pragma user_version") == [(VERSION,)]


KILL = """
import os, signal, sys
from storage.sqlite.database import Database
from infra.local.directory.migrations import migrate
from tests.integration.test_upgrade import Refusing
database = Database(sys.argv[1])
end = lambda: os.kill(os.getpid(), signal.SIGKILL)
database.connection.set_authorizer(Refusing(int(sys.argv[2]), end))
migrate(database, int(sys.argv[3]))
"""


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_a_killed_process_rolls_back(step: int, tmp_path: Path) -> None:
    older = unpacked("version-1-killed", tmp_path)
    before = content(older)
    number = 2 + 15 * step
    script = [sys.executable, "-c", KILL, str(older.database), str(number), "1"]
    done = subprocess.run(script, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    assert content(older) == before


def test_a_directory_that_cannot_be_migrated_is_refused_with_the_reason(tmp_path: Path) -> None:
    older = unpacked("version-2-settled", tmp_path)
    with closing(sqlite3.connect(older.database)) as connection:
        connection.executescript(
            "pragma ignore_check_constraints = on; update orders set total = -1"
            " where order_id = 'X-WAITS'"
        )
    before = content(older)
    with pytest.raises(DataDirectoryError) as refused, older.writer():
        pass
    message = str(refused.value)
    assert f"cannot be migrated from version 2 to {VERSION}: CHECK constraint failed" in message
    assert "nothing was changed" in message
    assert content(older) == before


# ---- the next run


def settle(directory: DataDirectory, act: Callable[[Host], object] = lambda _: None) -> None:
    with Scene(directory.root).open(later=ahead(directory)) as machine:
        machine.settle()
        act(machine)


def check_audit(directory: DataDirectory) -> None:
    """Check that no part of an audit has a finding."""
    report = audit(directory, template())
    assert [str(finding) for finding in report.findings.first] == []
    reader = directory.reader()
    assert quick_findings(reader) == []
    reader.close()


@pytest.mark.parametrize("name", EVERY)
def test_it_keeps_every_invariant_before_the_next_run(name: str, tmp_path: Path) -> None:
    check_audit(unpacked(name, tmp_path))


def wanted(envelope: str, cancelled: set[str]) -> tuple[str, str]:
    """Return an order and its expected last status, from its event."""
    detail = json.loads(envelope)["detail"]
    fails = (
        detail.get("payment_token") == "tok_decline"
        or detail["shipping_address"]["street"] == "SANDBOX FAIL"
        or SOLD_OUT in {item["sku"] for item in detail["items"]}
    )
    end = "CANCELLED" if detail["order_id"] in cancelled else "FAILED" if fails else "COMPLETED"
    return detail["order_id"], end


@pytest.mark.parametrize("name", KILLED)
def test_work_in_flight_is_completed(name: str, tmp_path: Path) -> None:
    older = unpacked(name, tmp_path)
    created = "select envelope from events where detail_type = 'Order Created'"
    asked_for = "select order_id from events where detail_type = 'Order Cancelled'"
    cancelled = {order_id for (order_id,) in select(older, asked_for)}
    ends = dict(wanted(envelope, cancelled) for (envelope,) in select(older, created))
    settle(older)
    assert dict(select(older, "select order_id, status from orders")) == ends
    assert {"COMPLETED", "FAILED", "CANCELLED"} == set(ends.values())
    paid = sum(
        amount for (amount,) in select(older, "select amount from charges where status = 'CHARGED'")
    )
    assert select(older, "select sum(total) from orders where status = 'COMPLETED'") == [(paid,)]
    for table in ("outbox", "deliveries", "messages"):
        assert select(older, f"select count(*) from {table}") == [(0,)], table
    check_audit(older)


@pytest.mark.parametrize("name", ["version-1-settled", "version-3-settled"])
def test_ended_orders_are_unchanged_and_waiting_or_failed_ones_continue(
    name: str, tmp_path: Path
) -> None:
    older = unpacked(name, tmp_path)
    ended = "select * from orders where status in ('COMPLETED', 'FAILED', 'CANCELLED')"
    before = select(older, f"select order_id, status, version from ({ended})")
    letters: list[dict[str, Any]] = []
    settle(older, lambda machine: letters.extend(machine.dead_letters()))
    assert set(before) < set(select(older, f"select order_id, status, version from ({ended})"))
    state = dict(select(older, "select order_id, status from orders"))
    assert (state["X-WAITS"], state["X-STUCK"]) == ("FAILED", "COMPENSATING")
    queues = {letter["queue"] for letter in letters}
    assert {"AttentionQueue", "QuarantineQueue", "ConfirmationsDeadLetterQueue"} <= queues
    check_audit(older)
