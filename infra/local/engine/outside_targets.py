"""Deliver events to HTTP addresses and files of this machine, outside the engine's turn.

A delivery is a row of the journal until its answer is journalled, so an event is sent at least
once, and again after a crash. Each target has a thread and at most one open batch: a slow
or dead target delays nothing but its own events. An answer of 5xx or 429, a timeout or a refused
connection is retried with backoff for an hour; another answer above 299 is final (EventBridge, API
destinations: 4xx is not retried, apart from 429 and others that pass).
"""

import http.client
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Event, Timer
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from infra.local.engine.backlog import NEVER
from infra.local.engine.bus import Bus
from infra.local.engine.component import Component
from infra.local.engine.error_boundary import described
from infra.local.engine.targets import FILE, HTTP, Delivery, DeliveryError
from infra.local.template.stack import Target

BATCH = 50
MAX_THREADS = 16
"""Targets that are served at the same time; others take turns."""

TIMEOUT = 3.0
"""Seconds to connect, and to wait for the next part of an answer."""

LIMIT = 5.0
"""Seconds of a whole request (EventBridge, API destinations: 5 seconds); a target that answers a
byte at a time would otherwise hold its thread, and the end of the server."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds for which a target rests after a failure that may pass, doubled at each one in a row."""

_RETRIED = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT}
)


class Sending(NamedTuple):
    """The outcome of a batch: the deliveries that arrived, and the first that did not."""

    arrived: Sequence[Delivery]
    failed: Delivery | None = None
    error: DeliveryError | None = None


class OutsideTarget:
    """A rule target whose deliveries `OutsideTargets` sends (see `infra.local.engine.targets`)."""

    kind: ClassVar[str] = HTTP

    def room(self) -> int:
        """Return 0: the bus makes none of these deliveries itself."""
        return 0

    def deliver(self, target: Target, delivery: Delivery, now: float) -> None:
        """Refuse: nothing is sent within a turn."""
        del delivery, now
        raise DeliveryError("INTERNAL", f"{target.name} is served outside the turn")


class OutsideTargets(Component):
    """The HTTP and file targets of an engine's bus.

    ``call`` runs a request in the engine's next turn, and ``folder`` has the files.
    """

    def __init__(
        self, bus: Bus, call: Callable[[Callable[[float], Any]], object], folder: Path
    ) -> None:
        self.bus = bus
        self._call = call
        self._folder = folder
        self._pool: ThreadPoolExecutor | None = None
        self._busy: set[str] = set()
        self._answered: set[str] = set()
        self._failures: dict[str, int] = {}
        self._paused: dict[str, float] = {}
        self._closing = Event()
        self.skips = False

    @property
    def busy(self) -> bool:
        """Whether a batch is open."""
        return bool(self._busy)

    def next_due(self) -> float:
        """Return when the next delivery is due; a skipped clock does not wait for a target."""
        if self.skips:
            return NEVER
        keys = [target.key for target in self.bus.outside if target.key not in self._busy]
        due = ((self.bus.backlog.next_due([key]), self._paused.get(key, 0.0)) for key in keys)
        return min(map(max, due), default=NEVER)

    def work(self, now: float) -> bool:
        """Hand the due deliveries of each target to its thread; return whether there was any."""
        worked = False
        for target in self.bus.outside:
            key = target.key
            rests = key in self._busy or self._paused.get(key, 0.0) > now
            if not rests and self.bus.backlog.is_due(key, now):
                worked |= self._begin(target, now)
        return worked

    def _begin(self, target: Target, now: float) -> bool:
        deliveries = self.bus.due_deliveries(target, BATCH, now)
        if not deliveries:
            return False
        if self._pool is None:
            self._pool = ThreadPoolExecutor(MAX_THREADS, "subscriptions")
        self._busy.add(target.key)
        sending = self._pool.submit(self._send, target, deliveries)
        sending.add_done_callback(partial(self._report, target))
        return True

    def _send(self, target: Target, deliveries: Sequence[Delivery]) -> Sending:
        """Send deliveries in their order, up to the first failure."""
        arrived: list[Delivery] = []
        post = self._append if target.kind == FILE else _post
        for delivery in deliveries:
            if self._closing.is_set():
                break
            try:
                post(target, delivery)
            except DeliveryError as error:
                return Sending(arrived, delivery, error)
            except Exception as error:  # noqa: BLE001 - mostly OSError; any other is this event's
                reason = described(error)
                return Sending(arrived, delivery, DeliveryError("CONNECTION_FAILURE", reason))
            arrived.append(delivery)
        return Sending(arrived)

    def _append(self, target: Target, delivery: Delivery) -> None:
        self._folder.mkdir(exist_ok=True)
        with (self._folder / target.name).open("ab") as file:
            file.write(delivery.envelope.encode() + b"\n")

    def _report(self, target: Target, sending: "Future[Sending]") -> None:
        """Have the outcome of a batch journalled; callable from the target's thread."""
        if not sending.cancelled():
            self._call(partial(self._end, target, sending.result()))

    def _end(self, target: Target, outcome: Sending, now: float) -> None:
        """Journal the outcome of a batch; the target is free once its rows are deleted."""
        key = target.key
        self._answered.add(key)
        self.bus.backlog.wake(key, now)
        for delivery in outcome.arrived:
            self.bus.arrived(target, delivery, now)
        if outcome.failed is None or outcome.error is None:
            if self._failures.pop(key, None):
                self._note(target, "")
            self._paused.pop(key, None)
            return
        self.bus.not_arrived(target, outcome.failed, outcome.error, now)
        self._note(target, str(outcome.error))
        if not outcome.error.final:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self._paused[key] = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10))

    def _note(self, target: Target, problem: str) -> None:
        """Store the last problem of a target, or none, for `orders subscribe`."""
        update = "update local_targets set problem = ? where rule = ? and id = ?"
        self.bus.journal.batch.add(update, problem[:500], target.rule, target.id)

    def committed(self) -> None:
        """Let the targets whose outcomes are in the journal get their next batches."""
        self._busy -= self._answered
        self._answered.clear()

    def close(self) -> None:
        """End the threads after their open request."""
        self._closing.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _post(target: Target, delivery: Delivery) -> None:
    """Post an event to an address of this machine; redirects are not followed."""
    parts = urlsplit(target.name)
    path = parts.path or "/"
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
    limit = Timer(LIMIT, _abort, (connection,))
    limit.daemon = True
    try:
        limit.start()
        connection.request(
            "POST",
            f"{path}?{parts.query}" if parts.query else path,
            delivery.envelope.encode(),
            {
                "content-type": "application/json",
                "user-agent": "orderflow",
                "x-orderflow-event-id": delivery.event_id,
                "x-orderflow-rule": target.rule,
            },
        )
        with connection.getresponse() as answer:
            status, reason = answer.status, answer.reason[:100]
    finally:
        limit.cancel()
        connection.close()
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        final = status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _RETRIED
        told = f"{target.name} answered {status} {reason}"
        raise DeliveryError("SDK_CLIENT_ERROR", told, final=final)


def _abort(connection: http.client.HTTPConnection) -> None:
    """End a request from another thread: its next read finds the connection closed."""
    with suppress(OSError, AttributeError):  # it has just ended by itself
        connection.sock.shutdown(socket.SHUT_RDWR)
