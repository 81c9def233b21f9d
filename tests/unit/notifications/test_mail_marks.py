"""A mail's mark and its timeline entry are one write, made once."""

from pathlib import Path

import pytest

from kernel.order_record import Entry
from notifications.store import SQLiteMails
from storage.sqlite.database import Database

ENTRY = Entry("CONFIRMATION_SENT", 5.0, {"message_id": "m-1"})


@pytest.fixture
def store(tmp_path: Path) -> SQLiteMails:
    return SQLiteMails(Database(str(tmp_path / "orders.db")))


def timeline(store: SQLiteMails) -> list[tuple[object, ...]]:
    return [tuple(row) for row in store.database.rows("select order_id, at, what from timeline")]


def test_a_marked_mail_is_sent(store: SQLiteMails) -> None:
    assert not store.sent("m-1", "A-1")
    store.mark("m-1", "A-1", ENTRY)
    assert store.sent("m-1", "A-1")
    assert [tuple(row) for row in store.database.rows("select * from mails")] == [
        ("m-1", "A-1", 5.0)
    ]
    assert timeline(store) == [("A-1", 5.0, "CONFIRMATION_SENT")]


def test_a_second_mark_adds_nothing(store: SQLiteMails) -> None:
    store.mark("m-1", "A-1", ENTRY)
    store.mark("m-1", "A-1", Entry("CONFIRMATION_SENT", 9.0))
    assert timeline(store) == [("A-1", 5.0, "CONFIRMATION_SENT")]


def test_a_failed_timeline_entry_rolls_the_mark_back(store: SQLiteMails) -> None:
    with pytest.raises(TypeError):
        store.mark("m-1", "A-1", Entry("CONFIRMATION_SENT", 5.0, {"not JSON": object()}))
    assert not store.sent("m-1", "A-1")
