"""The console as one ASGI application: it finds the page, reads, renders, and answers.

The port has checked ``Host`` and ``Origin`` before (`infra.server.access`). A failing
page becomes a page with the reason, and is logged; nothing else is affected.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from infra.console import headers, rendering
from infra.console.addresses import path_of, sender_of
from infra.console.callers import Visitors
from infra.console.live import UPDATE, Changes, TooManyStreams
from infra.console.notices import Notices
from infra.console.page import (
    PREFIX,
    Absent,
    Act,
    BadFilter,
    Document,
    Download,
    FailureLog,
    Home,
    Page,
    Read,
    Redirect,
    Source,
    TooLarge,
    View,
    Visit,
    Visitor,
    Wait,
)
from infra.console.pages import PAGES
from infra.console.readers import Readers, TooMany, TooSlow
from infra.errors import AWSError, InvalidRequest, NotFound, Refusal
from infra.server.stopped import Stopped
from kernel.errors import StoreError, VersionConflict

MAX_FORM = 1_048_576
"""Maximum bytes of a form."""

MAX_FIELDS = 200

MAX_ACTIVE = 64
"""Maximum concurrent requests, streams aside: others are told to retry."""

_STATUSES: Mapping[type[Refusal], HTTPStatus] = {
    NotFound: HTTPStatus.NOT_FOUND,
    Absent: HTTPStatus.NOT_FOUND,
    AWSError: HTTPStatus.BAD_GATEWAY,
    BadFilter: HTTPStatus.BAD_REQUEST,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    InvalidRequest: HTTPStatus.CONFLICT,
    TooSlow: HTTPStatus.SERVICE_UNAVAILABLE,
    TooMany: HTTPStatus.SERVICE_UNAVAILABLE,
}

LIVE = f"{PREFIX}/live"

_NO_RIGHT = (
    "Your user has neither console/read nor orders/operate. Ask an administrator for one of these"
    " groups, then try again after two minutes."
)

Endpoint = Callable[[Request], Awaitable[Response]]


class Console:
    """The console of one server."""

    def __init__(
        self, source: Source, callers: Visitors, log: FailureLog, home: Home | None = None
    ) -> None:
        self.source, self.callers, self.log = source, callers, log
        self.changes: Changes | None = None
        if home is None:
            readers = Readers(source.directory)
            home, self.changes = Home(PAGES, readers), Changes(readers)
        self.home = home
        self.notices = home.notices or Notices()
        self._active = 0
        self._application = Starlette(
            routes=list(self._routes()),
            exception_handlers={HTTPException: self._http_error},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if headers.is_part_of_another_site(Headers(scope=scope)):
            refused = Response("a page of another site may link to the console, not load it", 403)
            await refused(scope, receive, headers.adding(send))
            return
        if self._active >= MAX_ACTIVE:
            busy = Response("too many requests; reload in a second", 503, {"retry-after": "1"})
            await busy(scope, receive, headers.adding(send))
            return
        counts = scope["path"] != LIVE
        self._active += counts
        try:
            await self._application(scope, receive, headers.adding(send))
        finally:
            self._active -= counts

    async def close(self) -> None:
        """End the streams, so that the server can stop."""
        if self.changes is not None:
            await self.changes.close()

    def release(self) -> None:
        """Close the connections."""
        self.home.readers.close()

    def _routes(self) -> list[BaseRoute]:
        routes: list[BaseRoute] = [
            Mount(f"{PREFIX}/static", StaticFiles(directory=rendering.STATIC), name="static"),
            Route(PREFIX, self._to_overview, methods=["GET"]),
        ]
        if self.changes is not None:
            routes.append(Route(LIVE, self._guarded(self.changes), methods=["GET"]))
        pages = [
            (page, path)
            for page in self.home.pages
            for path in dict.fromkeys((*page.gets, *page.waits, *page.posts))
        ]
        pages.sort(key=lambda each: each[1].endswith(":path}"))  # such a path matches longer ones
        return routes + [self._route(page, path) for page, path in pages]

    def _route(self, page: Page, path: str) -> Route:
        """Return the route of a path, whose page may be read, posted to, or both."""
        read, act = page.gets.get(path), page.posts.get(path)
        wait = page.waits.get(path)

        async def answer(request: Request) -> Response:
            visitor = self._visitor(request)
            if not page.open_to_all:
                if visitor is None:
                    return self._signed_out(request, page)
                if not visitor.capabilities:
                    return self._problem(request, page, HTTPStatus.FORBIDDEN, _NO_RIGHT)
            visitor = visitor or Visitor("", frozenset())
            visit = self._visit(request, visitor)
            if request.method == "POST":
                assert act is not None
                return await self._act(page, act, visit, request)
            if wait is not None:
                return await self._show_awaited(page, wait, visit, request)
            assert read is not None
            return await self._show(page, read, visit, request)

        methods = [*(["GET"] if read or wait else []), *(["POST"] if act else [])]
        return Route(PREFIX + path, self._bounded(page, answer), methods=methods)

    def _visit(self, request: Request, visitor: Visitor) -> Visit:
        query = dict(request.query_params)
        path = {name: str(value) for name, value in request.path_params.items()}
        cookie = request.cookies.get(self.callers.cookie)
        origin = request.headers.get("origin", "")
        session = self.callers.session(cookie, origin)
        now = self.source.now()
        return Visit(self.source, visitor, path, query, now, session, request.cookies)

    def _visitor(self, request: Request) -> Visitor | None:
        return self.callers.visitor(request.cookies.get(self.callers.cookie))

    def _signed_out(self, request: Request, page: Page) -> Response:
        """Answer a request without a session: a person who reads a page signs in, and returns."""
        if "hx-request" in request.headers:
            return Response("Your session has ended. Reload the page.", HTTPStatus.UNAUTHORIZED)
        if request.method == "POST":
            text = "Nothing was done: your session has ended. Go back, reload, and sign in."
            return self._problem(request, page, HTTPStatus.UNAUTHORIZED, text)
        query = f"?{request.url.query}" if request.url.query else ""
        return _see(f"{PREFIX}/sign-in?{urlencode({'to': path_of(request) + query})}")

    def problem(self, request: Request, status: HTTPStatus, text: str) -> Response:
        """Return a page with a problem."""
        return self._problem(request, None, status, text)

    def _guarded(self, changes: Changes) -> Endpoint:
        async def guarded(request: Request) -> Response:
            if self._visitor(request) is None:
                return Response("sign in first", HTTPStatus.UNAUTHORIZED)
            return await _stream(changes)

        return guarded

    def _bounded(self, page: Page, endpoint: Endpoint) -> Endpoint:
        """Return an endpoint with the error boundary of a request."""

        async def bounded(request: Request) -> Response:
            try:
                return await endpoint(request)
            except HTTPException:
                raise
            except Refusal as refusal:
                status = _STATUSES.get(type(refusal), HTTPStatus.CONFLICT)
                return self._problem(request, page, status, str(refusal))
            except (StoreError, VersionConflict) as error:  # such as that of a sign-out
                return self._problem(request, page, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
            except Stopped:
                text = "the platform has stopped; reload when it is running again"
                return self._problem(request, page, HTTPStatus.SERVICE_UNAVAILABLE, text)
            except Exception as error:  # noqa: BLE001 - the error boundary of a page
                number = str(uuid4())
                self.log.log_exception(number, f"{request.method} {request.url.path}", error)
                text = f"this page failed; the log has it as {number}; other pages still work"
                return self._problem(request, page, HTTPStatus.INTERNAL_SERVER_ERROR, text)

        return bounded

    async def _show(self, page: Page, read: Read, visit: Visit, request: Request) -> Response:
        """Read and render in a reader's thread, so that the event loop only sends."""
        names = self._names(page, visit, request)
        is_live = request.headers.get("hx-target", "").rpartition("#")[2] == rendering.LIVE

        def shown(database: Any) -> Response:
            begun, worked = time.perf_counter(), time.thread_time()
            found = read(visit, database)
            if not isinstance(found, View):
                return _plain(found)
            context = {**names, "title": found.title}
            html = (rendering.live_part if is_live else rendering.whole)(found, context)
            if is_live and self.changes is not None:  # its time beyond the estimate
                self.changes.budget.spend(max(0.0, time.thread_time() - worked - UPDATE))
            times = (time.perf_counter() - begun, time.thread_time() - worked)
            took = "page;dur={:.1f}, cpu;dur={:.1f}".format(*(each * 1000 for each in times))
            return _html(html, found.status, {"server-timing": took})

        return await self.home.readers.read(shown)

    async def _show_awaited(
        self, page: Page, wait: Wait, visit: Visit, request: Request
    ) -> Response:
        """Show a page that waits for another process."""
        found = await wait(visit)
        if not isinstance(found, View):
            return _plain(found)
        context = {**self._names(page, visit, request), "title": found.title}
        return _html(rendering.whole(found, context), found.status)

    async def _act(self, page: Page, act: Act, visit: Visit, request: Request) -> Response:
        """Run an action, and show its result on the page after it (POST, redirect, GET)."""
        if not page.open_to_all and not visit.visitor.may_operate:
            name = visit.visitor.name
            text = f"{name} may look, not act: this needs the scope orders/operate"
            return self._problem(request, page, HTTPStatus.FORBIDDEN, text)
        result = await act(visit, await _form(request))
        if isinstance(result, View):
            context = {**self._names(page, visit, request), "title": result.title}
            return _with_cookies(_html(rendering.whole(result, context), result.status), result)
        to = result.to
        if result.notice:
            to = _with_notice(to, self.notices.add(result.notice, result.tone))
        return _with_cookies(_see(to), result)

    def _names(self, page: Page, visit: Visit, request: Request) -> dict[str, Any]:
        """Return the names of every template."""
        theme = request.cookies.get("orderflow_theme", "")
        here = {name: value for name, value in visit.query.items() if name != "notice"}
        address = sender_of(request) or path_of(request) + (f"?{urlencode(here)}" if here else "")
        return {
            "page": page,
            "pages": [each for each in self.home.pages if each.title],
            "poll": self.home.poll,
            "platform": self.source,
            "missing": self.source.missing,
            "visit": visit,
            "visitor": visit.visitor,
            "now": visit.now,
            "query": here,
            "address": address,
            "theme": theme if theme in ("light", "dark") else "",
            "notice": self.notices.take(visit.query.get("notice", "")),
            "signs_in": self.callers.sign_in,
        }

    def _problem(self, request: Request, page: Page | None, status: int, text: str) -> Response:
        visitor = self._visitor(request) or Visitor("", frozenset())
        title = HTTPStatus(status).phrase
        view = View("problem.html", title, {"text": text, "status": status})
        page = page or Page("problem", "")
        names = self._names(page, self._visit(request, visitor), request)
        more = {"retry-after": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
        return _html(rendering.whole(view, {**names, "title": title}), status, more)

    async def _http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        text = {
            HTTPStatus.NOT_FOUND: f"{request.url.path} is no page of the console",
            HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} takes no {request.method}",
        }.get(HTTPStatus(error.status_code), str(error.detail))
        problem = self._problem(request, None, error.status_code, text)
        problem.headers.update(error.headers or {})  # the methods that a path takes
        return problem

    async def _to_overview(self, _: Request) -> Response:
        return _see(f"{PREFIX}/")


