"""Handlers in the engine's own process: a breakpoint works, and a run is deterministic."""

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from infra.local.directory.crash_marker import NO_ITEM, CrashMarker
from infra.local.template.stack import Function, outlines
from infra.local.workers.environment import ExecutionEnvironment
from infra.local.workers.invocations import Invocation, Result
from kernel import json_text


class InlineInvoker:
    """Runs one invocation a `poll` (see `infra.local.workers.invocations.Invoker`); no timeouts.

    A handler that ends its process ends the engine: ``marker`` tells for which item it ran.
    """

    def __init__(
        self, functions: Mapping[str, Function], log: Path, marker: CrashMarker | None = None
    ) -> None:
        self.offset = 0.0
        self.marker = marker or CrashMarker()
        self.environment = ExecutionEnvironment(outlines(functions), log)
        self._waiting: deque[Invocation] = deque()

    def start(self) -> None:
        """Do nothing: handlers are imported when they are first called."""

    def submit(self, invocation: Invocation) -> None:
        """Take an invocation."""
        self._waiting.append(invocation)

    def poll(self, timeout: float) -> list[Result]:
        """Run the next invocation; without one, wait a moment."""
        if not self._waiting:
            time.sleep(min(timeout, 0.05))
            return []
        invocation = self._waiting.popleft()
        started = time.perf_counter()
        self.marker.enter(invocation.item)
        answer, error, metrics = self.environment.invoke(
            invocation.function.name, invocation.payload, self.offset
        )
        self.marker.enter(NO_ITEM)
        return [
            Result(
                invocation.id,
                json_text.parse(answer) if answer else None,
                json_text.parse(error) if error else None,
                metrics,
                time.perf_counter() - started,
            )
        ]

    def elapsed(self, number: int) -> float:  # noqa: ARG002 - the port's
        """Return 0: what has begun has ended before anybody can ask."""
        return 0.0

    def wake(self) -> None:
        """Do nothing: `poll` never waits long."""

    def close(self) -> None:
        """Do nothing: nothing runs in the background."""

    def processes(self) -> list[int]:
        """Return no processes: there are none but the engine's own."""
        return []
