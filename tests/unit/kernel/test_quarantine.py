"""Quarantine: strict parsing, and the message with the reason."""

import json
from typing import Any

import pytest

from kernel.errors import InvalidEvent
from kernel.quarantine import envelope_of, quarantined
from tests.fakes.events import envelope

QUEUE = "https://sqs.example/quarantine"


def test_a_message_is_an_event_in_its_envelope() -> None:
    assert envelope_of(json.dumps(envelope())) == envelope()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("no JSON", "is not JSON"),
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is not a JSON object"),
        ("null", "is not a JSON object"),
    ],
    ids=lambda value: value[:20],
)
def test_a_message_without_an_event_is_refused(body: str, problem: str) -> None:
    with pytest.raises(InvalidEvent, match=rf"^body: {problem}.*send an event in its envelope$"):
        envelope_of(body)


def letter(body: str) -> Any:
    """Return the quarantine queue's message for a body."""
    error = InvalidEvent("detail.email", "is not one")
    message = quarantined(body, error, consumer="change_order", queue=QUEUE)
    assert (message.kind, message.body["queue"]) == ("message", QUEUE)
    return message.body["body"]


def test_a_quarantined_message_has_the_event_its_consumer_and_the_reason() -> None:
    assert letter(json.dumps(envelope())) == {
        "reason": {"error": "InvalidEvent", "message": "detail.email: is not one"},
        "consumer": "change_order",
        "event": envelope(),
    }


@pytest.mark.parametrize("body", ["no JSON", '{"total": NaN}', '{"total": 1e400}', "[" * 100_000])
def test_a_body_that_is_not_strict_json_is_kept_as_text(body: str) -> None:
    written = letter(body)
    assert written["event"] == body
    json.dumps(written, allow_nan=False)