async def _stream(changes: Changes) -> Response:
    """Open a stream of changes."""
    events = changes.stream()
    try:
        first = await anext(events)
    except TooManyStreams as refusal:
        return Response(str(refusal), HTTPStatus.SERVICE_UNAVAILABLE, {"retry-after": "60"})

    async def all_events() -> Any:
        try:
            yield first
            async for event in events:
                yield event
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    return StreamingResponse(all_events(), media_type="text/event-stream")


def build(source: Source, callers: Visitors, log: FailureLog, home: Home | None = None) -> Console:
    """Return a console; its templates are read now, in the calling thread.

    Without a ``home`` it is that of a data directory.
    """
    console = Console(source, callers, log, home)
    rendering.environment().get_template("base.html")
    return console


def _see(address: str) -> Response:
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


def _html(text: str, status: int, more: Mapping[str, str] | None = None) -> Response:
    """Return a page; a lone surrogate in a text of others is shown as a question mark."""
    return HTMLResponse(text.encode(errors="replace"), status, more)


def _with_notice(address: str, key: str) -> str:
    """Return an address with the key of a notice, if it has one."""
    base, mark, place = address.partition("#")
    return f"{base}{'&' if '?' in base else '?'}notice={key}{mark}{place}" if key else address


def _with_cookies(response: Response, result: Redirect | View) -> Response:
    for cookie in result.cookies:
        response.headers.append("set-cookie", cookie)
    return response


def _plain(found: Download | Document | Redirect) -> Response:
    """Return the response of a request that reached no page."""
    if isinstance(found, Redirect):
        return _with_cookies(_see(found.to), found)
    if isinstance(found, Document):
        return Response(found.body, headers=headers.of_document(), media_type=found.content_type)
    disposition = f'attachment; filename="{headers.file_name(found.name)}"'
    given = {"content-disposition": disposition}
    return Response(found.body, headers=given, media_type=found.content_type)


async def _form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form; of a repeated one, the values joined by line ends.

    Raises
    ------
    HTTPException
        It is no form, or too large.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        detail = "send a form: application/x-www-form-urlencoded"
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM:
            detail = f"the form is larger than {MAX_FORM} bytes"
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        detail = f"the form is not UTF-8, or has more than {MAX_FIELDS} fields"
        raise HTTPException(HTTPStatus.BAD_REQUEST, detail) from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        text = value.replace("\r\n", "\n")
        fields[name] = f"{fields[name]}\n{text}" if name in fields else text
    return fields
