"""The engine's handle of one worker process: its open invocations and its results."""

import time
from collections import deque
from collections.abc import Iterable

import orjson

from infra.local.workers.channel import Channel
from infra.local.workers.invocations import Invocation, Result
from infra.local.workers.worker import RETURNED
from kernel import json_text

PREFETCH = 240
"""Invocations that a worker may hold, so that it need not wait for the next turn."""

PREFETCH_BYTES = 128_000
"""Less than a socket's buffer, so that the engine and a worker never block in `send` together."""

STALLED_AFTER = 0.03
"""After this many seconds without a result, new work goes to another worker."""


class WorkerHandle:
    """One worker process, seen from the engine; it runs invocations in the order sent.

    ``sent`` are the invocations without a result; the first of them runs, since ``since``.
    ``returned`` are those that the worker returned without running them.
    """

    def __init__(self, channel: Channel, pid: int, writers: set[str]) -> None:
        self.channel = channel
        self.writers = writers
        self.pid = pid
        self.sent: deque[Invocation] = deque()
        self.returned: list[Invocation] = []
        self.bytes = 0
        self.since = 0.0

    def has_room(self, size: int) -> bool:
        """Return whether another invocation of this size may be sent."""
        return not self.sent or (len(self.sent) < PREFETCH and self.bytes + size < PREFETCH_BYTES)

    def take(self, invocation: Invocation) -> None:
        """Record an invocation that is about to be sent."""
        if not self.sent:
            self.since = time.monotonic()
        self.sent.append(invocation)
        self.bytes += len(invocation.payload)

    def send(self, invocations: Iterable[Invocation], offset: float) -> None:
        """Send invocations.

        Raises
        ------
        OSError
            The process has ended.
        """
        self.channel.send(
            orjson.dumps([invocation.id, invocation.function.name, offset])
            + b"\n"
            + invocation.payload
            for invocation in invocations
        )

    def receive(self) -> list[Result]:
        """Return the results that have arrived, waiting for the first message.

        Raises
        ------
        EOFError, OSError
            The process has ended.
        """
        results = []
        for message in self.channel.receive():
            if message.startswith(RETURNED):
                self._take_back(message)
            else:
                results.append(self._result(message))
        if results:
            self.since = time.monotonic()
        return results

    def _take_back(self, message: bytes) -> None:
        """Record the invocations that a message returns unrun."""
        ids = set(orjson.loads(message.removeprefix(RETURNED)))
        self.returned += [invocation for invocation in self.sent if invocation.id in ids]
        self.sent = deque(invocation for invocation in self.sent if invocation.id not in ids)
        self.bytes = sum(len(invocation.payload) for invocation in self.sent)

    def is_stalled(self) -> bool:
        """Return whether the running invocation has taken longer than `STALLED_AFTER`."""
        return bool(self.sent) and time.monotonic() - self.since > STALLED_AFTER

    def _result(self, message: bytes) -> Result:
        head, answer, error_text = message.split(b"\n", 2)
        number, seconds, metrics, wrote, exact = orjson.loads(head)
        invocation = self.sent.popleft()
        if wrote:
            self.writers.add(invocation.function.name)
        self.bytes -= len(invocation.payload)
        payload = json_text.parse(answer, exact=exact) if answer else None
        error = json_text.parse(error_text) if error_text else None
        return Result(number, payload, error, metrics, seconds, len(answer))
