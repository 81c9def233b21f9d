"""A turn of the engine: a failing item is rolled back and does not affect the others."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.dead_letters.reading import letters
from infra.errors import InvalidRequest
from tests.fakes.runtime import Rig, entry


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = Rig(tmp_path)
    yield opened
    opened.close()


def outbox(rig: Rig, kind: str, body: Any) -> None:
    """Write a message to the outbox, as a service does."""
    with rig.database.write() as connection:
        connection.execute(
            "insert into outbox (kind, body, created_at) values (?, ?, 0)", (kind, json.dumps(body))
        )


def test_a_request_that_fails_after_a_write_is_rolled_back(rig: Rig) -> None:
    def half(now: float) -> None:
        rig.engine.bus.put([entry(), entry("Nobody")], now)
        rig.engine.queues.send("Work", "half", {}, now)
        raise InvalidRequest("ValidationException", "the other half is wrong")

    rig.settle()
    failed = rig.engine.call(half)
    sound = rig.engine.call(lambda now: rig.engine.bus.put([entry("Nobody")], now))
    rig.turn()
    assert isinstance(failed.exception(0), InvalidRequest)
    [accepted] = sound.result(0)["Entries"]
    rig.settle()
    assert [row["id"] for row in rig.rows("select id from events")] == [accepted["EventId"]]
    for table in ("deliveries", "messages"):
        assert rig.rows(f"select * from {table}") == []
    assert rig.functions.of("Worker") == []


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("message", {"queue": "Nowhere", "body": {}}, "Nowhere"),
        ("message", {"body": {}}, "queue"),
        ("event", {"Source": "shop", "DetailType": "Work", "Detail": "{"}, "event"),
        ("run", {"input": {}}, "name"),
    ],
)
def test_an_unsendable_outbox_message_becomes_a_dead_letter_with_the_reason(
    rig: Rig, kind: str, body: Any, said: str
) -> None:
    rig.failures_expected = True
    outbox(rig, kind, body)
    outbox(rig, "message", {"queue": "Work", "body": {"hello": 1}})
    rig.restart()
    rig.settle()
    assert rig.rows("select * from outbox") == []
    assert [json.loads(row["body"]) for row in rig.queue("Work")] == [{"hello": 1}]
    [letter] = letters(rig.database, rig.engine.stack.dead_letter_queues)
    assert letter["body"] == body
    assert f"outbox {kind}" in letter["reason"]
    assert said in letter["reason"]
