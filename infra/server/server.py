"""Serving the platform on a port of this machine, until it is told to stop."""

import ipaddress
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable

import uvicorn

from infra.errors import Refusal
from infra.local.engine import Engine
from infra.server.http import Application
from shared.sqlite import Database

BACKLOG = 2_048
"""Connections that wait to be accepted, as uvicorn has it."""


class ServerError(Refusal):
    """The server cannot be started, or had to stop; the message says why."""


def check_address(host: str) -> None:
    """Refuse an address that others can reach: requests here need no token."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ServerError(
            f"{host} is not this machine's own address; without an issuer for tokens everybody"
            " there could place orders: serve on 127.0.0.1, or deploy to AWS"
        )


class Server:
    """An engine and its port: the engine has a thread of its own, the port has this one."""

    def __init__(self, engine: Engine, reader: Database, listener: socket.socket) -> None:
        self.engine = engine
        self.failure: BaseException | None = None
        self._socket = listener
        self._application = Application(engine, reader)
        config = uvicorn.Config(
            self._application,
            log_level="warning",
            access_log=False,
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


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address of this machine.

    Whoever connects is answered once the server runs.

    Raises
    ------
    ServerError
        Others can reach the address, or the port cannot be used.
    """
    check_address(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
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
