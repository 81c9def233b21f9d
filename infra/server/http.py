"""The ASGI application: the HTTP API's routes, and AWS's operations at ``POST /``.

A failing request affects no other: an exception becomes a 500 in the request's protocol, and is
logged with the request's id.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.template.stack import Route
from infra.server import cors
from infra.server.access import Access, Refused
from infra.server.aws_api import LOOKUPS, TESTS, AwsApi
from infra.server.contract_pages import DOCS, ContractPages
from infra.server.fields import Answer
from infra.server.gateway import event_of, reply_of
from infra.server.log import PortLog
from infra.server.probes import Probes
from infra.server.queues_api import QUERY_CODES
from infra.server.reply import SAFE, Reply, aws_error, problem_document, query_error
from infra.server.request import Request, Scope
from infra.server.stopped import Stopped
from kernel import current_order
from kernel.json_text import write
from storage.sqlite.database import Database

MAX_BODY = 1_048_576
"""Maximum bytes of a request's body: more than any event may have."""

MAX_ACTIVE = 64
"""Maximum concurrent requests: others are told to retry, so that memory is bounded."""

MAX_THREADS = 2
"""Threads that test a pattern or a state, and as many that read from the database."""

UNCHANGING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

LONG_BODY = 65_536
"""Bytes of a body above which a thread parses it, instead of the event loop."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Matches = list[tuple[Route, Mapping[str, str]]]
"""Routes that match a path, each with the path's parameters."""

T = TypeVar("T")

CONSOLE = "/console"
"""The path of the console; its pages' paths begin with it and a slash."""


class Mounted(Protocol):
    """The console: an ASGI application that the port calls after its checks."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

    async def close(self) -> None:
        """End the streams, before the server waits for its requests."""

    def release(self) -> None:
        """Free all that it has opened, after the last request."""


class TooLarge(Exception):
    """The request's body is larger than `MAX_BODY`."""


class Disconnected(Exception):
    """The client disconnected before its request was complete; no response is sent."""


