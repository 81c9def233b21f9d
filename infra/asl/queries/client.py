"""The client of the process that evaluates JSONata: started on first use, replaced if it hangs.

No module of the engine imports the JSONata library. A machine without JSONata starts no process.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from infra.asl.errors import AslError

P = ParamSpec("P")
T = TypeVar("T")

SECONDS = 1.0
"""Time limit of one request. The engine waits for the answer, so it is the longest that an
expression can hold up other work."""

MAX_SLOW = 1_000
"""Expressions that exceeded their time limit and are remembered."""

_SHORTEST = 0.0625
_GRACE = 0.5
_START = 10.0
_MAX_ANSWER = 16 * 1024 * 1024
_HEADER = 8
_ROOT = Path(__file__).resolve().parents[3]


class QueryProblem(AslError):
    """A query without a usable result.

    Attributes
    ----------
    index
        The query's index in the request.
    kind
        ``syntax``, ``error``, ``undefined``, ``unsupported``, ``time`` or ``memory``.
    """

    def __init__(self, index: int, kind: str, text: str) -> None:
        super().__init__(text)
        self.index = index
        self.kind = kind


class Client:
    """The evaluating process, used by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        atexit.register(self.close)
        self._seconds: dict[str, float] = {}
        """Time limits of expressions that exceeded theirs, so that they stop the engine less."""

    def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Return a function's result; the queries that it compiles are evaluated here."""
        context = copy_context()
        context.run(CLIENT.set, self)
        return context.run(function, *arguments, **named)

    def check(self, query: str) -> None:
        """Raise QueryProblem if a text is not an expression."""
        self._call({"queries": [query]})

    def evaluate(
        self,
        queries: Sequence[str],
        states: Any,
        variables: Mapping[str, Any],
        now: float,
        seed: float,
    ) -> list[Any]:
        """Return the values of queries; raise QueryProblem at the first without one.

        ``now`` in epoch seconds is the time of ``$now()``; ``seed`` makes ``$random()`` repeat.
        """
        about = {"states": states, "variables": variables, "now": now, "seed": seed}
        answer: list[Any] = self._call({"queries": queries, **about})["values"]
        return answer

    def _call(self, request: dict[str, Any]) -> dict[str, Any]:
        queries = request["queries"]
        seconds = min((self._seconds.get(text, SECONDS) for text in queries), default=SECONDS)
        with self._lock:
            answer = self._exchange({**request, "seconds": seconds}, seconds + _GRACE)
        problem = answer.get("problem")
        if problem is None:
            for text in queries if self._seconds else ():
                self._seconds.pop(text, None)
            return answer
        if problem[1] == "time":
            text = queries[problem[0]]
            if len(self._seconds) >= MAX_SLOW:
                self._seconds.clear()
            self._seconds[text] = max(self._seconds.get(text, SECONDS) / 2, _SHORTEST)
            problem[2] = f"D1012: Evaluation timeout after {seconds * 1000:.0f} milliseconds"
        raise QueryProblem(*problem)

    def _exchange(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Send a request and read the answer; a process without an answer is replaced."""
        try:
            body = json.dumps(request).encode()
        except RecursionError:
            return {"problem": [0, "memory", "The data is nested too deep"]}
        process = self._started()
        try:
            return self._converse(process, body, seconds)
        except (OSError, EOFError, ValueError):
            self._stop()
            return {"problem": [0, "memory", "The evaluation ended its process"]}
        except TimeoutError:
            self._stop()
            return {"problem": [0, "time", ""]}

    def _converse(
        self, process: subprocess.Popen[bytes], body: bytes, seconds: float
    ) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(body).to_bytes(_HEADER, "big") + body)
        process.stdin.flush()
        until = time.monotonic() + seconds
        size = int.from_bytes(_read(process.stdout.fileno(), _HEADER, until), "big")
        if size > _MAX_ANSWER:
            self._stop()
            return {"problem": [0, "memory", "The result is too large"]}
        answer: dict[str, Any] = json.loads(_read(process.stdout.fileno(), size, until))
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        """Return the process; start it if there is none, or if this process is a fork."""
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._process is None or self._owner != os.getpid():
            command = [sys.executable, "-m", "infra.asl.queries.worker"]
            paths = os.pathsep.join((str(_ROOT), str(_ROOT / "services")))
            self._process = subprocess.Popen(  # noqa: S603 - this package's own module
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": paths},
            )
            self._owner = os.getpid()
            hello = json.dumps({"queries": ["1"], "seconds": _START}).encode()
            self._converse(self._process, hello, _START)
        return self._process

    def close(self) -> None:
        """End the process, unless it belongs to the process that this one was forked from."""
        if self._owner == os.getpid():
            self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:  # closes its pipes and waits
                pass


def _read(descriptor: int, size: int, until: float) -> bytes:
    """Return ``size`` bytes; raise EOFError at the end, TimeoutError at a monotonic time."""
    pieces, missing = [], size
    while missing:
        left = until - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise TimeoutError
        piece = os.read(descriptor, min(missing, 65_536))
        if not piece:
            raise EOFError
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


CLIENT = ContextVar("CLIENT", default=Client())  # noqa: B039 - all contexts share it
"""The client that a compiled query uses; one with other work that may hang has its own."""
