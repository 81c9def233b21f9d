"""Run handlers in the engine's own process: breakpoints work, and a run is deterministic."""

import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from infra.local.directory.crash_marker import NO_ITEM, CrashMarker
from infra.local.template.stack import Function, outlines
from infra.local.workers.execution_environment import ExecutionEnvironment
from infra.local.workers.invocations import Invocation, Result, WorkerState
from kernel import json_text


class InlineInvoker:
    """An invoker that runs one invocation a `poll`, without timeouts.

    It is an `infra.local.workers.invocations.Invoker`. A handler that ends its process ends the
    engine; ``marker`` records the item that it ran for.
    """

    def __init__(
        self, functions: Mapping[str, Function], log: Path, marker: CrashMarker | None = None
    ) -> None:
        self.offset = 0.0
        self.marker = marker or CrashMarker()
        self.environment = ExecutionEnvironment(outlines(functions), log)
        self._queue: deque[Invocation] = deque()

    def start(self) -> None:
        """Do nothing: a handler is imported at its first call."""

    def submit(self, invocation: Invocation) -> None:
        """Queue an invocation."""
        self._queue.append(invocation)

    def poll(self, timeout: float) -> list[Result]:
        """Run the next invocation; if there is none, wait at most 0.05 seconds."""
        if not self._queue:
            time.sleep(min(timeout, 0.05))
            return []
        invocation = self._queue.popleft()
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

    def elapsed(self, number: int) -> float:  # noqa: ARG002 - as in the protocol
        """Return 0: an invocation ends before `poll` returns."""
        return 0.0

    def wake(self) -> None:
        """Do nothing: `poll` never waits long."""

    def close(self) -> None:
        """Close the log: nothing runs in the background."""
        self.environment.close()

    def processes(self) -> list[int]:
        """Return an empty list: handlers run in the engine's process."""
        return []

    def state(self) -> WorkerState:
        """Return zeros: there are no workers."""
        return WorkerState(0, 0, 0)
