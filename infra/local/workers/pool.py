"""The pool of worker processes: which worker runs which invocation, and the results.

`infra.local.workers.timeouts` kills a worker at its function's timeout; a worker that is killed or
crashes is replaced.
"""

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any

import orjson

from infra.errors import Refusal
from infra.local.directory.log_file import LogFile
from infra.local.template.stack import Function, outlines
from infra.local.workers.channel import Channel
from infra.local.workers.invocations import Invocation, Result, WorkerState, crashed
from infra.local.workers.timeouts import kill_if_overdue, remaining_times
from infra.local.workers.worker_handle import PREFETCH_BYTES, STALLED_AFTER, WorkerHandle

GATHER_ABOVE = 150
"""While a worker holds more invocations than this, results are gathered: one commit for many."""

GATHER_INTERVAL = 0.001
"""Seconds of a wait while results are gathered: a wake-up for each result costs more."""

MAX_GATHER_WAITS = 10
"""Maximum number of consecutive waits."""

_NO_INVOCATION = -1
"""The id in the result of a worker that ended while it was idle."""


class WorkerError(Refusal):
    """The workers cannot be started."""


class WorkerPool:
    """The worker processes of an engine (see `infra.local.workers.invocations.Invoker`)."""

    def __init__(self, functions: Mapping[str, Function], log: Path, size: int) -> None:
        self.functions = functions
        self._log = LogFile(log)
        self.offset = 0.0
        self._writers: set[str] = set()  # names of functions that have written to the database
        self._writer_queue: deque[Invocation] = deque()
        self._read_only_queue: deque[Invocation] = deque()
        self._failures: list[Result] = []
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        self._selector = DefaultSelector()
        self._selector.register(self._wake_reader, EVENT_READ)
        ours, theirs = socket.socketpair()
        self._fork_server = subprocess.Popen(  # noqa: S603 - this very Python, our own module
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
        assert self._fork_server.stdin is not None
        self._fork_server.stdin.write(orjson.dumps(outlines(functions)))
        self._fork_server.stdin.close()
        self._control = ours
        self.size = size
        self.replaced = 0
        self.workers: list[WorkerHandle] = []

    def start(self) -> None:
        """Wait until the handlers are imported, and fork the workers."""
        while len(self.workers) < self.size:
            self.workers.append(self._fork())

    def submit(self, invocation: Invocation) -> None:
        """Queue an invocation."""
        self._queue_of(invocation).append(invocation)

    def _queue_of(self, invocation: Invocation) -> deque[Invocation]:
        return (
            self._writer_queue
            if invocation.function.name in self._writers
            else self._read_only_queue
        )

    def _requeue(self, invocations: Iterable[Invocation]) -> None:
        """Put invocations at the front of their queues, in their order."""
        for invocation in reversed(list(invocations)):
            self._queue_of(invocation).appendleft(invocation)

    def poll(self, timeout: float) -> list[Result]:
        """Return the results that have arrived, waiting up to ``timeout`` seconds for the first."""
        results: list[Result] = []
        woken = self._collect(0, results)  # first, so that stalled workers are known
        self._dispatch()
        results += self._failures
        self._failures = []
        if not woken:
            woken = self._collect(0 if results else self._wait_time(timeout), results)
        for _ in range(MAX_GATHER_WAITS):
            if woken or not results:
                break
            if max(len(worker.sent) for worker in self.workers) <= GATHER_ABOVE:
                break
            time.sleep(GATHER_INTERVAL)
            woken = self._collect(0, results)
        self._dispatch()
        return results

    def _collect(self, wait: float, results: list[Result]) -> bool:
        """Wait for results and add them, and kill overdue functions.

        Returns
        -------
        bool
            Whether `wake` was called.
        """
        ready = {key.data for key, _ in self._selector.select(wait)}
        for worker in list(self.workers):
            if worker in ready:
                results += self._receive(worker)
            elif error := kill_if_overdue(worker):
                results.append(self._replace(worker, error))
        if None in ready:
            os.read(self._wake_reader, 65_536)
        return None in ready

    def elapsed(self, number: int) -> float:
        """Return the seconds that an invocation has been running; 0 if it has not started."""
        for worker in self.workers:
            if worker.sent and worker.sent[0].id == number:
                return time.monotonic() - worker.since
        return 0.0

    def wake(self) -> None:
        """End a waiting `poll`; callable from another thread."""
        os.write(self._wake_writer, b"!")

    def close(self) -> None:
        """Stop after the running invocations have ended."""
        self._selector.close()
        for worker in self.workers:
            worker.channel.close()
        self._control.close()
        self._fork_server.wait(10)
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def processes(self) -> list[int]:
        """Return the ids of all processes of the pool."""
        return [self._fork_server.pid, *(worker.pid for worker in self.workers)]

    def state(self) -> WorkerState:
        """Return the numbers of workers; callable from any thread."""
        return WorkerState(len(self.workers), self.size, self.replaced)

    def _wait_time(self, timeout: float) -> float:
        """Return how long to wait: at most until the next timeout of a running invocation."""
        limits = remaining_times(self.workers)
        if self._writer_queue or self._read_only_queue:
            limits.append(STALLED_AFTER)
        return max(0.0, min([timeout, *limits]) + (0.001 if limits else 0))

    def _dispatch(self) -> None:
        """Send queued invocations to the workers that are not stalled.

        All writers go to one worker: two workers that write would wait for each other at each group
        commit, and the engine for both. Read-only functions prefer the other workers.
        """
        shares: dict[int, list[Invocation]] = {}
        free = [worker for worker in self.workers if not worker.is_stalled()]
        for queue, choice in ((self._writer_queue, free[:1]), (self._read_only_queue, free[::-1])):
            while queue and choice:
                worker = choice[0]
                if len(choice) > 1:
                    worker = min(choice, key=lambda candidate: len(candidate.sent))
                if not worker.has_room(len(queue[0].payload)):
                    break
                worker.take(queue[0])
                shares.setdefault(worker.pid, []).append(queue.popleft())
        for worker in list(self.workers):
            try:
                if worker.pid in shares:
                    worker.send(shares[worker.pid], self.offset)
            except OSError:
                self._failures += self._drain_dead(worker)

    def _drain_dead(self, worker: WorkerHandle) -> list[Result]:
        """Return the last results of a worker that ended, and the failure of its invocation."""
        results = []
        try:
            while True:
                results += worker.receive()
        except (EOFError, OSError):
            results.append(self._replace(worker, None))
        return [result for result in results if result.id != _NO_INVOCATION]

    def _receive(self, worker: WorkerHandle) -> list[Result]:
        try:
            results = worker.receive()
        except (EOFError, OSError):
            failure = self._replace(worker, None)
            return [] if failure.id == _NO_INVOCATION else [failure]
        self._requeue(worker.returned)
        worker.returned.clear()
        return results

    def _replace(self, worker: WorkerHandle, error: dict[str, Any] | None) -> Result:
        """Replace a worker that ended: fail its running invocation and requeue the others."""
        self.workers.remove(worker)
        self.replaced += 1
        self._log_end(worker)
        self._selector.unregister(worker.channel)
        worker.channel.close()
        running = worker.sent.popleft() if worker.sent else None
        self._requeue([*worker.returned, *worker.sent])
        self.workers.append(self._fork())
        if running is None:
            return Result(_NO_INVOCATION, None, {}, [], 0.0)
        error = error or crashed(running.function, None)
        return Result(running.id, None, error, [], 0.0)

    def _log_end(self, worker: WorkerHandle) -> None:
        """Log that a worker ended, with the function that it ran."""
        function = worker.sent[0].function.name if worker.sent else None
        running = f" while it ran {function}" if function else ""
        message = f"worker {worker.pid} ended{running}, and another one replaces it"
        at = time.time() + self.offset
        self._log.write("WARN", "engine", message, at, function=function)

    def _fork(self) -> WorkerHandle:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PREFETCH_BYTES)
        try:
            socket.send_fds(self._control, [b"fork"], [theirs.fileno()])
            answer = self._control.recv(64)
        except OSError:
            answer = b""
        theirs.close()
        if not answer:
            raise WorkerError("the workers' process ended; its error is above, or in the log")
        worker = WorkerHandle(Channel(ours), int(answer), self._writers)
        self._selector.register(worker.channel, EVENT_READ, worker)
        return worker
