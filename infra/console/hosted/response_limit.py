"""The last check of an answer's size: Lambda refuses a larger one, and the browser gets a bare 502.

Source: AWS Lambda Developer Guide, "Lambda quotas": 6 MB for the response of a synchronous
invocation. The response is a JSON document: a text is escaped in it, and other content is base64.
"""

import json
from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_PAYLOAD = 6 * 1024 * 1024
"""Bytes of a response as Lambda counts them."""

ROOM = 65_536
"""Bytes for the status, the headers and the document's own text."""

_SAFE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class ResponseLimit:
    """An ASGI application that never answers with more than Lambda returns.

    It holds a response until its end, as an adapter for Lambda does.

    Parameters
    ----------
    application : ASGIApp
        The application.
    advice : str
        The way out, after a semicolon, such as a command that has no limit.
    most : int
        Bytes of a response with its escapes.
    """

    def __init__(self, application: ASGIApp, advice: str, most: int = MAX_PAYLOAD - ROOM) -> None:
        self._application = application
        self._advice = advice
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; a larger response is replaced by a sentence with status 507."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        held = _Held(self._most)
        await self._application(scope, receive, held.send)
        if held.size <= self._most and payload_size(held.body) <= self._most:
            for message in held.messages:
                await send(message)
            return
        refused = PlainTextResponse(
            f"this answer has {held.size / 1e6:.1f} MB, and more when it is encoded: a function of"
            f" AWS Lambda answers with 6 MB at most; narrow the filter, or {self._advice}\n",
            HTTPStatus.INSUFFICIENT_STORAGE,
            _SAFE,
        )
        await refused(scope, receive, send)


class _Held:
    """The messages of a response; of one that is too large only its size."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = 0
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.size += len(message.get("body", b""))
        if self.size <= self._most:
            self.messages.append(message)
        else:
            self.messages.clear()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


def payload_size(body: bytes) -> int:
    """Return the most bytes that a body can have in the response's JSON document."""
    encoded = (len(body) + 2) // 3 * 4
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return encoded
    return max(encoded, len(json.dumps(text)))
