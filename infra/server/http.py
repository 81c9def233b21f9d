"""The one port: the HTTP API's routes to their function, and AWS's operations at ``POST /``.

A request that fails, fails alone: whatever is raised for it is its answer, 500 in the form of its
protocol, and is in the log with its id.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.template.stack import Route
from infra.server import cors
from infra.server.access import Access, Refused
from infra.server.aws_api import LOOKUPS, MATCHING, Answer, AwsApi
from infra.server.gateway import event_of, reply_of
from infra.server.log import PortLog
from infra.server.reply import SAFE, Reply, aws_error, problem
from infra.server.request import Request, Scope
from kernel.json_text import write
from storage.sqlite.database import Database

MAX_BODY = 1_048_576
"""Bytes of a request's body: more than any event may have."""

MAX_AT_ONCE = 64
"""Requests that are answered at once: more are told to come again, so that memory stays bounded."""

MAX_THREADS = 2
"""Threads that match patterns, and as many others that look things up."""

UNCHANGING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

LONG_BODY = 65_536
"""Bytes of a body that a thread reads in place of the port's loop."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Found = list[tuple[Route, Mapping[str, str]]]
"""Routes of a path, each with the path's parameters."""

T = TypeVar("T")


class Stopped(Exception):
    """The engine has failed: what is asked of it has no answer any more."""


class TooLarge(Exception):
    """The request's body is larger than any that is taken."""


class HungUp(Exception):
    """The client has gone before its request was whole; no answer is sent."""


class Application:
    """The ASGI application of one engine.

    ``access`` decides who may ask; ``log`` keeps what failed.
    """

    def __init__(self, engine: Engine, reader: Database, access: Access, log: PortLog) -> None:
        self.engine = engine
        self.api = AwsApi(engine, reader)
        self.access = access
        self.log = log
        self.at_once = 0
        self._stopped = False
        self._asked: set[Future[Any]] = set()
        self._threads = ThreadPoolExecutor(MAX_THREADS, "port")
        self._matching = ThreadPoolExecutor(MAX_THREADS, "port-matching")
        self.routes = [(_compiled(route.path), route) for route in engine.stack.routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        request = Request.of(scope)
        try:
            self.access.check_host(request)
            found = self._found(request.path)
            reply = await self._reply(request, found, receive)
            if found and self.access.cors is not None:
                reply = cors.shared(self.access.cors, request, reply)
        except Refused as refused:
            reply = refused.reply(request)
        except HungUp:
            return
        await _send(reply.defaulting(SAFE), send)

    async def _reply(self, request: Request, found: Found, receive: Receive) -> Reply:
        """Return the answer to a request that is for this server, whatever becomes of it."""
        try:
            self.access.check_origin(request, on_api=bool(found))
            return await self._answer_in_turn(request, found, receive)
        except Refused as refused:
            return refused.reply(request)
        except TooLarge:
            detail = f"the body is larger than {MAX_BODY} bytes; an event has at most 262144"
            return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        except (Stopped, asyncio.CancelledError):
            detail = "the platform has stopped; ask again once it has been started"
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail)
        except HungUp:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary around a request
            self.log.failed(request.id, f"{request.method} {request.path}", error)
            return _failure(request)

    async def _answer_in_turn(self, request: Request, found: Found, receive: Receive) -> Reply:
        self.at_once += 1
        try:
            if self.at_once > MAX_AT_ONCE:
                return _busy(request)
            if request.is_aws:
                self.access.check_operator(request)
                return await self._aws(request, await _body(receive))
            for route, parameters in found:
                if route.method == request.method:
                    caller = self.access.caller_of_route(request, route)
                    event = event_of(route, parameters, request, await _body(receive), caller)
                    return await self._invoke(route, event, request)
            return self._elsewhere(request, [route for route, _ in found])
        finally:
            self.at_once -= 1

    def _found(self, path: str) -> Found:
        matches = ((pattern.fullmatch(path), route) for pattern, route in self.routes)
        return [(route, match.groupdict()) for match, route in matches if match is not None]

    def _elsewhere(self, request: Request, routes: list[Route]) -> Reply:
        """Return the answer where no route takes the request."""
        if not routes:
            paths = ", ".join(sorted({route.path for _, route in self.routes}))
            detail = f"{request.path} does not exist; there are {paths}, and AWS's clients use /"
            return problem(HTTPStatus.NOT_FOUND, detail)
        allowed = ", ".join(route.method for route in routes)
        if request.method == "OPTIONS" and self.access.cors is not None:
            return Reply(HTTPStatus.NO_CONTENT)  # to which `cors.shared` adds what is allowed
        detail = f"{request.path} takes {allowed}"
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, allow=allowed)

    async def _answer(self, asked: Future[T]) -> T:
        """Wait for the engine's answer, or until it is known that there will be none."""
        self._asked.add(asked)
        try:
            if self._stopped:
                raise Stopped
            return await asyncio.wrap_future(asked)
        finally:
            self._asked.discard(asked)

    def abandon(self) -> None:
        """Let nobody wait for the engine any more; its thread calls this when it has failed."""
        self._stopped = True
        for asked in self._asked.copy():
            if not asked.done():
                asked.set_exception(Stopped())

    def close(self) -> None:
        """Begin nothing more in the threads."""
        for pool in (self._threads, self._matching):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _aws(self, request: Request, body: bytes) -> Reply:
        own = (("content-type", request.aws_type), ("x-amzn-requestid", request.id))
        try:
            answer = await self._operate(request.headers["x-amz-target"], body)
        except InvalidRequest as error:
            refusal = aws_error(HTTPStatus.BAD_REQUEST, error.code, str(error), request.aws_type)
            return refusal.having(dict(own))
        return Reply(HTTPStatus.OK, own, write(answer))

    async def _operate(self, target: str, body: bytes) -> Answer:
        """Have an operation answered, in a thread if it may take long."""
        operate = partial(self.api.answer, target, body)
        if target in LOOKUPS or len(body) > LONG_BODY:
            pool = self._matching if target == MATCHING else self._threads
            answer = await asyncio.get_running_loop().run_in_executor(pool, operate)
        else:
            answer = operate()
        return await self._answer(answer) if isinstance(answer, Future) else answer

    async def _invoke(self, route: Route, event: dict[str, Any], request: Request) -> Reply:
        takes_orders = route.method not in UNCHANGING
        asked = self.engine.call_function(route.function, event, takes_orders=takes_orders)
        result = await self._answer(asked)
        if result.error is not None:
            self.log.answered(request.id, f"{route.method} {route.path}", result.error)
            return _failure(request)
        return reply_of(result.payload).having({"apigw-requestid": request.id})


