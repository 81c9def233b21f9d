"""Clients that put events side by side, as fast as they can: what was acknowledged is there."""

from pathlib import Path

from tests.bench.clients import load


def test_nothing_that_clients_side_by_side_were_told_is_lost(tmp_path: Path) -> None:
    figures = load(tmp_path, clients=5, seconds=2, most=400)
    assert figures["acknowledged"] > 0
    assert (figures["lost"], figures["not_ended"], figures["errors"]) == (0, 0, {})
    assert figures["exit_code"] == 0
