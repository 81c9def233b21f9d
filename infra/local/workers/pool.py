"""The worker processes of an engine (`infra.local.workers.worker` is what each runs)."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any

import orjson

from infra.errors import Refusal
from infra.local.template.stack import Function, outlines
from infra.local.workers.channel import Channel
from infra.local.workers.invocations import Invocation, Result, crashed, timed_out
from infra.local.workers.worker import GIVEN_BACK
from kernel import json_text

AHEAD = 240
"""Invocations that a worker is given ahead, so that it need not wait for the next turn."""

LOW = 150
"""While a worker has more than these, results are gathered: one commit for many."""

STUCK = 0.03
"""Seconds without a result after which another worker is given what comes next."""

NAP = 0.001
"""Seconds between two looks at what was gathered: to be woken for each result costs more."""

GATHER = 10
"""Naps in a row at most."""

AHEAD_BYTES = 128_000
"""Less than a socket's buffer: a worker that writes must never wait for one that writes to it."""


class WorkerError(Refusal):
    """The workers cannot be started."""


class Worker:
    """One worker process, seen from the engine; invocations run in the order they were sent."""

    def __init__(self, channel: Channel, pid: int, writers: set[str]) -> None:
        self.channel = channel
        self.writers = writers
        self.pid = pid
        self.sent: deque[Invocation] = deque()
        self.given_back: list[Invocation] = []
        self.bytes = 0
        self.since = 0.0

    def has_room(self, size: int) -> bool:
        """Say whether another invocation of this size may be sent."""
        return not self.sent or (len(self.sent) < AHEAD and self.bytes + size < AHEAD_BYTES)

    def take(self, invocation: Invocation) -> None:
        """Note an invocation that is about to be sent."""
        if not self.sent:
            self.since = time.monotonic()
        self.sent.append(invocation)
        self.bytes += len(invocation.payload)

    def send(self, invocations: Iterable[Invocation], offset: float) -> None:
        """Send invocations; raises `OSError` if the process is gone."""
        self.channel.send(
            orjson.dumps([one.id, one.function.name, offset]) + b"\n" + one.payload
            for one in invocations
        )

    def receive(self) -> list[Result]:
        """Return results; raises `EOFError` or `OSError` if the process is gone."""
        messages = self.channel.receive()
        return [self._result(one) for one in messages if not self._gives_back(one)]

    def _gives_back(self, message: bytes) -> bool:
        """Take note of invocations that it will not begin, if that is what a message says."""
        if not message.startswith(GIVEN_BACK):
            return False
        ids = set(orjson.loads(message.removeprefix(GIVEN_BACK)))
        self.given_back += [one for one in self.sent if one.id in ids]
        self.sent = deque(one for one in self.sent if one.id not in ids)
        self.bytes = sum(len(one.payload) for one in self.sent)
        return True

    def is_stuck(self) -> bool:
        """Say whether it has been at one invocation for a while."""
        return bool(self.sent) and time.monotonic() - self.since > STUCK

    def _result(self, message: bytes) -> Result:
        head, answer, error = message.split(b"\n", 2)
        number, seconds, metrics, wrote, exact = orjson.loads(head)
        done = self.sent.popleft()
        if wrote:
            self.writers.add(done.function.name)
        self.bytes -= len(done.payload)
        self.since = time.monotonic()
        payload = json_text.parse(answer, exact=exact) if answer else None
        problem = json_text.parse(error) if error else None
        return Result(number, payload, problem, metrics, seconds, len(answer))

    def overdue(self) -> bool:
        """Say whether the running invocation has passed its function's timeout."""
        return bool(self.sent) and time.monotonic() - self.since > self.sent[0].function.timeout


