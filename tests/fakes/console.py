"""One visitor of the console in this process; the engine takes turns while a request waits."""

import asyncio
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode

from infra.console.mount import ConsoleMount
from infra.console.pages import dead_letters, queries
from infra.console.query_jobs import QueryJobs
from infra.local.clock import Clock
from infra.server.access import Access, Admission
from infra.server.http import Application
from infra.server.log import PortLog
from infra.server.request import TARGET
from infra.server.tokens import Caller, Tokens
from infra.views.letter_groups import LetterIndex
from tests.faults.scene import forget
from tests.host import Host, host, order

PORT = 8080


class Shown(NamedTuple):
    """A response; of a repeated header, the last."""

    status: int
    headers: Mapping[str, str]
    text: str


async def ask(
    application: Any,
    port: int,
    line: tuple[str, str],
    headers: Mapping[str, str],
    body: bytes = b"",
) -> Shown:
    """Send a request to an ASGI application; ``line`` has its method and target."""
    method, target = line
    path, _, query = target.partition("?")
    sent: list[MutableMapping[str, Any]] = []
    received = asyncio.Event()

    async def receive() -> MutableMapping[str, Any]:
        if received.is_set():  # a connected client sends nothing more
            await asyncio.Event().wait()
        received.set()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", port),
        "extensions": {TARGET: target},
    }
    await application(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Shown(sent[0]["status"], found, content.decode())


class Visitor:
    """A visitor of one platform; the engine takes turns while a request waits."""

    def __init__(self, served: Host, admission: Admission, runner: asyncio.Runner) -> None:
        self.host = served
        self.data = served.directory.root
        self._runner = runner
        access = Access(PORT, served.engine.stack.cors, admission)
        log = PortLog(served.directory.log)
        reader = served.directory.reader()
        self.application = Application(served.engine, reader, access, log)
        self.application.console = ConsoleMount(self.application, served.directory)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Shown:
        """Return a page; ``path`` may have a query."""
        return self._runner.run(self._ask("GET", path, b"", headers or {}))

    def post(
        self, path: str, form: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> Shown:
        """Send a form."""
        sent = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        return self._runner.run(self._ask("POST", path, urlencode(form).encode(), sent))

    def place(self, order_id: str, **changes: Any) -> None:
        """Put an order on the bus; ``changes`` replace fields of it."""
        [answer] = self.host.put(order(order_id, **changes))
        assert "EventId" in answer, answer

    def settle(self) -> None:
        """Work, in real time, until nothing is due within a second."""
        engine, end = self.host.engine, time.monotonic() + 30
        while time.monotonic() < end:
            happened = engine.turn(0.01)
            due = engine.next_due(schedules=False, sink=False) - engine.clock.now()
            if not happened and engine.idle and due > 1:
                return
        raise AssertionError("the platform has not settled")

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the journal."""
        database = self.host.engine.journal.database
        return [tuple(row) for row in database.rows(query, *parameters)]

    def close(self) -> None:
        """Close the console's connections."""
        self.application.close()
        self.application.api.reader.close()

    async def _ask(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Shown:
        given = {"host": f"localhost:{PORT}", **headers}
        answering = asyncio.ensure_future(
            ask(self.application, PORT, (method, target), given, body)
        )
        while not answering.done():
            await asyncio.sleep(0.001)
            self.host.engine.turn(0.0)
        return answering.result()


@contextmanager
def serving(
    data: Path, *, tokens: Mapping[str, str] | None = None, **options: Any
) -> Iterator[Visitor]:
    """Open a platform and its console; ``tokens`` are scopes by token, ``options`` of `host`."""
    callers = {
        token: Caller(f"who-{token[0]}", frozenset(scopes.split()))
        for token, scopes in (tokens or {}).items()
    }
    admission = Admission((), Tokens(callers) if tokens else None)
    forget()  # the handlers of an earlier platform of this process
    dead_letters.INDEX = LetterIndex()  # and its dead letters
    queries.JOBS = QueryJobs()  # and its queries
    with host(data, clock=Clock(), **options) as served, asyncio.Runner() as runner:
        visitor = Visitor(served, admission, runner)
        try:
            yield visitor
        finally:
            visitor.close()
            forget()
