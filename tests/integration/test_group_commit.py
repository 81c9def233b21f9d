"""Group commit: what is gathered stands together, or not at all, and keeps nobody waiting."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from storage.sqlite.database import Database
from storage.sqlite.group_commit import GroupCommit, GroupLost

INSERT = "insert into t values (?)"


class Group:
    """A process that gathers writes to two databases, and somebody who looks on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.orders, self.partner = self.open("orders.db"), self.open("sandbox.db")
        self.partner.is_partners = True
        for database in (self.orders, self.partner):
            with database.write() as connection:
                connection.execute("create table t (n integer primary key check (n < 100))")
        self.answered = 0
        self.group = GroupCommit(self._answer)

    def _answer(self) -> None:
        self.answered += 1

    def open(self, name: str, synchronous: str = "NORMAL") -> Database:
        return Database(str(self.folder / name), synchronous)

    def put(self, *numbers: int, database: Database | None = None, at_once: bool = False) -> None:
        with (database or self.orders).write(at_once=at_once) as connection:
            for number in numbers:
                connection.execute(INSERT, (number,))

    def seen(self, name: str = "orders.db") -> list[int]:
        """Return what everybody else sees."""
        with closing(sqlite3.connect(self.folder / name)) as looker:
            return [row[0] for row in looker.execute("select n from t order by n")]


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    made = Group(tmp_path)
    monkeypatch.setattr(Database, "group", made.group)
    yield made
    made.group.flush()
    made.orders.close()
    made.partner.close()


def test_what_is_gathered_is_seen_once_the_group_is_committed(group: Group) -> None:
    group.put(1)
    group.put(2)
    assert (group.seen(), group.group.is_open) == ([], True)
    assert [row[0] for row in group.orders.rows("select n from t")] == [1, 2], "the group sees it"
    group.group.flush()
    assert (group.seen(), group.answered, group.group.is_open) == ([1, 2], 1, False)


def test_what_has_to_stand_at_once_does_with_all_before_it(group: Group) -> None:
    group.put(1)
    group.put(2, at_once=True)
    assert group.seen() == [1, 2]
    group.put(3)
    assert group.seen() == [1, 2]


def test_a_write_that_fails_before_it_changed_anything_costs_nobody_anything(group: Group) -> None:
    group.put(1)
    with pytest.raises(LookupError), group.orders.write():
        raise LookupError
    group.put(2)
    group.group.flush()
    assert (group.seen(), group.group.lost) == ([1, 2], False)


def test_a_write_that_fails_half_done_takes_the_whole_group_back(group: Group) -> None:
    group.put(1)
    with pytest.raises(sqlite3.IntegrityError):
        group.put(2, 100)
    with pytest.raises(GroupLost):
        group.put(3)
    group.group.flush()
    assert (group.seen(), group.group.lost, group.answered) == ([], True, 0)


def test_what_stood_already_is_not_taken_back(group: Group) -> None:
    group.put(1, at_once=True)
    with pytest.raises(sqlite3.IntegrityError):
        group.put(2, 100)
    assert group.seen() == [1]


def test_a_group_that_cannot_be_committed_is_lost(
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
    with pytest.raises(GroupLost):
        group.put(2, at_once=True)
    monkeypatch.undo()
    assert (group.seen(), group.group.lost, group.answered) == ([], True, 0)
    assert group.orders.take_turn(wait=False), "others may write"
    group.orders.end_turn()


def _note(statements: list[str], name: str, text: str) -> None:
    statements.append(f"{name} {text.lower()}")


def test_partners_are_committed_first(group: Group) -> None:
    """They may know more than the orders, never less."""
    statements: list[str] = []
    for name, database in (("orders", group.orders), ("partner", group.partner)):
        database.connection.set_trace_callback(partial(_note, statements, name))
    group.put(1)
    group.put(1, database=group.partner)
    group.group.flush()
    commits = [text for text in statements if text.endswith("commit")]
    assert commits == ["partner commit", "orders commit"]


def test_whoever_waits_for_one_database_keeps_nobody_from_another(group: Group) -> None:
    other = {name: group.open(name) for name in ("orders.db", "sandbox.db")}
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        """Have the partner's turn, and need the orders' one to go on."""
        other["sandbox.db"].take_turn(wait=True)
        held.set()
        other["orders.db"].take_turn(wait=True)
        other["orders.db"].connection.execute(INSERT, (9,))
        other["orders.db"].end_turn()
        other["sandbox.db"].end_turn()
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


def test_in_the_middle_of_a_write_the_commit_follows_at_its_end(group: Group) -> None:
    with group.orders.write() as connection:
        connection.execute(INSERT, (1,))
        group.group.flush()  # a signal comes in
        connection.execute(INSERT, (2,))
        assert group.seen() == []
    assert (group.seen(), group.answered) == ([1, 2], 1)


def test_what_answers_a_caller_outside_is_no_part_of_a_group(group: Group) -> None:
    group.put(1)
    outside = group.open("orders.db", "FULL")
    group.put(2, database=outside)
    assert (group.seen(), group.group.is_open) == ([1, 2], False), "the group went first"
    outside.close()