class Application:
    """The ASGI application of one engine.

    ``access`` decides which requests are allowed; ``log`` records failures; ``probes`` answer
    about the server itself.
    """

    def __init__(
        self,
        engine: Engine,
        reader: Database,
        access: Access,
        log: PortLog,
        probes: Probes | None = None,
    ) -> None:
        self.engine = engine
        self.probes = probes
        self.api = AwsApi(engine, reader)
        self.access = access
        self.log = log
        self.console: Mounted | None = None
        self.contract = ContractPages()
        self.active = 0
        self._stopped = False
        self._pending: set[Future[Any]] = set()
        self._threads = ThreadPoolExecutor(MAX_THREADS, "port")
        self._matching = ThreadPoolExecutor(MAX_THREADS, "port-matching")
        self.routes = [(_compiled(route.path), route) for route in engine.stack.routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            return
        request = Request.of(scope)
        try:
            self.access.check_host(request)
            if self.console is not None and _is_console(request.path):
                self.access.check_origin(request, on_api=False)
                await self.console(scope, receive, send)
                return
            matches = self._matching_routes(request.path)
            reply = await self._reply(request, matches, receive)
            if matches and self.access.cors is not None:
                reply = cors.with_cors_headers(self.access.cors, request, reply)
        except Refused as refused:
            reply = refused.reply(request)
        except Disconnected:
            return
        await _send(reply.with_defaults(SAFE), send)

    async def _reply(self, request: Request, matches: Matches, receive: Receive) -> Reply:
        """Return the response to a request for this server; any exception becomes a response."""
        try:
            self.access.check_origin(request, on_api=bool(matches))
            return await self._dispatch(request, matches, receive)
        except Refused as refused:
            return refused.reply(request)
        except TooLarge:
            detail = f"the body is larger than {MAX_BODY} bytes; an event has at most 262144"
            return problem_document(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        except (Stopped, asyncio.CancelledError):
            detail = "the platform has stopped; retry when it is running again"
            return problem_document(HTTPStatus.SERVICE_UNAVAILABLE, detail)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the error boundary of a request
            order_id = next((found.get("order_id") for _, found in matches), None)
            what = f"{request.method} {request.path}"
            self.log.log_exception(request.id, what, error, order_id)
            return _failure(request)

    async def _dispatch(self, request: Request, matches: Matches, receive: Receive) -> Reply:
        if self.probes is not None and self.probes.answers(request):
            return await self._probe(request, self.probes)
        if not request.is_preflight and self.contract.answers(request):
            return self.contract.reply(request)
        self.active += 1
        try:
            if self.active > MAX_ACTIVE:
                return _busy(request)
            if request.is_aws:
                self.access.check_operator(request)
                return await self._aws(request, await _body(receive))
            for route, parameters in matches:
                if route.method == request.method:
                    caller = self.access.caller_of_route(request, route)
                    event = event_of(route, parameters, request, await _body(receive), caller)
                    return await self._invoke(route, event, request)
            return self._no_route(request, [route for route, _ in matches])
        finally:
            self.active -= 1

    async def _probe(self, request: Request, probes: Probes) -> Reply:
        """Return the response about the server itself; it does not count as active."""
        refusal = probes.refusal(request)
        if refusal is not None:
            return refusal
        quick = probes.quick.get(request.path)
        if quick is not None:
            return quick()
        self.access.check_watcher(request)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, probes.metrics)

    def _matching_routes(self, path: str) -> Matches:
        matches = ((pattern.fullmatch(path), route) for pattern, route in self.routes)
        return [(route, match.groupdict()) for match, route in matches if match is not None]

    def _no_route(self, request: Request, routes: list[Route]) -> Reply:
        """Return the response to a request without a route; a browser is sent to the console."""
        accepted = request.headers.get("accept", "")
        if self.console is not None and request.path == "/" and "text/html" in accepted:
            return Reply(HTTPStatus.SEE_OTHER, (("location", f"{CONSOLE}/"), ("vary", "accept")))
        if not routes and request.is_query:
            message = (
                "this port answers clients of EventBridge, Step Functions and SQS in AWS's JSON"
                " protocol, and this request is in the query protocol; use a client that speaks"
                " JSON, such as boto3 or an AWS CLI of December 2023 or newer"
            )
            return query_error(HTTPStatus.BAD_REQUEST, "UnsupportedProtocol", message)
        if not routes:
            paths = ", ".join(sorted({route.path for _, route in self.routes}))
            detail = f"{request.path} does not exist; there are {paths}, and AWS's clients use /;"
            detail += f" {DOCS} has the contract"
            return problem_document(HTTPStatus.NOT_FOUND, detail)
        allowed = ", ".join(route.method for route in routes)
        if request.method == "OPTIONS" and self.access.cors is not None:
            return Reply(HTTPStatus.NO_CONTENT)  # `cors.with_cors_headers` adds the allowed methods
        detail = f"{request.path} takes {allowed}"
        return problem_document(HTTPStatus.METHOD_NOT_ALLOWED, detail, allow=allowed)

    async def operate(self, target: str, request: Mapping[str, Any]) -> Answer:
        """Run an operation of `AwsApi` that changes something, for the console.

        Raises
        ------
        InvalidRequest
            It is refused.
        Stopped
            The engine has failed.
        """
        return await self._called(target, partial(self.api.operations[target], request))

    async def result(self, future: Future[T]) -> T:
        """Wait for a result of the engine.

        Raises
        ------
        Stopped
            The engine has failed.
        """
        self._pending.add(future)
        try:
            if self._stopped:
                raise Stopped
            return await asyncio.wrap_future(future)
        finally:
            self._pending.discard(future)

    def abandon(self) -> None:
        """End all waits for the engine; its thread calls this when it has failed."""
        self._stopped = True
        if self.probes is not None:
            self.probes.failed = True
        for future in self._pending.copy():
            if not future.done():
                future.set_exception(Stopped())

    def close(self) -> None:
        """Start no more work in the threads."""
        for pool in (self._threads, self._matching):
            pool.shutdown(wait=False, cancel_futures=True)
        if self.console is not None:
            self.console.release()

    async def _aws(self, request: Request, body: bytes) -> Reply:
        own = (("content-type", request.aws_type), ("x-amzn-requestid", request.id))
        try:
            answer = await self._operate(request.headers["x-amz-target"], body)
        except InvalidRequest as error:
            refusal = aws_error(HTTPStatus.BAD_REQUEST, error.code, str(error), request.aws_type)
            older = QUERY_CODES.get(error.code)
            more = {"x-amzn-query-error": f"{older};Sender"} if older else {}
            return refusal.with_headers({**dict(own), **more})
        return Reply(HTTPStatus.OK, own, write(answer))

    async def _operate(self, target: str, body: bytes) -> Answer:
        """Run an operation, in a thread if it may take long."""
        is_long = len(body) > LONG_BODY
        return await self._called(target, partial(self.api.answer, target, body), is_long=is_long)

    async def _called(
        self, target: str, operate: Callable[[], Answer | Future[Answer]], *, is_long: bool = False
    ) -> Answer:
        if target in LOOKUPS or is_long:
            pool = self._matching if target in TESTS else self._threads
            answer = await asyncio.get_running_loop().run_in_executor(pool, operate)
        else:
            answer = operate()
        return await self.result(answer) if isinstance(answer, Future) else answer

    async def _invoke(self, route: Route, event: dict[str, Any], request: Request) -> Reply:
        takes_orders = route.method not in UNCHANGING
        future = self.engine.call_function(route.function, event, takes_orders=takes_orders)
        result = await self.result(future)
        if result.error is not None:
            order_id, _ = current_order.ids_in(event)
            what = f"{route.method} {route.path}"
            self.log.log_function_error(request.id, what, result.error, order_id)
            return _failure(request)
        return reply_of(result.payload).with_headers({"apigw-requestid": request.id})


def _is_console(path: str) -> bool:
    return path == CONSOLE or path.startswith(f"{CONSOLE}/")


def _compiled(path: str) -> re.Pattern[str]:
    """Return the regular expression of a path, such as ``/orders/{order_id}``."""
    parts = re.split(r"\{(\w+)\}", path)
    steps = (
        re.escape(part) if n % 2 == 0 else f"(?P<{part}>[^/]+)" for n, part in enumerate(parts)
    )
    return re.compile("".join(steps))


async def _body(receive: Receive) -> bytes:
    """Return a request's body.

    Raises
    ------
    TooLarge
        It is larger than `MAX_BODY`.
    Disconnected
        The client disconnected.
    """
    chunks = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
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
    """Return the response that makes a client retry; AWS's clients retry by themselves."""
    if request.is_aws:
        code, message = "ThrottlingException", "Rate exceeded"
        reply = aws_error(HTTPStatus.BAD_REQUEST, code, message, request.aws_type)
        return reply.with_headers({"retry-after": "1"})
    detail = "too many concurrent requests; retry later"
    return problem_document(HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after="1")


def _failure(request: Request) -> Reply:
    """Return the response to a request that failed; it has only the id of the log line."""
    if request.is_aws:
        message = f"the request could not be processed; the log has it as {request.id}"
        code = "InternalFailure"
        reply = aws_error(HTTPStatus.INTERNAL_SERVER_ERROR, code, message, request.aws_type)
        return reply.with_headers({"x-amzn-requestid": request.id})
    detail = f"the request could not be processed; the log has it as {request.id}"
    reply = problem_document(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
    return reply.with_headers({"apigw-requestid": request.id})
