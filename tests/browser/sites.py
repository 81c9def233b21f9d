"""The sites whose pages a user has open: each serves its page, and hears what the page saw."""

import http.client
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

FILES = Path(__file__).parent / "files"
PATIENCE = 60.0
"""Seconds until a page is given up that has not told what it saw."""

_OF_A_CONNECTION = ("connection", "content-length", "transfer-encoding")


class Site(ThreadingHTTPServer):
    """A site on an address of this machine.

    Its page is a file with words replaced; it posts what it saw to ``/report``. ``POST /bounce``
    redirects to what the query names, with method and body. A site that is ``rebound`` passes on
    whatever else is asked of it, as if its name had been given another address meanwhile.
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
        self._told: dict[str, Any] = {}
        self._heard = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def report(self) -> dict[str, Any]:
        """Wait until the page has told what it saw, and return that."""
        assert self._heard.wait(PATIENCE), "the page has told nothing"
        return self._told

    def hear(self, body: bytes) -> None:
        """Take what the page saw."""
        self._told = json.loads(body)
        self._heard.set()

    def shown(self) -> bytes:
        """Return the page."""
        text = (FILES / self.page).read_text(encoding="utf-8")
        for word, meaning in self.words.items():
            text = text.replace(f"%{word}%", meaning)
        return text.encode()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the browser has hung up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def handle_any(self) -> None:
        """Answer a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        asked = (self.command, path)
        if asked == ("GET", f"/{self.server.page}"):
            self._answer(200, self.server.shown(), {"Content-Type": "text/html; charset=utf-8"})
        elif asked == ("POST", "/report"):
            self.server.hear(body)
            self._answer(204, b"", {})
        elif asked == ("POST", "/bounce"):
            self._answer(307, b"", {"Location": query})
        elif self.server.rebound is not None:
            self._pass_on(self.server.rebound, body)
        else:
            self._answer(404, b"", {})

    do_GET = do_POST = do_PATCH = do_OPTIONS = handle_any  # noqa: N815 - names of the library

    def _pass_on(self, address: tuple[str, int], body: bytes) -> None:
        """Ask another server the same, with each header as it is."""
        onward = http.client.HTTPConnection(*address, timeout=10)
        onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            onward.putheader(name, value)
        onward.endheaders(body)
        reply = onward.getresponse()
        headers = {
            name: value
            for name, value in reply.getheaders()
            if name.lower() not in _OF_A_CONNECTION
        }
        self._answer(reply.status, reply.read(), headers)
        onward.close()

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        with suppress(OSError):  # the browser may be gone
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:  # which has no length
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
