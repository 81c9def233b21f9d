"""Serving the platform on a port of this machine, until it is told to stop."""

import ipaddress
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from infra.errors import Refusal
from infra.local.engine.engine import Engine
from infra.server.access import Access, Admission
from infra.server.hosts import allowed_host
from infra.server.http import Application
from infra.server.log import PortLog
from infra.server.reply import SAFE, problem
from infra.server.request import TARGET
from infra.server.tokens import read_tokens
from storage.sqlite.database import Database

MAX_HEAD = 65_536
"""Bytes of a request's target and headers: more than any client of ours sends."""

EVERY_INTERFACE = ("0.0.0.0", "::")  # noqa: S104 - they are named to be told apart
BACKLOG = 2_048
"""Connections that wait to be accepted, as uvicorn has it."""


class ServerError(Refusal):
    """The server cannot be started, or had to stop; the message says why."""


def check_address(host: str) -> None:
    """Refuse an address that others can reach: requests here need no token."""
    if not _is_own(host):
        raise ServerError(
            f"{host} is not this machine's own address; without tokens everybody there could place"
            " orders: serve on 127.0.0.1, or give --token-file FILE"
        )


def admission(host: str, names: Sequence[str], token_file: Path | None) -> Admission:
    """Return the names and tokens of a server on this address.

    ``names`` are those of ``--allowed-host``. An address that was given is a name as well; that of
    every interface is none.

    Raises
    ------
    ServerError
        Others could ask, and there are no tokens.
    InvalidHost, InvalidTokens
        A name or the file of tokens cannot be used.
    """
    given = [allowed_host(name) for name in names]
    if token_file is None:
        check_address(host)
        if given:
            raise ServerError(
                f"--allowed-host {names[0]} lets others ask; they need tokens: give --token-file"
                " FILE, whose lines are: TOKEN SUBJECT SCOPE …"
            )
        return Admission()
    if not _is_own(host) and host not in EVERY_INTERFACE:
        given.append(allowed_host(f"[{host}]" if ":" in host else host))
    return Admission(tuple(given), read_tokens(token_file))


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it; the application sees the request's target as it was sent."""

    head = 0
    """Bytes of the request's head so far."""

    def on_message_begin(self) -> None:
        """Begin to read a request's head."""
        self.head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self.head += size
        if self.head > MAX_HEAD:
            raise ValueError("the parser answers with 400")

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self.scope["extensions"] = {TARGET: self.url.decode("latin-1")}  # type: ignore[dict-item]
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the form of every other refusal."""
        if self.head > MAX_HEAD:
            msg = f"the request's head is larger than {MAX_HEAD} bytes"
        reply = problem(HTTPStatus.BAD_REQUEST, msg).defaulting(SAFE)
        length = ("content-length", str(len(reply.body)))
        headers = (*reply.headers, length, ("connection", "close"))
        lines = ["HTTP/1.1 400 Bad Request", *(f"{name}: {value}" for name, value in headers)]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + reply.body)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: a request to upgrade is answered as the request that it is."""


class Server:
    """An engine and its port: the engine has a thread of its own, the port has this one.

    ``log`` is the functions' log, for what fails inside the port.
    """

    def __init__(
        self,
        engine: Engine,
        reader: Database,
        listener: socket.socket,
        admitted: Admission,
        log: Path,
    ) -> None:
        self.engine = engine
        self.failure: BaseException | None = None
        self._socket = listener
        self.port: int = listener.getsockname()[1]
        access = Access(self.port, engine.stack.cors, admitted)
        self._application = Application(engine, reader, access, PortLog(log))
        config = uvicorn.Config(
            self._application,
            http=Protocol,
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
        self._uvicorn = uvicorn.Server(config)

    def run(self, started: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM; then let what was begun be journalled.

        Raises
        ------
        ServerError
            The engine failed: nothing that was acknowledged is lost.
        """
        thread = threading.Thread(target=self._run_engine, name="engine")
        thread.start()
        # uvicorn passes the signal that stopped it on: SIGTERM is then an interrupt like SIGINT
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            started()
            self._uvicorn.run([self._socket])
        except KeyboardInterrupt:
            pass  # uvicorn has shut down and passes the signal on
        finally:
            signal.signal(signal.SIGTERM, before)
            self._application.close()
            self.engine.stop()
            thread.join()
            self._socket.close()
        if isinstance(self.failure, sqlite3.Error):
            raise self.failure  # who opened the database knows what to say of it
        if self.failure is not None:
            raise ServerError(f"{type(self.failure).__name__}: {self.failure}") from self.failure

    def _run_engine(self) -> None:
        try:
            self.engine.run_until_stopped()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            self.failure = error
            self._application.abandon()
            self._uvicorn.should_exit = True


def url(host: str, port: int) -> str:
    """Return where this machine's own commands find a server; a wildcard is on the loopback too."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - as above
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _is_own(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; a connection is answered once the server runs.

    Raises
    ------
    ServerError
        The port cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # with the protocol named, asyncio turns Nagle's algorithm off: an answer is two small packets
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise ServerError(
            f"port {port} cannot be used ({error.strerror}); name another with --port"
        ) from None
    return bound
