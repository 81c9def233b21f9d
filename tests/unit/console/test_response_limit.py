"""An answer that Lambda would refuse is replaced by a sentence."""

import asyncio
import base64
import json
from collections.abc import MutableMapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.console.hosted.response_limit import MAX_PAYLOAD, ROOM, ResponseLimit, payload_size
from infra.console.stack.limits import HOSTED
from infra.errors import Refusal

Message = MutableMapping[str, Any]
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}


def answered(parts: Sequence[bytes], most: int = MAX_PAYLOAD - ROOM, kind: str = "http") -> Any:
    """Return the messages of an application's answer behind the limit."""
    sent: list[Message] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(START)
        for place, part in enumerate(parts):
            more = place < len(parts) - 1
            await send({"type": "http.response.body", "body": part, "more_body": more})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    limit = ResponseLimit(application, "run `orders console --stack orderflow-dev`", most)
    asyncio.run(limit({"type": kind, "method": "GET", "path": "/"}, receive, send))
    return sent


def test_an_answer_within_the_limit_is_unchanged() -> None:
    sent = answered([b"one ", b"two"])
    assert sent[0] == START
    assert [each["body"] for each in sent[1:]] == [b"one ", b"two"]


@pytest.mark.parametrize(
    "parts",
    [
        [b"a" * 101],
        [b"a" * 60, b"a" * 60, b"a" * 60],
        [b'"' * 60],  # each is escaped
        ["é".encode() * 30],  # \\u00e9, as the older runtimes write it
        [b"\xff" * 90],  # base64
    ],
)
def test_a_larger_answer_is_a_sentence_with_the_way_out(parts: list[bytes]) -> None:
    [start, body] = answered(parts, most=100)
    assert start["status"] == 507
    assert (b"x-content-type-options", b"nosniff") in start["headers"]
    text = body["body"].decode()
    assert "AWS Lambda answers with 6 MB at most" in text
    assert "orders console --stack orderflow-dev" in text


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_no_answer_is_larger_than_it_was_counted(body: bytes) -> None:
    size = payload_size(body)
    assert len(base64.b64encode(body)) <= size
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return
    for ensure_ascii in (True, False):
        assert len(json.dumps(text, ensure_ascii=ensure_ascii).encode()) <= size


def test_a_file_to_save_of_the_largest_size_passes() -> None:
    body = b"O-123456,SHIPPED,2026-01-31T12:00:00Z,1200\r\n" * 100_000
    assert payload_size(body[: int(HOSTED.file)]) <= MAX_PAYLOAD - ROOM
    assert (HOSTED.file + 2) // 3 * 4 <= MAX_PAYLOAD - ROOM


def test_other_messages_than_those_of_http_are_not_held() -> None:
    assert answered([b"a" * 200], most=100, kind="lifespan")[1]["body"] == b"a" * 200


def test_an_error_of_the_application_is_its_own() -> None:
    async def failing(*_: Any) -> None:
        raise Refusal("no")

    limit = ResponseLimit(failing, "", 100)
    with pytest.raises(Refusal):
        asyncio.run(limit({"type": "http"}, None, None))  # type: ignore[arg-type]
