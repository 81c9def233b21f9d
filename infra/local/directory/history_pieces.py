"""Pieces of an execution's history: events and a snapshot as JSON lines, compressed.

A piece is the number of its dictionary and a Zstandard frame; a piece from before the dictionaries
is a frame alone. A dictionary is the history of one example order, as text: the pieces of other
orders repeat most of it, so they take a quarter of the space and half of the time. The file of a
dictionary never changes, because the pieces of each data directory depend on it. After a large
change of the workflow, add a dictionary with the next number.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from zstandard import (
    DICT_TYPE_RAWCONTENT,
    ZstdCompressionDict,
    ZstdCompressor,
    ZstdDecompressor,
    decompress,
)

from infra.asl import HistoryEvent
from kernel import json_text

_LATEST = 1
_LEVEL = -1
_MAGIC = 0x28
"""The first byte of a Zstandard frame (RFC 8878, section 3.1.1)."""


@cache
def _dictionary(number: int) -> ZstdCompressionDict:
    """Return a dictionary; raises `FileNotFoundError` if this version does not have it."""
    text = Path(__file__).with_name(f"history_dictionary_{number}.txt").read_bytes()
    return ZstdCompressionDict(text, dict_type=DICT_TYPE_RAWCONTENT)


@cache
def _compressor() -> ZstdCompressor:
    dictionary = _dictionary(_LATEST)
    dictionary.precompute_compress(level=_LEVEL)
    return ZstdCompressor(level=_LEVEL, dict_data=dictionary)


def packed(rows: Sequence[list[Any]], snapshot: Mapping[str, Any] | None) -> bytes:
    """Return a piece of history: events, and the snapshot of the execution after them.

    ``rows`` are the events as lists (`HistoryEvent.to_row`).

    Pieces are append-only. A snapshot in the execution's row would cost a page write for each
    state; here it repeats the values of its events, so both compress well together.
    """
    text = json_text.write(rows)
    if snapshot is not None:
        text += b"\n" + json_text.write(snapshot)
    return packed_text(text)


def packed_text(text: bytes) -> bytes:
    """Return the text of a piece, compressed."""
    return bytes((_LATEST,)) + _compressor().compress(text)


def unpacked_text(piece: bytes) -> bytes:
    """Return the text of a piece."""
    if piece[0] == _MAGIC:
        return decompress(piece)
    return ZstdDecompressor(dict_data=_dictionary(piece[0])).decompress(piece[1:])


def events_in(piece: bytes) -> list[HistoryEvent]:
    """Return the events in a piece of history."""
    return [HistoryEvent(*row) for row in json_text.parse(unpacked_text(piece).partition(b"\n")[0])]


def snapshot_in(piece: bytes) -> dict[str, Any]:
    """Return the snapshot in a piece, which a running execution's last piece has."""
    snapshot: dict[str, Any] = json_text.parse(unpacked_text(piece).partition(b"\n")[2])
    return snapshot


def changed(
    piece: bytes,
    event: Callable[[HistoryEvent], HistoryEvent],
    snapshot: Callable[[Any], Any],
) -> bytes:
    """Return a piece with a function applied to each event, and another to its snapshot."""
    text = unpacked_text(piece).partition(b"\n")[2]
    changed_snapshot = snapshot(json_text.parse(text)) if text else None
    return packed([event(entry).to_row() for entry in events_in(piece)], changed_snapshot)
