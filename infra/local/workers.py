"""Execution environments as processes: forked from one that has the handlers imported.

``python -m infra.local.workers`` is that process. It keeps no connection and no thread, so that a
fork of it is a fresh environment, and makes a new worker whenever it is sent a socket for one.
"""

import gc
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
from infra.local.channel import Channel
from infra.local.environment import ExecutionEnvironment
from infra.local.invocations import Invocation, Result, crashed, timed_out
from infra.local.stack import Function, outlines

AHEAD = 16
"""Invocations that a worker is given ahead, so that it need not wait for the next turn."""

LOW = 6
"""While every worker has more than these, results are gathered: one commit for many."""

NAP = 0.001
"""Seconds between two looks at what was gathered: to be woken for each result costs more."""

GATHER = 10
"""Naps in a row at most."""

COLLECT = 50_000
"""New objects after which a worker looks for garbage in cycles, of which handlers leave little."""

AHEAD_BYTES = 48_000
"""Less than a pipe's buffer: a worker that writes must never wait for one that writes to it."""


class WorkerError(Refusal):
    """The workers cannot be started."""


class Worker:
    """One worker process, seen from the engine; invocations run in the order they were sent."""

    def __init__(self, channel: Channel, pid: int) -> None:
        self.channel = channel
        self.pid = pid
        self.sent: deque[Invocation] = deque()
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
        return [self._result(message) for message in self.channel.receive()]

    def _result(self, message: bytes) -> Result:
        head, answer, error = message.split(b"\n", 2)
        number, seconds, metrics = orjson.loads(head)
        done = self.sent.popleft()
        self.bytes -= len(done.payload)
        self.since = time.monotonic()
        payload = orjson.loads(answer) if answer else None
        return Result(number, payload, orjson.loads(error) if error else None, metrics, seconds)

    def overdue(self) -> bool:
        """Say whether the running invocation has passed its function's timeout."""
        return bool(self.sent) and time.monotonic() - self.since > self.sent[0].function.timeout


class WorkerPool:
    """The workers of a runtime (see `infra.local.invocations.Invoker`)."""

    def __init__(self, functions: Mapping[str, Function], log: Path, size: int) -> None:
        self.functions = functions
        self.offset = 0.0
        self._waiting: deque[Invocation] = deque()
        self._failed: list[Result] = []
        self._wake_up, self._woken = os.pipe()
        os.set_blocking(self._wake_up, False)
        self._selector = DefaultSelector()
        self._selector.register(self._wake_up, EVENT_READ)
        ours, theirs = socket.socketpair()
        self._parent = subprocess.Popen(  # noqa: S603 - this very Python, our own module
            [sys.executable, "-m", "infra.local.workers", str(theirs.fileno()), str(log)],
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
        self._waiting.append(invocation)

    def poll(self, timeout: float) -> list[Result]:
        """Return results that have come in, waiting up to ``timeout`` seconds for the first."""
        self._dispatch()
        results, self._failed = self._failed, []
        woken = self._listen(0 if results else self._patience(timeout), results)
        for _ in range(GATHER):
            if woken or not results or any(len(worker.sent) <= LOW for worker in self.workers):
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
                results.append(self._lose(worker, timed_out(worker.sent[0].function)))
        if None in ready:
            os.read(self._wake_up, 65_536)
        return None in ready

    def ran(self, number: int) -> float:
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
        return max(0.0, min([timeout, *limits]) + (0.001 if limits else 0))

    def _dispatch(self) -> None:
        """Share out what waits."""
        shares: dict[int, list[Invocation]] = {}
        while self._waiting and self.workers:
            worker = min(self.workers, key=lambda one: len(one.sent))
            if not worker.has_room(len(self._waiting[0].payload)):
                break
            worker.take(self._waiting[0])
            shares.setdefault(worker.pid, []).append(self._waiting.popleft())
        for worker in list(self.workers):
            try:
                if worker.pid in shares:
                    worker.send(shares[worker.pid], self.offset)
            except OSError:
                self._failed += self._last_words(worker)

    def _last_words(self, worker: Worker) -> list[Result]:
        """Return what a worker that is gone had answered, and the failure of what it ran."""
        results = []
        try:
            while True:
                results += worker.receive()
        except (EOFError, OSError):
            results.append(self._lose(worker, None))
        return [result for result in results if result.id >= 0]

    def _collect(self, worker: Worker) -> list[Result]:
        try:
            return worker.receive()
        except (EOFError, OSError):
            return [one for one in [self._lose(worker, None)] if one.id >= 0]

    def _lose(self, worker: Worker, error: dict[str, Any] | None) -> Result:
        """Replace a worker that is gone: what it ran has failed, what it had ahead goes on."""
        self.workers.remove(worker)
        self._selector.unregister(worker.channel)
        worker.channel.close()
        running = worker.sent.popleft() if worker.sent else None
        self._waiting.extendleft(reversed(worker.sent))
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
        try:
            socket.send_fds(self._control, [b"fork"], [theirs.fileno()])
            answer = self._control.recv(64)
        except OSError:
            answer = b""
        theirs.close()
        if not answer:
            raise WorkerError("the workers' process ended; its error is above, or in the log")
        worker = Worker(Channel(ours), int(answer))
        self._selector.register(worker.channel, EVENT_READ, worker)
        return worker


def _serve(channel: Channel, environment: ExecutionEnvironment) -> None:
    """Run invocations until the engine hangs up."""
    while True:
        try:
            for message in channel.receive():
                head, payload = message.split(b"\n", 1)
                number, name, offset = orjson.loads(head)
                started = time.perf_counter()
                answer, error, metrics = environment.invoke(name, payload, offset)
                seconds = round(time.perf_counter() - started, 6)
                head = orjson.dumps([number, seconds, metrics])
                channel.send([head + b"\n" + answer + b"\n" + error])
        except (EOFError, OSError):
            return


def main() -> None:
    """Import the handlers, then fork a worker for each socket that comes in."""
    control = socket.socket(fileno=int(sys.argv[1]))
    functions = orjson.loads(sys.stdin.buffer.read())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    environment = ExecutionEnvironment(functions, Path(sys.argv[2]))
    environment.load()
    gc.freeze()  # what is imported stays: it is never looked through, and its pages stay shared
    gc.set_threshold(COLLECT)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 64, 1)
        if not message:
            # the engine has gone: nobody waits for what still runs, or would kill what hangs
            os.killpg(0, signal.SIGKILL)
        pid = os.fork()
        if pid == 0:
            control.close()
            _serve(Channel(socket.socket(fileno=descriptors[0])), environment)
            os._exit(0)
        os.close(descriptors[0])
        control.send(str(pid).encode())


if __name__ == "__main__":
    main()
