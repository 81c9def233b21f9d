"""The hosted console as an ASGI application: the first checks, the session, and the pages.

The console has one origin, of https. An attacker on the network can send a page of the same host by
http, which some browsers treat as the same site. So such a page may change nothing (RFC 6454,
section 4).
"""

import asyncio
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request as PageRequest
from starlette.types import Message, Receive, Scope, Send

from infra.console import front, headers
from infra.console.console import Console
from infra.console.hosted.callers import HostedCallers
from infra.console.page import PREFIX, Visitor
from infra.errors import AWSError
from infra.server.access import Access, Admission
from infra.server.hosts import parse
from infra.server.reply import Reply, problem_document
from infra.server.request import SAFE_METHODS, Request
from kernel.errors import OrderflowError

HTTPS = 443

RESOLVING = 6.0
"""Seconds to read the session and its rights: with those of a page they end before the function."""

STRICT = "max-age=31536000"
"""For a year the browser reaches this host by https alone (RFC 6797)."""

_STATIC = f"{PREFIX}/static/"


class HostedConsole:
    """The console behind API Gateway.

    Parameters
    ----------
    console : Console
        Its pages.
    callers : HostedCallers
        Its visitors.
    url : str
        The origin at which browsers reach it; ``Host`` has its name.
    """

    def __init__(self, console: Console, callers: HostedCallers, url: str) -> None:
        self._console = console
        self._callers = callers
        self._origin = url
        self._open = frozenset(
            PREFIX + path
            for page in console.home.pages
            if page.open_to_all
            for path in (*page.gets, *page.posts)
        )
        name = parse(urlsplit(url).netloc)
        self._access = Access(HTTPS, None, Admission((name,) if name else ()), url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        send = _by_https_alone(send)
        request = Request.of(scope)
        refusal = front.refusal(self._access, request) or self._other_origin(request)
        reply = refusal or front.outside(request)
        if reply is not None:
            await front.send_reply(reply, send)
            return
        if not request.path.startswith(_STATIC):
            page_request = PageRequest(scope)
            session = page_request.cookies.get(self._callers.cookie)
            try:
                self._callers.admit(session, await self._resolve(session))
            except (AWSError, OrderflowError) as error:
                if request.path in self._open:  # such as signing out, which needs no rights
                    self._callers.admit(session, None)
                    await self._console(scope, receive, send)
                    return
                text = f"Your session could not be read: {error}"
                status = (
                    HTTPStatus.BAD_GATEWAY
                    if isinstance(error, AWSError)
                    else HTTPStatus.SERVICE_UNAVAILABLE
                )
                failed = self._console.problem(page_request, status, text)
                await failed(scope, receive, headers.adding(send))
                return
        await self._console(scope, receive, send)

    def _other_origin(self, request: Request) -> Reply | None:
        """Return the response to an unsafe request of another origin; None for any other."""
        origin = request.headers.get("origin")
        if request.method in SAFE_METHODS or origin in (None, self._origin):
            return None
        detail = f"Origin {origin[:80]!r} is not {self._origin}, whose pages alone may change this"
        return problem_document(HTTPStatus.FORBIDDEN, detail)

    async def _resolve(self, session: str | None) -> Visitor | None:
        """Return the visitor of a session; raise `AWSError` if AWS takes too long."""
        if session is None:
            return None
        try:
            async with asyncio.timeout(RESOLVING):
                return await asyncio.to_thread(self._callers.resolve, session)
        except TimeoutError:
            raise AWSError(
                f"DynamoDB and Cognito have not answered within {RESOLVING:g} seconds; try again"
            ) from None


def _by_https_alone(send: Send) -> Send:
    """Return a function that sends a response, after which the browser uses https for this host."""

    async def send_strictly(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["strict-transport-security"] = STRICT
        await send(message)

    return send_strictly
