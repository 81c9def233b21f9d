"""The program of a worker process: runs invocations, commits their writes, sends their results.

``python -m infra.local.workers.worker`` is the fork server. It imports the handlers once and forks
a worker for each socket that it receives. It has no connection and no thread, so that each fork is
a fresh execution environment.
"""

import gc
import os
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path
from select import select

import orjson

from infra.local.workers.channel import Channel
from infra.local.workers.execution_environment import ExecutionEnvironment
from infra.local.workers.group_commit import GroupCommit
from kernel import json_text
from storage.sqlite.database import use_write_strategy

RETURN_AFTER = 0.1
"""Seconds of one invocation after which a worker returns its queued invocations unrun."""

RETURNED = b"back"
"""The first bytes of a message with the ids of invocations that are returned unrun."""

GC_THRESHOLD = 50_000
"""GC threshold of generation 0. Handlers create few reference cycles, so it can be high."""

COMMIT_INTERVAL = 0.008
"""Seconds between group commits: a worker holds the write lock for at most that long."""

TIMER_INTERVAL = 0.02
"""Seconds between commits while one invocation runs long."""


class _Worker:
    """The loop of a worker: run invocations, commit their writes, then send the results."""

    def __init__(self, channel: Channel, environment: ExecutionEnvironment) -> None:
        self.channel = channel
        self.environment = environment
        self.group = GroupCommit(self._send_results)
        self._requests: deque[bytes] = deque()  # without a result that was sent
        self._results: list[bytes] = []
        self._running = False
        self._started = 0.0

    def run(self) -> None:
        """Run invocations until the engine closes the channel."""
        use_write_strategy(self.group)
        signal.signal(signal.SIGALRM, lambda *_: self._on_timer())
        while True:
            try:
                self._requests.extend(self.channel.receive())
                self._run_requests()
                if self.group.rolled_back:
                    self._rerun_alone()
            except (EOFError, OSError):
                return

    def _run_requests(self) -> None:
        """Run all requests, with a group commit every `COMMIT_INTERVAL`."""
        # bounds how long the results of quick invocations wait for a slow one
        signal.setitimer(signal.ITIMER_REAL, TIMER_INTERVAL, TIMER_INTERVAL)
        due = time.monotonic() + COMMIT_INTERVAL
        while len(self._results) < len(self._requests):
            self._results.append(self._run(self._requests[len(self._results)]))
            if not self.group.is_open or time.monotonic() > due:
                self.group.flush()
                due = time.monotonic() + COMMIT_INTERVAL
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.group.flush()

    def _on_timer(self) -> None:
        """Commit, and return queued invocations to the engine, while an invocation runs long."""
        if not self._running:
            return  # it has just ended: `_run_requests` commits and continues
        self.group.flush()
        # a write that is beginning or ending flushes later: the first requests have results then
        if self._results or self.group.is_open or self._running_for() < RETURN_AFTER:
            return
        while select([self.channel], [], [], 0)[0]:
            self._requests.extend(self.channel.receive())
        queued = [self._requests.pop() for _ in range(len(self._requests) - 1)][::-1]
        if queued:
            ids = [orjson.loads(message.split(b"\n", 1)[0])[0] for message in queued]
            self.channel.send([RETURNED + orjson.dumps(ids)])

    def _running_for(self) -> float:
        """Return for how many seconds the invocation has been running."""
        return time.monotonic() - self._started

    def _rerun_alone(self) -> None:
        """Rerun each invocation of a group that was rolled back, each with its own commit."""
        self._results.clear()
        self.group.suspend()
        while self._requests:
            self._results.append(self._run(self._requests[0]))
            self._send_results()
        self.group.resume()

    def _send_results(self) -> None:
        """Send the results whose writes are committed."""
        if self._results:
            for _ in self._results:
                self._requests.popleft()
            self.channel.send(self._results)
            self._results.clear()

    def _run(self, message: bytes) -> bytes:
        head, payload = message.split(b"\n", 1)
        number, name, offset = orjson.loads(head)
        self._started, writes = time.monotonic(), self.group.writes
        self._running = True
        answer, error, metrics = self.environment.invoke(name, payload, offset)
        self._running = False
        seconds = round(time.monotonic() - self._started, 6)
        wrote, exact = self.group.writes > writes, json_text.has_long_number(answer)
        head = orjson.dumps([number, seconds, metrics, wrote, exact])
        return head + b"\n" + answer + b"\n" + error


def main() -> None:
    """Import the handlers, then fork a worker for each socket that is received."""
    control = socket.socket(fileno=int(sys.argv[1]))
    functions = orjson.loads(sys.stdin.buffer.read())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    environment = ExecutionEnvironment(functions, Path(sys.argv[2]))
    environment.load()
    gc.freeze()  # the collector skips imported objects, so that their pages stay shared
    gc.set_threshold(GC_THRESHOLD)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 64, 1)
        if not message:
            # the engine has ended: no result is awaited, and no timeout would kill a hung function
            os.killpg(0, signal.SIGKILL)
        pid = os.fork()
        if pid == 0:
            control.close()
            _Worker(Channel(socket.socket(fileno=descriptors[0])), environment).run()
            os._exit(0)
        os.close(descriptors[0])
        control.send(str(pid).encode())


if __name__ == "__main__":
    main()
