"""The one port: the HTTP API's routes to their function, and AWS's operations at ``POST /``."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs
from uuid import uuid4

from infra.errors import InvalidRequest
from infra.local.engine import Engine
from infra.local.stack import Route
from infra.local.template import ACCOUNT
from infra.server.aws_api import AwsApi
from shared import json_text
from shared.sqlite import Database

MAX_BODY = 1_048_576
"""Bytes of a request's body: more than any event may have."""

MAX_AT_ONCE = 64
"""Requests that are answered at once: more are told to come again, so that memory stays bounded."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


T = TypeVar("T")


class Stopped(Exception):
    """The engine has failed: what is asked of it has no answer any more."""


class TooLarge(Exception):
    """The request's body is larger than any that is taken."""


class Application:
    """The ASGI application of one engine."""

    def __init__(self, engine: Engine, reader: Database) -> None:
        self.engine = engine
        self.api = AwsApi(engine, reader)
        self.at_once = 0
        self._stopped = False
        self._asked: set[Future[Any]] = set()
        self.routes = [(_compiled(route.path), route) for route in engine.stack.routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        self.at_once += 1
        try:
            if self.at_once > MAX_AT_ONCE:
                reply = _busy(headers)
            else:
                reply = await self._reply(scope, headers, await _body(receive))
        except TooLarge:
            detail = f"the body is larger than {MAX_BODY} bytes; an event has at most 262144"
            reply = _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        except Stopped:
            detail = "the platform has stopped; ask again once it has been started"
            reply = _problem(HTTPStatus.SERVICE_UNAVAILABLE, detail)
        finally:
            self.at_once -= 1
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [
                    (key.lower().encode(), value.encode()) for key, value in reply.headers.items()
                ]
                + [(b"content-length", str(len(reply.body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, scope: Scope, headers: Mapping[str, str], body: bytes) -> Reply:
        target = headers.get("x-amz-target")
        if scope["method"] == "POST" and scope["path"] == "/" and target is not None:
            return await self._aws(target, headers, body)
        allowed = []
        for pattern, route in self.routes:
            match = pattern.fullmatch(scope["path"])
            if match is None:
                continue
            if route.method == scope["method"]:
                return await self._invoke(route, match.groupdict(), scope, headers, body)
            allowed.append(route.method)
        if allowed:
            detail = f"{scope['path']} takes {', '.join(allowed)}"
            reply = _problem(HTTPStatus.METHOD_NOT_ALLOWED, detail)
            return Reply(reply.status, {**reply.headers, "allow": ", ".join(allowed)}, reply.body)
        paths = ", ".join(sorted({route.path for _, route in self.routes}))
        detail = f"{scope['path']} does not exist; there are {paths}, and AWS's clients use /"
        return _problem(HTTPStatus.NOT_FOUND, detail)

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

    async def _aws(self, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        kind = headers.get("content-type", "application/x-amz-json-1.1")
        own = {"content-type": kind, "x-amzn-requestid": str(uuid4())}
        try:
            answer = self.api.answer(target, body)
            if isinstance(answer, Future):
                answer = await self._answer(answer)
        except InvalidRequest as error:
            document = {"__type": error.code, "message": str(error)}
            own["x-amzn-errortype"] = error.code
            return Reply(HTTPStatus.BAD_REQUEST, own, json_text.write(document))
        return Reply(HTTPStatus.OK, own, json_text.write(answer))

    async def _invoke(
        self,
        route: Route,
        parameters: Mapping[str, str],
        scope: Scope,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        event = _event(route, parameters, scope, headers, body)
        result = await self._answer(self.engine.call_function(route.function, event))
        if result.error is not None:
            detail = "the request could not be processed; see the log"
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
        answer = result.payload
        text: str = answer.get("body") or ""
        content = base64.b64decode(text) if answer.get("isBase64Encoded") else text.encode()
        return Reply(answer["statusCode"], answer.get("headers") or {}, content)


def _compiled(path: str) -> re.Pattern[str]:
    """Return the pattern of a route's path, such as ``/orders/{order_id}``."""
    parts = re.split(r"\{(\w+)\}", path)
    steps = (
        re.escape(part) if n % 2 == 0 else f"(?P<{part}>[^/]+)" for n, part in enumerate(parts)
    )
    return re.compile("".join(steps))


async def _body(receive: Receive) -> bytes:
    chunks = bytearray()
    while True:
        message = await receive()
        chunks += message.get("body", b"")
        if len(chunks) > MAX_BODY:
            raise TooLarge
        if not message.get("more_body"):
            return bytes(chunks)


def _event(
    route: Route,
    parameters: Mapping[str, str],
    scope: Scope,
    headers: Mapping[str, str],
    body: bytes,
) -> dict[str, Any]:
    """Return the request as an HTTP API sends it (payload format 2.0)."""
    query = scope["query_string"].decode("latin-1")
    key = f"{route.method} {route.path}"
    try:
        text, encoded = body.decode(), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
    return {
        "version": "2.0",
        "routeKey": key,
        "rawPath": scope["path"],
        "rawQueryString": query,
        "headers": dict(headers),
        "queryStringParameters": {
            name: ",".join(values)
            for name, values in parse_qs(query, keep_blank_values=True).items()
        },
        "pathParameters": parameters,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": headers.get("host", ""),
            "http": {
                "method": scope["method"],
                "path": scope["path"],
                "protocol": f"HTTP/{scope['http_version']}",
                "sourceIp": (scope.get("client") or ("127.0.0.1",))[0],
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid4()),
            "routeKey": key,
            "stage": "$default",
            "timeEpoch": int(time.time() * 1000),
        },
        "body": text if body else None,
        "isBase64Encoded": encoded,
    }


def _busy(headers: Mapping[str, str]) -> Reply:
    """Return what makes a client come again: AWS's clients do so by themselves."""
    if "x-amz-target" in headers:
        document = {"__type": "ThrottlingException", "message": "Rate exceeded"}
        own = {"content-type": "application/x-amz-json-1.1", "retry-after": "1"}
        return Reply(HTTPStatus.BAD_REQUEST, own, json_text.write(document))
    reply = _problem(HTTPStatus.TOO_MANY_REQUESTS, "too many requests at once; come again")
    return Reply(reply.status, {**reply.headers, "retry-after": "1"}, reply.body)


def _problem(status: HTTPStatus, detail: str) -> Reply:
    document = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    headers = {"content-type": "application/problem+json"}
    return Reply(status, headers, json.dumps(document).encode())
