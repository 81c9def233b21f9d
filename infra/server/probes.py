"""``/health``, ``/ready``, ``/metrics`` and ``/version``: for supervisors and monitors.

================  =================================================================================
``/health``       alive: the port answers; the engine and the workers are not asked
``/ready``        200 while the engine takes turns and every worker is alive, else 503 with the
                  ``problem``; the numbers of workers
``/metrics``      the figures in Prometheus's text format; with tokens for `OPERATE` alone
``/version``      the versions of the program and of its data directory
================  =================================================================================
"""

import json
import time
from contextlib import closing
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.schema import VERSION
from infra.local.engine.engine import Engine
from infra.server.metrics_text import CONTENT_TYPE, metrics_text
from infra.server.reply import Reply, problem_document
from infra.server.request import Request
from infra.views.health import Health, Workers
from infra.views.local_health import read_health

if TYPE_CHECKING:
    from collections.abc import Callable

STUCK = 10.0
"""Seconds without a turn of the engine after which the server is not ready."""

METHODS = ("GET", "HEAD")


class Probes:
    """The answers about one engine in its data directory, at an address."""

    def __init__(self, engine: Engine, where: DataDirectory, address: str) -> None:
        self.engine = engine
        self.where = where
        self.address = address
        self.failed = False
        self.quick: dict[str, Callable[[], Reply]] = {
            "/health": lambda: _json(HTTPStatus.OK, {"status": "ok"}),
            "/ready": self._ready,
            "/version": _version,
        }

    def answers(self, request: Request) -> bool:
        """Return whether a request is for one of these; a preflight is the HTTP API's."""
        known = request.path in self.quick or request.path == "/metrics"
        return known and not request.is_preflight

    def refusal(self, request: Request) -> Reply | None:
        """Return the refusal of a method that changes something, or None."""
        if request.method in METHODS:
            return None
        allowed = ", ".join(METHODS)
        detail = f"{request.path} takes {allowed}"
        return problem_document(HTTPStatus.METHOD_NOT_ALLOWED, detail, allow=allowed)

    def problem(self) -> str | None:
        """Return why the server does not accept and process orders, or None."""
        if self.failed:
            return "the engine has failed"
        silent = time.monotonic() - self.engine.turned_at
        if silent > STUCK:
            return f"the engine has taken no turn for {silent:.0f} seconds"
        workers = self.engine.invoker.state()
        if workers.alive < workers.wanted:
            return f"{workers.alive} of {workers.wanted} workers are alive"
        return None

    def workers(self) -> Workers:
        """Return the state of the server."""
        problem = self.problem()
        return Workers(self.address, problem is None, problem, *self.engine.invoker.state())

    def health(self) -> Health:
        """Return the health of the directory, with a reader of its own; callable in any thread."""
        with closing(self.where.reader()) as database:
            return read_health(self.where, database, self.engine.clock.now(), self.workers())

    def metrics(self) -> Reply:
        """Return the figures for Prometheus."""
        text = metrics_text(self.engine.measures.totals, self.health(), version("orderflow"))
        return Reply(HTTPStatus.OK, (("content-type", CONTENT_TYPE),), text.encode())

    def _ready(self) -> Reply:
        workers = self.workers()
        status = HTTPStatus.OK if workers.ready else HTTPStatus.SERVICE_UNAVAILABLE
        numbers = {"alive": workers.alive, "wanted": workers.wanted, "replaced": workers.replaced}
        document = {"ready": workers.ready, "problem": workers.problem, "workers": numbers}
        return _json(status, document)


def _version() -> Reply:
    return _json(HTTPStatus.OK, {"version": version("orderflow"), "data_directory": VERSION})


def _json(status: HTTPStatus, document: dict[str, Any]) -> Reply:
    return Reply(status, (("content-type", "application/json"),), json.dumps(document).encode())
