"""Concurrent clients that put events as fast as possible lose no acknowledged event."""

from pathlib import Path

from tests.bench.clients import load


def test_no_event_that_concurrent_clients_had_acknowledged_is_lost(tmp_path: Path) -> None:
    figures = load(tmp_path, clients=5, seconds=2, most=400)
    assert figures["acknowledged"] > 0
    assert (figures["lost"], figures["not_ended"], figures["errors"]) == (0, 0, {})
    assert figures["exit_code"] == 0
