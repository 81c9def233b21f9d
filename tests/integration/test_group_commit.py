"""Group commit: gathered writes are committed together or not at all, and soon."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from infra.local.workers.group_commit import GroupCommit, GroupRolledBack
from storage.sqlite.database import Database

INSERT = "insert into t values (?)"


class Group:
    """A process that gathers writes to two databases, and a reader."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answered = 0
        self.group = GroupCommit(self._answer)
        self.orders, self.partner = self.open("orders.db"), self.open("sandbox.db")
        self.partner.commits_first = True
        for database in (self.orders, self.partner):
            database.define("create table t (n integer primary key check (n < 100))")
        self.answered = 0

    def _answer(self) -> None:
        self.answered += 1

    def open(self, name: str, synchronous: str = "NORMAL") -> Database:
        return Database(str(self.folder / name), synchronous, strategy=self.group)

    def put(self, *numbers: int, database: Database | None = None, flush: bool = False) -> None:
        with (database or self.orders).write(flush=flush) as connection:
            for number in numbers:
                connection.execute(INSERT, (number,))

    def seen(self, name: str = "orders.db") -> list[int]:
        """Return the committed rows, as another process reads them."""
        with closing(sqlite3.connect(self.folder / name)) as reader:
            return [row[0] for row in reader.execute("select n from t order by n")]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    made = Group(tmp_path)
    yield made
    made.group.flush()
    made.orders.close()
    made.partner.close()


def test_gathered_writes_are_visible_after_the_commit_of_the_group(group: Group) -> None:
    group.put(1)
    group.put(2)
    assert (group.seen(), group.group.is_open) == ([], True)
    assert [row[0] for row in group.orders.rows("select n from t")] == [1, 2], "the group sees it"
    group.group.flush()
    assert (group.seen(), group.answered, group.group.is_open) == ([1, 2], 1, False)


def test_a_flushed_write_is_committed_with_all_writes_before_it(group: Group) -> None:
    group.put(1)
    group.put(2, flush=True)
    assert group.seen() == [1, 2]
    group.put(3)
    assert group.seen() == [1, 2]


def test_a_write_that_fails_before_its_first_change_rolls_no_other_back(group: Group) -> None:
    group.put(1)
    with pytest.raises(LookupError), group.orders.write():
        raise LookupError
    group.put(2)
    group.group.flush()
    assert (group.seen(), group.group.rolled_back) == ([1, 2], False)


def test_a_write_that_fails_after_a_change_rolls_the_group_back(group: Group) -> None:
    group.put(1)
    with pytest.raises(sqlite3.IntegrityError):
        group.put(2, 100)
    with pytest.raises(GroupRolledBack):
        group.put(3)
    group.group.flush()
    assert (group.seen(), group.group.rolled_back, group.answered) == ([], True, 0)


def test_a_committed_write_is_not_rolled_back(group: Group) -> None:
    group.put(1, flush=True)
    with pytest.raises(sqlite3.IntegrityError):
        group.put(2, 100)
    assert group.seen() == [1]


def test_a_group_whose_commit_fails_is_rolled_back(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A connection whose disk is full when it commits."""

        def __getattr__(self, name: str) -> object:
            return getattr(connection, name)

        def execute(self, statement: str, *values: Any) -> object:
            if statement == "commit":
                raise sqlite3.OperationalError("database or disk is full")
            return connection.execute(statement, *values)

    connection = group.orders.connection
    group.put(1)
    monkeypatch.setattr(group.orders, "connection", Full())
    with pytest.raises(GroupRolledBack):
        group.put(2, flush=True)
    monkeypatch.undo()
    assert (group.seen(), group.group.rolled_back, group.answered) == ([], True, 0)
    assert group.orders.acquire_write_lock(wait=False), "others may write"
    group.orders.release_write_lock()


def _note(statements: list[str], name: str, text: str) -> None:
    statements.append(f"{name} {text.lower()}")


def test_partners_are_committed_first(group: Group) -> None:
    """After a crash they may be ahead of the orders, never behind them."""
    statements: list[str] = []
    for name, database in (("orders", group.orders), ("partner", group.partner)):
        database.connection.set_trace_callback(partial(_note, statements, name))
    group.put(1)
    group.put(1, database=group.partner)
    group.group.flush()
    commits = [text for text in statements if text.endswith("commit")]
    assert commits == ["partner commit", "orders commit"]


def test_a_wait_for_one_write_lock_holds_no_other(group: Group) -> None:
    other = {name: group.open(name) for name in ("orders.db", "sandbox.db")}
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        """Hold the partner's write lock, and wait for the orders' one."""
        other["sandbox.db"].acquire_write_lock(wait=True)
        held.set()
        other["orders.db"].acquire_write_lock(wait=True)
        other["orders.db"].connection.execute(INSERT, (9,))
        other["orders.db"].release_write_lock()
        other["sandbox.db"].release_write_lock()
        free.set()

    group.put(1)
    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    held.wait(5)
    group.put(1, database=group.partner)
    assert free.wait(5), "neither waits for the other"
    holder.join(5)
    group.group.flush()
    assert (group.seen(), group.seen("sandbox.db")) == ([1, 9], [1])
    for database in other.values():
        database.close()


def test_a_flush_during_a_write_commits_at_its_end(group: Group) -> None:
    with group.orders.write() as connection:
        connection.execute(INSERT, (1,))
        group.group.flush()  # from a signal's handler
        connection.execute(INSERT, (2,))
        assert group.seen() == []
    assert (group.seen(), group.answered) == ([1, 2], 1)


def test_a_database_that_syncs_each_commit_is_not_grouped(group: Group) -> None:
    group.put(1)
    outside = group.open("orders.db", "FULL")
    group.put(2, database=outside)
    assert (group.seen(), group.group.is_open) == ([1, 2], False), "the group is committed first"
    outside.close()


def test_a_suspended_group_commits_each_write_by_itself(group: Group) -> None:
    group.group.suspend()
    group.put(1)
    assert (group.seen(), group.group.is_open, group.group.writes) == ([1], False, 0)
    group.group.resume()
    group.put(2)
    assert (group.seen(), group.group.is_open) == ([1], True)
