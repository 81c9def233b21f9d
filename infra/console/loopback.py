"""The console of a stack on a loopback port of the operator's machine.

The port checks each request as that of ``orders serve`` does: ``Host`` is the loopback's with this
port, and an unsafe request comes from an own page. Other users of the machine reach the port too,
so the address that the command prints has a key, which the browser exchanges for a session. A
browser sends cookies to every port of a host: the name of the session's has the port.
"""

import asyncio
import secrets
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlencode

import uvicorn
from starlette.types import Receive, Scope, Send

from infra.console import front
from infra.console.callers import Callers
from infra.console.console import Console, build
from infra.console.page import PREFIX, Home
from infra.console.stack.limits import POLL
from infra.console.stack.pages import PAGES
from infra.console.stack.readers import StackReaders
from infra.console.stack.source import StackSource
from infra.server.access import Access, Admission
from infra.server.reply import Reply, problem_document
from infra.server.request import Request
from infra.server.server import port_config, until_a_signal
from infra.server.tokens import OPERATE, Caller, Tokens
from infra.terminal.output import errors

KEY = "key"
"""The parameter of the printed address that has the key."""


class TerminalLog:
    """Failures of pages, on the terminal of the command."""

    def log_exception(self, request_id: str, what: str, error: BaseException) -> None:
        """Print an exception with its traceback."""
        lines = "".join(traceback.format_exception(error)).rstrip().split("\n")
        errors.print(f"{what} failed ({request_id})", *lines)


class LoopbackConsole:
    """The ASGI application: the checks, the exchange of the key, and the console.

    Parameters
    ----------
    source : StackSource
        The stack.
    port : int
        The port of the ``Host`` header.
    who : str
        The name that is recorded with each action.
    """

    def __init__(self, source: StackSource, port: int, who: str) -> None:
        self.key = secrets.token_urlsafe(32)
        tokens = Tokens({self.key: Caller(who, frozenset({OPERATE}))})
        self._callers = Callers(tokens, f"orderflow_console_{port}")
        self._access = Access(port, None, Admission(), f"http://127.0.0.1:{port}")
        readers = StackReaders(source)
        self.console: Console = build(
            source, self._callers, TerminalLog(), Home(PAGES, readers, POLL)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        request = Request.of(scope)
        reply = front.refusal(self._access, request)
        if reply is None:
            given = dict(parse_qsl(scope["query_string"].decode("latin-1")))
            if request.method == "GET" and KEY in given and request.path.startswith(f"{PREFIX}/"):
                reply = self._exchanged(request, given)
        reply = reply or front.outside(request)
        if reply is None:
            await self.console(scope, receive, send)
        else:
            await front.send_reply(reply, send)

    def _exchanged(self, request: Request, given: dict[str, str]) -> Reply:
        """Return the page without the key; a right key begins a session."""
        key = given.pop(KEY)
        to = request.path + (f"?{urlencode(given)}" if given else "")
        if self._callers.visitor(self._session_of(request)) is not None:
            return front.see_other(to)
        session = self._callers.begin(key)
        if session is None:
            detail = "the key is not this console's; open the address that the command printed"
            return problem_document(HTTPStatus.FORBIDDEN, detail)
        cookie = self._callers.session(None, "").cookie(session)
        return front.see_other(to).with_headers({"set-cookie": cookie})

    def _session_of(self, request: Request) -> str | None:
        cookies = SimpleCookie()
        with suppress(Exception):  # a malformed cookie is none
            cookies.load(request.headers.get("cookie", ""))
        found = cookies.get(self._callers.cookie)
        return found.value if found else None


def serve(
    application: LoopbackConsole, listener: socket.socket, started: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM."""
    try:
        with until_a_signal():
            started()
            asyncio.run(uvicorn.Server(port_config(application, 2)).serve(sockets=[listener]))
    finally:
        application.console.release()
        listener.close()
