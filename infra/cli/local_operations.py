"""One operation of an operator on a data directory: by its server or, without one, here."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from infra.cli.errors import CommandError
from infra.cli.operator import operator
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import platform

if TYPE_CHECKING:
    from concurrent.futures import Future

    from infra.local.engine.engine import Engine

Answer = dict[str, Any]
Operations = Mapping[str, Callable[[Any], "Future[Answer] | Answer"]]
"""Operations by their names; one that only reads answers without a turn of the engine."""

PATIENCE = 30.0
"""Seconds that a server may take for an answer."""

POLL = 0.1
"""Seconds between two checks of an operation's outcome."""

DRAIN = 10.0
"""Seconds that running functions get to end once the command has its answer."""

WORKERS = 2
"""Worker processes of a command that waits for an outcome without a server."""


def operate(where: DataDirectory, name: str, **request: Any) -> tuple[Answer, bool]:
    """Run an operation of `infra.server.operator_api`; return its answer, and whether it is served.

    Raises
    ------
    CommandError
        The operation is refused, or the server does not answer.
    """
    return operate_by(_of_operators, where, name, request)


def operate_by(
    operations: "Callable[[Engine], Operations]",
    where: DataDirectory,
    name: str,
    request: dict[str, Any],
) -> tuple[Answer, bool]:
    """Run one of an engine's operations; return its answer, and whether it is served.

    Raises
    ------
    CommandError
        The operation is refused, or the server does not answer.
    """
    request = {**request, "who": operator()}
    address = where.served_at()
    if address is not None:
        return ask(where, address, name, request), True
    with opened(where) as engine:
        answer = operate_in(engine, operations(engine), name, request)
        engine.turn(0)  # the outbox: the run that follows is in the journal
        return answer, False


def operate_in(
    engine: "Engine", operations: Operations, name: str, request: dict[str, Any]
) -> Answer:
    """Run an operation in a turn of this process's engine, and return its answer.

    Raises
    ------
    CommandError
        The operation is refused.
    """
    from infra.errors import InvalidRequest

    try:
        answer = operations[f"Orderflow.{name}"](request)
        if isinstance(answer, dict):
            return answer
        engine.turn(0)
        return answer.result(0)
    except InvalidRequest as error:
        raise CommandError(str(error)) from None


@contextmanager
def opened(where: DataDirectory, wait: float = 0.0) -> "Iterator[Engine]":
    """Open the platform for an operation; without a wait it begins no work."""
    where.require_database()
    with platform(where, clock=Clock(), workers=WORKERS if wait else 0) as engine:
        engine.accept_only = not wait
        yield engine


def process(engine: "Engine", is_running: Callable[[], bool], wait: float) -> None:
    """Process due work while an operation runs, for at most so many seconds; then accept only."""
    end = time.monotonic() + wait
    while is_running() and time.monotonic() < end:
        engine.turn(POLL if engine.next_due(schedules=False) > engine.clock.now() else 0)
    engine.accept_only = True  # running functions may end; their calls are only journalled
    end = time.monotonic() + (DRAIN if wait else 0.0)
    while not engine.idle and time.monotonic() < end:
        engine.turn(POLL)


def _of_operators(engine: "Engine") -> Operations:
    from infra.server.operator_api import OperatorApi

    return OperatorApi(engine).operations()


def ask(where: DataDirectory, address: str, name: str, request: dict[str, Any]) -> Answer:
    """Return the answer of a directory's server to an operation of ``Orderflow``.

    Raises
    ------
    CommandError
        The operation is refused, or the server does not answer.
    """
    headers = {"X-Amz-Target": f"Orderflow.{name}", "Content-Type": "application/x-amz-json-1.1"}
    token = where.token()
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    post = urllib.request.Request(  # noqa: S310 - http, to the address that `serve` wrote
        address + "/", json.dumps(request).encode(), headers
    )
    try:
        with urllib.request.urlopen(post, timeout=PATIENCE) as reply:  # noqa: S310
            answer: Answer = json.load(reply)
    except urllib.error.HTTPError as error:
        raise CommandError(json.load(error)["message"]) from None
    except OSError as error:
        raise CommandError(f"{address} does not answer: {error}") from None
    return answer
