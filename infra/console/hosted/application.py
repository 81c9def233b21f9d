"""The hosted console as an ASGI application: the first checks, the session, and the pages."""

import asyncio
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.requests import Request as PageRequest
from starlette.types import Receive, Scope, Send

from infra.console import front, headers
from infra.console.console import Console
from infra.console.hosted.callers import HostedCallers
from infra.console.page import PREFIX
from infra.errors import AWSError
from infra.server.access import Access, Admission
from infra.server.hosts import parse
from infra.server.request import Request
from kernel.errors import OrderflowError

HTTPS = 443

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
        name = parse(urlsplit(url).netloc)
        self._access = Access(HTTPS, None, Admission((name,) if name else ()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request.of(scope)
        reply = front.refusal(self._access, request) or front.outside(request)
        if reply is not None:
            await front.send_reply(reply, send)
            return
        if not request.path.startswith(_STATIC):
            page_request = PageRequest(scope)
            session = page_request.cookies.get(self._callers.cookie)
            try:
                await asyncio.to_thread(self._callers.resolve, session)
            except (AWSError, OrderflowError) as error:
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
