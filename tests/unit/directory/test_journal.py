"""The journal: a turn's writes are one transaction, and answers to callers are durable."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.directory.journal import Journal, WriteBatch
from infra.local.engine.metrics import Metrics
from infra.local.workers.invocations import Result
from storage.sqlite.database import Database

INSERT = "insert into definitions values (?, ?)"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(str(tmp_path / "journal.db"))
    yield opened
    opened.close()


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)


def bodies(database: Database) -> list[str]:
    """Return the events in the journal."""
    return [row["body"] for row in database.rows("select body from definitions order by id")]


def test_a_batch_keeps_the_rows_of_a_statement_together_in_their_order() -> None:
    batch = WriteBatch()
    batch.add("first", 1)
    batch.add("second", "a")
    batch.add("first", 2)
    assert list(batch.statements()) == [("first", [(1,), (2,)]), ("second", [("a",)])]


@pytest.mark.parametrize("value", ["\ud800", 1 << 63, -(1 << 63) - 1, {"a": 1}, [1], object()])
def test_a_row_that_sqlite_cannot_hold_is_refused_at_once(value: object) -> None:
    batch = WriteBatch()
    batch.add(INSERT, "1", "a")
    with pytest.raises((TypeError, ValueError)):
        batch.add(INSERT, "2", value)
    assert list(batch.statements()) == [(INSERT, [("1", "a")])]


@pytest.mark.parametrize(
    "value", [None, True, 1.5, "é", "\U0001f600", b"x", (1 << 63) - 1, -(1 << 63)]
)
def test_every_value_that_sqlite_holds_is_accepted(
    journal: Journal, database: Database, value: object
) -> None:
    database.connection.execute("create table any_value (value)")
    journal.batch.add("insert into any_value values (?)", value)
    journal.commit()
    assert database.rows("select value from any_value")[0]["value"] == value


def test_an_empty_batch_is_no_commit(journal: Journal) -> None:
    assert not WriteBatch()
    journal.commit()
    assert journal.commits == 0


def test_no_row_of_a_turn_is_visible_before_its_commit(
    journal: Journal, database: Database
) -> None:
    journal.batch.add(INSERT, "1", "a")
    assert bodies(database) == []
    journal.commit()
    assert bodies(database) == ["a"]
    assert journal.commits == 1


def test_a_commit_writes_a_turn_once(journal: Journal, database: Database) -> None:
    journal.batch.add(INSERT, "1", "a")
    journal.commit()
    journal.commit()
    assert bodies(database) == ["a"]


def test_a_turn_is_written_atomically(journal: Journal, database: Database) -> None:
    journal.batch.add(INSERT, "1", "a")
    journal.batch.add("insert into schedules values (?, '', ?)", "twice", 1.0)
    journal.batch.add("insert into schedules values (?, '', ?)", "twice", 2.0)
    with pytest.raises(sqlite3.IntegrityError):
        journal.commit()
    assert bodies(database) == []
    assert database.rows("select * from schedules") == []


def test_a_failed_turn_is_not_mixed_into_the_next(journal: Journal, database: Database) -> None:
    journal.batch.add(INSERT, "1", None)
    with pytest.raises(sqlite3.IntegrityError):
        journal.commit()
    journal.batch.add(INSERT, "2", "b")
    journal.commit()
    assert bodies(database) == ["b"]


@pytest.mark.parametrize("durable", [False, True])
def test_a_commit_is_durable_if_a_caller_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, durable: bool
) -> None:
    database = Database(str(tmp_path / "a.db"))
    journal = Journal(database)
    seen: list[str] = []
    database.connection.set_trace_callback(lambda text: seen.append(text.lower()))
    monkeypatch.setattr(os, "fdatasync", lambda _: seen.append("sync"))
    journal.batch.add(INSERT, "1", "a")
    journal.batch.durable = durable
    journal.commit()
    assert seen[-2:] == ["commit", "sync"] if durable else seen[-1:] == ["commit"]
    database.close()


def test_durability_is_set_anew_for_each_turn(journal: Journal) -> None:
    journal.batch.durable = True
    journal.batch.add(INSERT, "1", "a")
    journal.commit()
    assert not journal.batch.durable


def test_ids_continue_after_a_restart(journal: Journal, database: Database) -> None:
    first = journal.next_id("events")
    assert journal.next_id("events") == first + 1
    journal.batch.add("insert into events values (?, ?, ?, ?, ?, ?, ?)", 7, "", "", None, "", 0, 0)
    journal.commit()
    assert Journal(database).next_id("events") == 8


@pytest.mark.parametrize("table", ["events", "deliveries", "executions", "messages"])
def test_each_table_counts_its_own_ids(journal: Journal, table: str) -> None:
    assert [journal.next_id(table) for _ in range(3)] == [1, 2, 3]


ROWS = {
    "events": "insert into events values (?, '', '', null, '', 0, 0)",
    "deliveries": "insert into deliveries values (?, 1, '', 0, 0, null)",
    "messages": "insert into messages values (?, '', '', 0, 0, 0, '{}')",
}


@pytest.mark.parametrize("table", ROWS)
def test_the_id_of_a_deleted_row_is_never_reused(
    journal: Journal, database: Database, table: str
) -> None:
    """Parquet files have names from deliveries; dead letters and their runs from messages."""
    given = [journal.next_id(table) for _ in range(3)]
    for number in given:
        journal.batch.add(ROWS[table], number)
    journal.commit()
    journal.batch.add(f"delete from {table}")
    journal.commit()
    assert Journal(database).next_id(table) > max(given)


# ---- metrics, summed in the journal

EMF = (
    '{"_aws":{"CloudWatchMetrics":[{"Dimensions":[["service"]],'
    '"Metrics":[{"Name":"OrdersPlaced","Unit":"Count"}]}]},"service":"orders","OrdersPlaced":%s}'
)


def result(*values: str) -> Result:
    """Return the result of an invocation with these metrics."""
    return Result(1, None, None, [EMF % value for value in values], 0.1)


def test_metrics_are_summed_by_minute_across_turns(journal: Journal, database: Database) -> None:
    metrics = Metrics(journal)
    for measured, now in ((result("[3, 1]"), 60.0), (result("5"), 119.0), (result("2"), 120.0)):
        metrics.add(measured, now)
        metrics.flush()
        journal.commit()
    assert [dict(row) for row in database.rows("select * from metrics order by minute")] == [
        {
            "minute": 60,
            "name": "OrdersPlaced",
            "dimensions": '{"service":"orders"}',
            "unit": "Count",
            "count": 3,
            "sum": 9,
            "minimum": 1,
            "maximum": 5,
        },
        {
            "minute": 120,
            "name": "OrdersPlaced",
            "dimensions": '{"service":"orders"}',
            "unit": "Count",
            "count": 1,
            "sum": 2,
            "minimum": 2,
            "maximum": 2,
        },
    ]


def test_metrics_are_written_once(journal: Journal, database: Database) -> None:
    metrics = Metrics(journal)
    metrics.add(result("1"), 0)
    for _ in range(2):
        metrics.flush()
        journal.commit()
    assert [row["count"] for row in database.rows("select count from metrics")] == [1]
