"""Execution environments as processes: forked from one that has the handlers imported.

``python -m infra.local.workers.worker`` is that process. It keeps no connection and no thread,
so that a fork of it is a fresh environment, and forks a worker for each socket that it is sent.
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
from infra.local.workers.environment import ExecutionEnvironment
from infra.local.workers.group_commit import GroupCommit
from kernel import json_text
from storage.sqlite.database import use_write_strategy

SLOW = 0.1
"""Seconds after which a worker whose invocation runs still gives back what it has not begun."""

GIVEN_BACK = b"back"
"""How a message begins that has the ids of invocations which are not going to be begun."""

COLLECT = 50_000
"""New objects after which a process looks for garbage in cycles, of which handlers leave little."""

GROUP = 0.008
"""Seconds after which a worker commits what was written: for so long nobody else writes."""

PATIENCE = 0.02
"""Seconds after which it commits though an invocation runs still."""


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
        use_write_strategy(self.group)
        signal.signal(signal.SIGALRM, lambda *_: self._on_timer())
        while True:
            try:
                self._asked.extend(self.channel.receive())
                self._gather()
                if self.group.rolled_back:
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

    def _on_timer(self) -> None:
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
        self.group.suspend()
        while self._asked:
            self._answers.append(self._run(self._asked[0]))
            self._answer()
        self.group.resume()

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
        wrote, exact = self.group.writes > writes, json_text.has_long_number(answer)
        head = orjson.dumps([number, seconds, metrics, wrote, exact])
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
