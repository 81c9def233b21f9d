"""A request for attention in the turn that closes the order's open dead letter."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.dead_letters.reading import closed_letters, letters
from infra.local.engine.engine import Engine
from infra.local.orderflow import ATTENTION_QUEUE
from tests.host import Host, host


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Host]:
    with host(tmp_path) as started:
        yield started


def ask_for_attention(engine: Engine, now: float) -> None:
    reason = {"error": "RefundFailed", "message": "the gateway refuses"}
    body = json.dumps({"order_id": "A-1", "reason": reason})
    engine.queues.send(ATTENTION_QUEUE, body, {}, now)


def waiting(opened: Host) -> list[int]:
    return [letter["id"] for letter in letters(opened.database, [ATTENTION_QUEUE])]


def run(opened: Host, *steps: str) -> None:
    """Take a turn in which operators and the platform do these steps."""
    engine = opened.engine

    def together(now: float) -> None:
        for step in steps:
            if step == "ask":
                ask_for_attention(engine, now)
            else:
                engine.dead_letters.discard(waiting(opened), "seen", "ada", now)

    engine.call(together)
    engine.turn(0)


def test_requests_of_an_order_are_one_dead_letter(opened: Host) -> None:
    for _ in range(3):
        run(opened, "ask")
    [letter] = letters(opened.database, [ATTENTION_QUEUE])
    assert letter["attributes"]["TIMES"] == "3"


def test_a_request_after_a_discard_of_the_same_turn_is_another_dead_letter(opened: Host) -> None:
    run(opened, "ask")
    [first] = waiting(opened)
    run(opened, "discard", "ask")
    [second] = waiting(opened)
    assert second != first
    [closed] = closed_letters(opened.database)
    assert (closed["id"], closed["state"]) == (first, "DISCARDED")


def test_a_request_before_a_discard_of_the_same_turn_is_discarded_too(opened: Host) -> None:
    run(opened, "ask")
    [first] = waiting(opened)
    run(opened, "ask", "discard")
    assert waiting(opened) == []
    [closed] = closed_letters(opened.database)
    assert (closed["id"], closed["attributes"]["TIMES"]) == (first, "2")
