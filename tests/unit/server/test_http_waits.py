"""Requests that wait for the engine: how many at once, and what they are told when it stops."""

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
    """An engine whose function answers when a test lets it."""

    def __init__(self) -> None:
        self.stack = Stack(routes=[Route("GET", "/health", "Api")])
        self.asked: list[Future[Result]] = []

    def call_function(self, function: str, event: Any, **_: Any) -> "Future[Result]":
        self.asked.append(Future())
        return self.asked[-1]


class Port:
    """The application on one event loop."""

    def __init__(self, folder: Path) -> None:
        self.engine = Waiting()
        self.database = Database(str(folder / "reader.db"))
        engine, access = cast("Engine", self.engine), Access(8080, None, Admission())
        self.application = Application(engine, self.database, access, PortLog(folder / "log"))

    async def get(self) -> tuple[int, Any]:
        """Return status and document of an answer."""
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
        """Let the others on the loop go on until something is so."""
        for _ in range(10_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it does not come to that")


@pytest.fixture
def port(tmp_path: Path) -> Any:
    opened = Port(tmp_path)
    yield opened
    opened.database.close()


def test_as_many_requests_as_the_limit_says_are_answered_at_once_and_no_more(port: Port) -> None:
    async def play() -> list[int]:
        waiting = [asyncio.ensure_future(port.get()) for _ in range(MAX_ACTIVE + 1)]
        await port.until(lambda: len(port.engine.asked) >= MAX_ACTIVE)
        await port.until(lambda: any(one.done() for one in waiting))
        for asked in port.engine.asked:
            asked.set_result(Result(1, {"statusCode": 200, "body": "{}"}, None, [], 0.1))
        return [(await one)[0] for one in waiting]

    assert sorted(asyncio.run(play())) == [200] * MAX_ACTIVE + [429]
    assert len(port.engine.asked) == MAX_ACTIVE


def test_whoever_waits_when_the_engine_fails_is_told_so_and_so_is_who_comes_later(
    port: Port,
) -> None:
    async def play() -> list[tuple[int, Any]]:
        waiting = [asyncio.ensure_future(port.get()) for _ in range(3)]
        await port.until(lambda: len(port.engine.asked) == 3)
        port.application.abandon()
        waiting.append(asyncio.ensure_future(port.get()))
        return await asyncio.wait_for(asyncio.gather(*waiting), 5)

    for status, problem in asyncio.run(play()):
        assert status == 503
        assert "the platform has stopped" in problem["detail"]
    assert port.application.active == 0


def test_an_answer_that_came_before_the_engine_failed_counts(port: Port) -> None:
    async def play() -> tuple[int, Any]:
        waiting = asyncio.ensure_future(port.get())
        await port.until(lambda: len(port.engine.asked) == 1)
        done = Result(1, {"statusCode": 200, "body": '{"ok": true}'}, None, [], 0.1)
        port.engine.asked[0].set_result(done)
        port.application.abandon()
        return await asyncio.wait_for(waiting, 5)

    assert asyncio.run(play()) == (200, {"ok": True})
