"""The port without a socket: requests in the form that uvicorn passes to the application."""

import asyncio
import json
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

from infra.local.engine.engine import Engine
from infra.server.access import Access, Admission
from infra.server.http import Application
from infra.server.log import PortLog
from infra.server.request import TARGET

PORT = 8080
HOST = (b"host", b"127.0.0.1:8080")
Headers = Iterable[tuple[bytes, bytes]]


class Reply(NamedTuple):
    """A response: its status, and its body as JSON."""

    status: int
    body: Any


class Port:
    """The application of an engine; the engine takes turns while a request waits."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        access = Access(PORT, engine.stack.cors, Admission())
        log = PortLog(Path("/dev/null"))
        self.application = Application(engine, engine.journal.database, access, log)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Headers = (), query: bytes = b""
    ) -> Reply:
        """Return the response to a request."""
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(errors="surrogateescape"),
            "query_string": query,
            "headers": [HOST, *headers],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", PORT),
            "extensions": {TARGET: path},
        }
        return asyncio.run(self._ask(scope, body))

    def call(self, operation: str, body: bytes) -> Reply:
        """Return the response to an AWS operation."""
        headers = [(b"x-amz-target", operation.encode())]
        return self.ask(
            "POST", "/", body, [*headers, (b"content-type", b"application/x-amz-json-1.1")]
        )

    async def _ask(self, scope: MutableMapping[str, Any], body: bytes) -> Reply:
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        answering = asyncio.ensure_future(self.application(scope, receive, send))
        while not answering.done():
            await asyncio.sleep(0)
            self.engine.turn(0.0)
        answering.result()
        [start, content] = sent
        return Reply(start["status"], json.loads(content["body"] or b"null"))
