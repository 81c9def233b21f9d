"""Serve the platform on a local port until a signal stops it."""

import ipaddress
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from infra.errors import Refusal
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.server.access import Access, Admission
from infra.server.hosts import allowed_host
from infra.server.http import Application, Mounted
from infra.server.log import PortLog
from infra.server.probes import Probes
from infra.server.reply import SAFE, problem_document
from infra.server.request import TARGET
from infra.server.tokens import read_tokens
from storage.sqlite.database import Database

MAX_HEAD = 65_536
"""Maximum bytes of a request's target and headers; known clients send less."""

WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - for comparison only
BACKLOG = 2_048
"""Maximum connections that wait to be accepted; uvicorn's default."""


class ServerError(Refusal):
    """The server cannot start, or had to stop; the message has the reason."""


def check_address(host: str) -> None:
    """Raise `ServerError` for an address that other hosts can reach: requests need no token."""
    if not _is_loopback(host):
        raise ServerError(
            f"{host} is not a loopback address; without tokens anyone who reaches it could place"
            " orders: serve on 127.0.0.1, or give --token-file FILE"
        )


def admission(host: str, names: Sequence[str], token_file: Path | None) -> Admission:
    """Return the names and tokens of a server on an address.

    ``names`` are the values of ``--allowed-host``. The address is a name too, unless it is a
    loopback address or a wildcard.

    Raises
    ------
    ServerError
        Other hosts can send requests, and there are no tokens.
    InvalidHost, InvalidTokens
        A name or the file of tokens cannot be used.
    """
    allowed = [allowed_host(name) for name in names]
    if token_file is None:
        check_address(host)
        if allowed:
            raise ServerError(
                f"--allowed-host {names[0]} admits others, who need tokens: give --token-file FILE,"
                " with lines of: TOKEN SUBJECT SCOPE …"
            )
        return Admission()
    if not _is_loopback(host) and host not in WILDCARDS:
        allowed.append(allowed_host(f"[{host}]" if ":" in host else host))
    return Admission(tuple(allowed), read_tokens(token_file))


class Protocol(HttpToolsProtocol):
    """Uvicorn's HTTP/1.1, with the raw request target passed to the application."""

    head = 0
    """Bytes of the request's head so far."""

    def on_message_begin(self) -> None:
        """Start to read a request's head."""
        self.head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Read a part of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self.head += size
        if self.head > MAX_HEAD:
            raise ValueError("the parser answers with 400")

    def on_headers_complete(self) -> None:
        """Pass the target on and start the request."""
        self.scope["extensions"] = {TARGET: self.url.decode("latin-1")}  # type: ignore[dict-item]
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP with a problem document, as for every other refusal."""
        if self.head > MAX_HEAD:
            msg = f"the request's head is larger than {MAX_HEAD} bytes"
        reply = problem_document(HTTPStatus.BAD_REQUEST, msg).with_defaults(SAFE)
        length = ("content-length", str(len(reply.body)))
        headers = (*reply.headers, length, ("connection", "close"))
        lines = ["HTTP/1.1 400 Bad Request", *(f"{name}: {value}" for name, value in headers)]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + reply.body)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: a request to upgrade is answered as an ordinary request."""


def port_config(application: Any, grace: int) -> uvicorn.Config:
    """Return uvicorn's settings; requests get ``grace`` seconds at the end of the server."""
    return uvicorn.Config(
        application,
        http=Protocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=grace,
    )


@contextmanager
def until_a_signal() -> Iterator[None]:
    """End the block at SIGINT or SIGTERM: uvicorn raises the signal that stopped it again."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass  # uvicorn has shut down
    finally:
        signal.signal(signal.SIGTERM, before)


class Port(uvicorn.Server):
    """Uvicorn's server, which ends the console's streams before it waits for its requests."""

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop to serve."""
        if self._application.console is not None:
            await self._application.console.close()
        await super().shutdown(sockets)


class Server:
    """An engine in its own thread, and its port in the calling thread.

    The functions' log of the data directory has failures in the port; ``console`` makes the
    console of its application.
    """

    def __init__(  # noqa: PLR0913 - the parts of a server
        self,
        engine: Engine,
        reader: Database,
        listener: socket.socket,
        admitted: Admission,
        where: DataDirectory,
        *,
        console: Callable[[Application], Mounted] | None = None,
    ) -> None:
        self.engine = engine
        self.failure: BaseException | None = None
        self._socket = listener
        name, self.port = listener.getsockname()[:2]
        access = Access(self.port, engine.stack.cors, admitted)
        probes = Probes(engine, where, url(name, self.port))
        self.health = probes.health
        self._application = Application(engine, reader, access, PortLog(where.log), probes)
        self._application.console = None if console is None else console(self._application)
        self._uvicorn = Port(port_config(self._application, 5), self._application)

    def run(self, started: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM; then finish and commit the started requests.

        Raises
        ------
        ServerError
            The engine failed; no acknowledged request is lost.
        """
        thread = threading.Thread(target=self._run_engine, name="engine")
        thread.start()
        try:
            with until_a_signal():
                started()
                self._uvicorn.run([self._socket])
        finally:
            self._application.close()
            self.engine.stop()
            thread.join()
            self._socket.close()
        if isinstance(self.failure, sqlite3.Error):
            raise self.failure  # the caller that opened the database has the message for it
        if self.failure is not None:
            raise ServerError(f"{type(self.failure).__name__}: {self.failure}") from self.failure

    def _run_engine(self) -> None:
        try:
            self.engine.run_until_stopped()
        except BaseException as error:  # noqa: BLE001 - raised by the main thread
            self.failure = error
            self._application.abandon()
            self._uvicorn.should_exit = True


def url(host: str, port: int) -> str:
    """Return the URL for local commands; a wildcard address is reached by the loopback."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - as above
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket; connections are answered once the server runs.

    Raises
    ------
    ServerError
        The port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm if the protocol is named: an answer is two small packets
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ServerError(
            f"port {port} cannot be used ({error.strerror}); name another with --port"
        ) from None
    return listener