def _compiled(path: str) -> re.Pattern[str]:
    """Return the pattern of a route's path, such as ``/orders/{order_id}``."""
    parts = re.split(r"\{(\w+)\}", path)
    steps = (
        re.escape(part) if n % 2 == 0 else f"(?P<{part}>[^/]+)" for n, part in enumerate(parts)
    )
    return re.compile("".join(steps))


async def _body(receive: Receive) -> bytes:
    """Return a request's whole body, or raise `TooLarge` or `HungUp`."""
    chunks = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        chunks += message.get("body", b"")
        if len(chunks) > MAX_BODY:
            raise TooLarge
        if not message.get("more_body"):
            return bytes(chunks)


async def _send(reply: Reply, send: Send) -> None:
    empty = reply.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
    headers = [(name.encode(), value.encode()) for name, value in reply.headers]
    if not empty:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if empty else reply.body})


def _busy(request: Request) -> Reply:
    """Return what makes a client come again: AWS's clients do so by themselves."""
    if request.is_aws:
        code, message = "ThrottlingException", "Rate exceeded"
        reply = aws_error(HTTPStatus.BAD_REQUEST, code, message, request.aws_type)
        return reply.having({"retry-after": "1"})
    detail = "too many requests at once; come again"
    return problem(HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after="1")


def _failure(request: Request) -> Reply:
    """Return the answer to a request that failed inside; it tells nothing but where to look."""
    if request.is_aws:
        message = f"the request could not be processed; the log has it as {request.id}"
        code = "InternalFailure"
        reply = aws_error(HTTPStatus.INTERNAL_SERVER_ERROR, code, message, request.aws_type)
        return reply.having({"x-amzn-requestid": request.id})
    detail = f"the request could not be processed; the log has it as {request.id}"
    reply = problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
    return reply.having({"apigw-requestid": request.id})
