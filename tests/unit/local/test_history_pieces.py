"""Pieces of history: compressed with a dictionary whose file never changes."""

from hashlib import sha256
from pathlib import Path

from zstandard import ZstdCompressor

from infra.asl import HistoryEvent
from infra.local.directory import history_pieces
from infra.local.directory.history_pieces import (
    changed,
    events_in,
    packed,
    snapshot_in,
    unpacked_text,
)

EVENTS = [
    HistoryEvent(1, 0, 12.5, "ExecutionStarted", {"input": {"total": 1 << 80, "name": "Zoë"}}),
    HistoryEvent(2, 1, 12.5, "TaskStateEntered", {"name": "ValidateOrder"}),
]
ROWS = [event.to_row() for event in EVENTS]
DICTIONARIES = {
    "history_dictionary_1.txt": "4e2eaaaaa6798a1a27216a867e1e1f0d07b329c57dcecf629252dc6f5d628a1f",
}
"""The digest of each shipped dictionary: a directory may have pieces that need it."""


def test_a_piece_keeps_its_events_and_its_snapshot() -> None:
    piece = packed(ROWS, {"root": {"input": [1, 2]}})

    assert events_in(piece) == EVENTS
    assert snapshot_in(piece) == {"root": {"input": [1, 2]}}


def test_a_piece_without_a_snapshot_keeps_its_events() -> None:
    assert events_in(packed(ROWS, None)) == EVENTS


def test_a_piece_from_before_the_dictionaries_is_readable() -> None:
    text = unpacked_text(packed(ROWS, {"root": {}}))
    piece = ZstdCompressor(level=1).compress(text)

    assert events_in(piece) == EVENTS
    assert snapshot_in(piece) == {"root": {}}


def test_a_changed_piece_keeps_its_unchanged_parts() -> None:
    piece = changed(packed(ROWS, None), lambda event: event._replace(timestamp=13.0), dict)

    assert events_in(piece) == [event._replace(timestamp=13.0) for event in EVENTS]


def test_no_dictionary_was_changed_or_removed() -> None:
    folder = Path(history_pieces.__file__).parent
    found = {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("history_dictionary_*.txt")
    }

    assert found == DICTIONARIES