class WorkerPool:
    """The workers of a runtime (see `infra.local.workers.invocations.Invoker`)."""

    def __init__(self, functions: Mapping[str, Function], log: Path, size: int) -> None:
        self.functions = functions
        self.offset = 0.0
        self._writers: set[str] = set()  # functions that were seen to write
        self._writer_queue: deque[Invocation] = deque()  # theirs
        self._read_only_queue: deque[Invocation] = deque()  # all others
        self._failed: list[Result] = []
        self._wake_up, self._woken = os.pipe()
        os.set_blocking(self._wake_up, False)
        self._selector = DefaultSelector()
        self._selector.register(self._wake_up, EVENT_READ)
        ours, theirs = socket.socketpair()
        self._parent = subprocess.Popen(  # noqa: S603 - this very Python, our own module
            [
                sys.executable,
                "-m",
                "infra.local.workers.worker",
                str(theirs.fileno()),
                str(log),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()
        assert self._parent.stdin is not None
        self._parent.stdin.write(orjson.dumps(outlines(functions)))
        self._parent.stdin.close()
        self._control = ours
        self.size = size
        self.workers: list[Worker] = []

    def start(self) -> None:
        """Wait until the handlers are imported, and fork the workers."""
        while len(self.workers) < self.size:
            self.workers.append(self._fork())

    def submit(self, invocation: Invocation) -> None:
        """Take an invocation."""
        self._queue(invocation).append(invocation)

    def _queue(self, invocation: Invocation) -> deque[Invocation]:
        return (
            self._writer_queue
            if invocation.function.name in self._writers
            else self._read_only_queue
        )

    def _take_back(self, invocations: Iterable[Invocation]) -> None:
        """Put invocations before those that wait."""
        for invocation in reversed(list(invocations)):
            self._queue(invocation).appendleft(invocation)

    def poll(self, timeout: float) -> list[Result]:
        """Return results that have come in, waiting up to ``timeout`` seconds for the first."""
        results: list[Result] = []
        woken = self._listen(0, results)  # first, so that it is known who gets on with its own
        self._dispatch()
        results += self._failed
        self._failed = []
        if not woken:
            woken = self._listen(0 if results else self._patience(timeout), results)
        for _ in range(GATHER):
            if woken or not results or max(len(one.sent) for one in self.workers) <= LOW:
                break
            time.sleep(NAP)
            woken = self._listen(0, results)
        self._dispatch()
        return results

    def _listen(self, patience: float, results: list[Result]) -> bool:
        """Wait for results and add them; return whether `wake` was called."""
        ready = {key.data for key, _ in self._selector.select(patience)}
        for worker in list(self.workers):
            if worker in ready:
                results += self._collect(worker)
            elif worker.overdue():
                self._stop(worker)
                results.append(self._replace(worker, timed_out(worker.sent[0].function)))
        if None in ready:
            os.read(self._wake_up, 65_536)
        return None in ready

    def elapsed(self, number: int) -> float:
        """Return for how many seconds an invocation has been running; 0 if it has not begun."""
        for worker in self.workers:
            if worker.sent and worker.sent[0].id == number:
                return time.monotonic() - worker.since
        return 0.0

    def wake(self) -> None:
        """End a `poll` that waits; callable from another thread."""
        os.write(self._woken, b"!")

    def close(self) -> None:
        """Let running invocations end, then stop."""
        self._selector.close()
        for worker in self.workers:
            worker.channel.close()
        self._control.close()
        self._parent.wait(10)
        os.close(self._wake_up)
        os.close(self._woken)

    def processes(self) -> list[int]:
        """Return the ids of all processes of the pool."""
        return [self._parent.pid, *(worker.pid for worker in self.workers)]

    def _patience(self, timeout: float) -> float:
        """Return how long to wait: no longer than until a running invocation times out."""
        limits = [
            worker.since + worker.sent[0].function.timeout - time.monotonic()
            for worker in self.workers
            if worker.sent
        ]
        if self._writer_queue or self._read_only_queue:
            limits.append(STUCK)
        return max(0.0, min([timeout, *limits]) + (0.001 if limits else 0))

    def _dispatch(self) -> None:
        """Share out what waits among those who get on with what they have.

        What writes goes to one of them alone: two that write would wait for each other at each
        group of writes, and the engine for both.
        """
        shares: dict[int, list[Invocation]] = {}
        free = [worker for worker in self.workers if not worker.is_stuck()]
        for queue, choice in ((self._writer_queue, free[:1]), (self._read_only_queue, free[::-1])):
            while queue and choice:
                worker = min(choice, key=lambda one: len(one.sent))
                if not worker.has_room(len(queue[0].payload)):
                    break
                worker.take(queue[0])
                shares.setdefault(worker.pid, []).append(queue.popleft())
        for worker in list(self.workers):
            try:
                if worker.pid in shares:
                    worker.send(shares[worker.pid], self.offset)
            except OSError:
                self._failed += self._drain_dead(worker)

    def _drain_dead(self, worker: Worker) -> list[Result]:
        """Return what a worker that is gone had answered, and the failure of what it ran."""
        results = []
        try:
            while True:
                results += worker.receive()
        except (EOFError, OSError):
            results.append(self._replace(worker, None))
        return [result for result in results if result.id >= 0]

    def _collect(self, worker: Worker) -> list[Result]:
        try:
            results = worker.receive()
        except (EOFError, OSError):
            return [one for one in [self._replace(worker, None)] if one.id >= 0]
        self._take_back(worker.given_back)
        worker.given_back.clear()
        return results

    def _replace(self, worker: Worker, error: dict[str, Any] | None) -> Result:
        """Replace a worker that is gone: what it ran has failed, what it had ahead goes on."""
        self.workers.remove(worker)
        self._selector.unregister(worker.channel)
        worker.channel.close()
        running = worker.sent.popleft() if worker.sent else None
        self._take_back([*worker.given_back, *worker.sent])
        self.workers.append(self._fork())
        if running is None:
            return Result(-1, None, {}, [], 0.0)
        error = error or crashed(running.function, None)
        return Result(running.id, None, error, [], 0.0)

    def _stop(self, worker: Worker) -> None:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)

    def _fork(self) -> Worker:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * AHEAD_BYTES)
        try:
            socket.send_fds(self._control, [b"fork"], [theirs.fileno()])
            answer = self._control.recv(64)
        except OSError:
            answer = b""
        theirs.close()
        if not answer:
            raise WorkerError("the workers' process ended; its error is above, or in the log")
        worker = Worker(Channel(ours), int(answer), self._writers)
        self._selector.register(worker.channel, EVENT_READ, worker)
        return worker
