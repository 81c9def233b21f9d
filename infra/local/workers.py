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
from select import select
from selectors import EVENT_READ, DefaultSelector
from typing import Any

import orjson

from infra.errors import Refusal
from infra.local.channel import Channel
from infra.local.environment import ExecutionEnvironment
from infra.local.invocations import Invocation, Result, crashed, timed_out
from infra.local.stack import Function, outlines
from shared.group_commit import GroupCommit
from shared.sqlite import Database

AHEAD = 160
"""Invocations that a worker is given ahead, so that it need not wait for the next turn."""

LOW = 100
"""While a worker has more than these, results are gathered: one commit for many."""

STUCK = 0.03
"""Seconds without a result after which another worker is given what comes next."""

SLOW = 0.1
"""Seconds after which a worker whose invocation runs still gives back what it has not begun."""

NAP = 0.001
"""Seconds between two looks at what was gathered: to be woken for each result costs more."""

GATHER = 10
"""Naps in a row at most."""

GIVEN_BACK = b"back"

COLLECT = 50_000
"""New objects after which a worker looks for garbage in cycles, of which handlers leave little."""

GROUP = 0.008
"""Seconds after which a worker commits what was written: for so long nobody else writes."""

PATIENCE = 0.02
"""Seconds after which it commits though an invocation runs still."""

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
        number, seconds, metrics, wrote = orjson.loads(head)
        done = self.sent.popleft()
        if wrote:
            self.writers.add(done.function.name)
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
        self._writers: set[str] = set()  # functions that were seen to write
        self._waiting: deque[Invocation] = deque()  # theirs
        self._apart: deque[Invocation] = deque()  # all others
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
        self._queue(invocation).append(invocation)

    def _queue(self, invocation: Invocation) -> deque[Invocation]:
        return self._waiting if invocation.function.name in self._writers else self._apart

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
        if self._waiting or self._apart:
            limits.append(STUCK)
        return max(0.0, min([timeout, *limits]) + (0.001 if limits else 0))

    def _dispatch(self) -> None:
        """Share out what waits among those who get on with what they have.

        What writes goes to one of them alone: two that write would wait for each other at each
        group of writes, and the engine for both.
        """
        shares: dict[int, list[Invocation]] = {}
        free = [worker for worker in self.workers if not worker.is_stuck()]
        for queue, choice in ((self._waiting, free[:1]), (self._apart, free[::-1])):
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
            results = worker.receive()
        except (EOFError, OSError):
            return [one for one in [self._lose(worker, None)] if one.id >= 0]
        self._take_back(worker.given_back)
        worker.given_back.clear()
        return results

    def _lose(self, worker: Worker, error: dict[str, Any] | None) -> Result:
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


class _Service:
    """What a worker does: it runs invocations, commits what they wrote, and answers them."""

    def __init__(self, channel: Channel, environment: ExecutionEnvironment) -> None:
        self.channel = channel
        self.environment = environment
        self.group = GroupCommit(self._answer)
        self._asked: deque[bytes] = deque()  # and not answered yet
        self._answers: list[bytes] = []
        self._running = False
        self._began = 0.0

    def run(self) -> None:
        """Serve until the engine hangs up."""
        Database.group = self.group
        signal.signal(signal.SIGALRM, lambda *_: self._look_up())
        while True:
            try:
                self._asked.extend(self.channel.receive())
                self._gather()
                if self.group.lost:
                    self._redo()
            except (EOFError, OSError):
                return

    def _gather(self) -> None:
        """Run what was asked, and commit now and then: nobody waits long for one of them."""
        # whoever is quick waits no longer than this for one who is not
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        due = time.monotonic() + GROUP
        while len(self._answers) < len(self._asked):
            self._answers.append(self._run(self._asked[len(self._answers)]))
            if not self.group.is_open or time.monotonic() > due:
                self.group.flush()
                due = time.monotonic() + GROUP
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.group.flush()

    def _look_up(self) -> None:
        """Let nobody wait for an invocation that takes its time: for its commit, or behind it."""
        if not self._running:
            return  # it has just ended, and what follows looks after itself
        self.group.flush()
        if self.group.is_open or time.monotonic() - self._began < SLOW:
            return
        while select([self.channel], [], [], 0)[0]:
            self._asked.extend(self.channel.receive())
        waiting = [self._asked.pop() for _ in range(len(self._asked) - 1)][::-1]
        if waiting:
            ids = [orjson.loads(message.split(b"\n", 1)[0])[0] for message in waiting]
            self.channel.send([GIVEN_BACK + orjson.dumps(ids)])

    def _redo(self) -> None:
        """Run each by itself what was taken back together: each then has an answer of its own."""
        self._answers.clear()
        Database.group = None
        while self._asked:
            self._answers.append(self._run(self._asked[0]))
            self._answer()
        Database.group = self.group
        self.group.lost = False

    def _answer(self) -> None:
        """Send the answers whose writes are committed."""
        if self._answers:
            for _ in self._answers:
                self._asked.popleft()
            self.channel.send(self._answers)
            self._answers.clear()

    def _run(self, message: bytes) -> bytes:
        head, payload = message.split(b"\n", 1)
        number, name, offset = orjson.loads(head)
        self._began, writes = time.monotonic(), self.group.writes
        self._running = True
        answer, error, metrics = self.environment.invoke(name, payload, offset)
        self._running = False
        seconds = round(time.monotonic() - self._began, 6)
        head = orjson.dumps([number, seconds, metrics, self.group.writes > writes])
        return head + b"\n" + answer + b"\n" + error


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
            _Service(Channel(socket.socket(fileno=descriptors[0])), environment).run()
            os._exit(0)
        os.close(descriptors[0])
        control.send(str(pid).encode())


if __name__ == "__main__":
    main()
