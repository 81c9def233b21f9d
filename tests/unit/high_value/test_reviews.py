"""A review, its timeline entry and its event are one write, made once."""

import json
from pathlib import Path

import pytest

from high_value.model import Review
from high_value.store import SQLiteReviews
from kernel.order_record import Entry, Message
from storage.sqlite.database import Database

REVIEW = Review("A-1", "C-42", "EUR", 150_050, 100_000, 5.0, "event-1")
ENTRY = Entry("HIGH_VALUE_FLAGGED", 5.0)
EVENT = Message("event", {"DetailType": "High Value Order Flagged"})


@pytest.fixture
def store(tmp_path: Path) -> SQLiteReviews:
    return SQLiteReviews(Database(str(tmp_path / "orders.db")))


def rows(store: SQLiteReviews, query: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in store.database.rows(query)]


def test_the_first_call_writes_review_entry_and_event(store: SQLiteReviews) -> None:
    assert store.open(REVIEW, ENTRY, EVENT)
    assert rows(store, "select * from reviews") == [
        ("A-1", "C-42", "EUR", 150_050, 100_000, 5.0, "event-1", "OPEN")
    ]
    assert rows(store, "select order_id, what from timeline") == [("A-1", "HIGH_VALUE_FLAGGED")]
    [(kind, body, at)] = rows(store, "select kind, body, created_at from outbox")
    assert (kind, json.loads(str(body)), at) == ("event", EVENT.body, 5.0)


def test_a_second_call_changes_nothing(store: SQLiteReviews) -> None:
    store.open(REVIEW, ENTRY, EVENT)
    assert not store.open(REVIEW._replace(total=999_999), ENTRY, EVENT)
    assert rows(store, "select total from reviews") == [(150_050,)]
    assert rows(store, "select count(*) from timeline") == [(1,)]
    assert rows(store, "select count(*) from outbox") == [(1,)]


def test_a_failed_event_rolls_the_review_back(store: SQLiteReviews) -> None:
    with pytest.raises(TypeError):
        store.open(REVIEW, ENTRY, Message("event", {"not JSON": object()}))
    assert rows(store, "select count(*) from reviews") == [(0,)]
    assert rows(store, "select count(*) from timeline") == [(0,)]
    assert store.open(REVIEW, ENTRY, EVENT)
