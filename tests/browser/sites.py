"""Sites whose pages a user has open: each serves its page and receives the page's report."""

import http.client
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

FILES = Path(__file__).parent / "files"
PATIENCE = 60.0
"""Timeout, in seconds, for the report of a page."""

_CONNECTION_HEADERS = ("connection", "content-length", "transfer-encoding")


class Site(ThreadingHTTPServer):
    """A site on a local address.

    Its page is a file with words replaced; the page posts its report to ``/report``. ``POST
    /bounce`` redirects to the URL in the query, with method and body. A site that is ``rebound``
    forwards all other requests, as if its name had been resolved to another address.
    """

    def __init__(
        self,
        page: str,
        words: dict[str, str],
        *,
        address: tuple[str, int] = ("127.0.0.1", 0),
        rebound: tuple[str, int] | None = None,
    ) -> None:
        super().__init__(address, _Handler)
        self.page, self.words, self.rebound = page, words, rebound
        self._report: dict[str, Any] = {}
        self._reported = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def report(self) -> dict[str, Any]:
        """Wait for the page's report, and return it."""
        assert self._reported.wait(PATIENCE), "the page has not reported"
        return self._report

    def take_report(self, body: bytes) -> None:
        """Store the page's report."""
        self._report = json.loads(body)
        self._reported.set()

    def content(self) -> bytes:
        """Return the page."""
        text = (FILES / self.page).read_text(encoding="utf-8")
        for word, value in self.words.items():
            text = text.replace(f"%{word}%", value)
        return text.encode()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: the browser has disconnected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def handle_any(self) -> None:
        """Answer a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        route = (self.command, path)
        if route == ("GET", f"/{self.server.page}"):
            self._answer(200, self.server.content(), {"Content-Type": "text/html; charset=utf-8"})
        elif route == ("POST", "/report"):
            self.server.take_report(body)
            self._answer(204, b"", {})
        elif route == ("POST", "/bounce"):
            self._answer(307, b"", {"Location": query})
        elif self.server.rebound is not None:
            self._forward(self.server.rebound, body)
        else:
            self._answer(404, b"", {})

    do_GET = do_POST = do_PATCH = do_OPTIONS = handle_any  # noqa: N815 - names of the library

    def _forward(self, address: tuple[str, int], body: bytes) -> None:
        """Send the request unchanged to another server, and return its response."""
        connection = http.client.HTTPConnection(*address, timeout=10)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        headers = {
            name: value
            for name, value in reply.getheaders()
            if name.lower() not in _CONNECTION_HEADERS
        }
        self._answer(reply.status, reply.read(), headers)
        connection.close()

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        with suppress(OSError):  # the browser may have disconnected
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:  # 204 has no length
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
