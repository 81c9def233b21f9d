"""Requests that wait for the engine: their maximum number, and their end when it stops."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import pytest

from infra.local.engine.engine import Engine
from infra.local.template.stack import Route, Stack
from infra.local.workers.invocations import Result
from infra.server.access import Access, Admission
from infra.server.http import MAX_ACTIVE, Application
from infra.server.log import PortLog
from storage.sqlite.database import Database


class Waiting:
    """An engine whose function answers when a test resolves its future."""

    def __init__(self) -> None:
        self.stack = Stack(routes=[Route("GET", "/health", "Api")])
        self.futures: list[Future[Result]] = []

    def call_function(self, function: str, event: Any, **_: Any) -> "Future[Result]":
        self.futures.append(Future())
        return self.futures[-1]


class Port:
    """The application on one event loop."""

    def __init__(self, folder: Path) -> None:
        self.engine = Waiting()
        self.database = Database(str(folder / "reader.db"))
        engine, access = cast("Engine", self.engine), Access(8080, None, Admission())
        self.application = Application(engine, self.database, access, PortLog(folder / "log"))

    async def get(self) -> tuple[int, Any]:
        """Return the status and the document of a response."""
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/health",
            "query_string": b"",
            "http_version": "1.1",
            "client": ("127.0.0.1", 5),
            "headers": [(b"host", b"127.0.0.1:8080")],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    async def until(self, condition: Callable[[], bool]) -> None:
        """Run the other tasks of the loop until a condition holds."""
        for _ in range(10_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("the condition never holds")


@pytest.fixture
def port(tmp_path: Path) -> Any:
    opened = Port(tmp_path)
    yield opened
    opened.database.close()


def test_the_limit_of_concurrent_requests(port: Port) -> None:
    async def play() -> list[int]:
        waiting = [asyncio.ensure_future(port.get()) for _ in range(MAX_ACTIVE + 1)]
        await port.until(lambda: len(port.engine.futures) >= MAX_ACTIVE)
        await port.until(lambda: any(task.done() for task in waiting))
        for future in port.engine.futures:
            future.set_result(Result(1, {"statusCode": 200, "body": "{}"}, None, [], 0.1))
        return [(await task)[0] for task in waiting]

    assert sorted(asyncio.run(play())) == [200] * MAX_ACTIVE + [429]
    assert len(port.engine.futures) == MAX_ACTIVE


def test_waiting_and_later_requests_are_a_503_when_the_engine_has_failed(
    port: Port,
) -> None:
    async def play() -> list[tuple[int, Any]]:
        waiting = [asyncio.ensure_future(port.get()) for _ in range(3)]
        await port.until(lambda: len(port.engine.futures) == 3)
        port.application.abandon()
        waiting.append(asyncio.ensure_future(port.get()))
        return await asyncio.wait_for(asyncio.gather(*waiting), 5)

    for status, problem in asyncio.run(play()):
        assert status == 503
        assert "the platform has stopped" in problem["detail"]
    assert port.application.active == 0


def test_an_answer_from_before_the_failure_is_sent(port: Port) -> None:
    async def play() -> tuple[int, Any]:
        waiting = asyncio.ensure_future(port.get())
        await port.until(lambda: len(port.engine.futures) == 1)
        done = Result(1, {"statusCode": 200, "body": '{"ok": true}'}, None, [], 0.1)
        port.engine.futures[0].set_result(done)
        port.application.abandon()
        return await asyncio.wait_for(waiting, 5)

    assert asyncio.run(play()) == (200, {"ok": True})
