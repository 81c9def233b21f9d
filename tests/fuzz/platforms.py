"""Platforms that take examples one after another; no example may affect another.

After each example the platform becomes idle, nothing is stuck, and a plain order, event and message
are processed; after every tenth a restart works. A platform that an example broke is replaced.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kernel.clock
from infra.local.clock import SkippingClock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.stack_loader import load
from infra.local.template.stack import Stack
from tests.fakes.runtime import TEMPLATE, Handler, Rig, entry, write_definition
from tests.faults.scene import forget, let_go
from tests.host import Host, host, order

RESTART_EVERY = 10
"""Examples after which the platform is restarted."""

SKIPPED = 3_600.0
"""Maximum seconds to skip at once: work that is due later may wait."""


class Platform(ABC):
    """A platform in a folder, reopened in a new one after an example broke it."""

    engine: Engine

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.examples = 0
        self.expected: set[str] = set()  # kinds of items that may fail within the boundary
        self._opened = 0
        self._sound = False

    @contextmanager
    def example(self) -> Iterator[None]:
        """Run an example, then check that other work is unaffected."""
        if not self._sound:
            self.close()
            self._opened += 1
            self.open(self.folder / str(self._opened))
        self._sound = False
        yield
        self.check()
        self.examples += 1
        if self.examples % RESTART_EVERY == 0:
            self.rest(sink=True)
            self.restart()
            self.check()
        self._sound = True

    def check(self) -> None:
        """Check that nothing is stuck or failed unexpectedly, and that plain work succeeds."""
        self.rest()
        self.check_plain_work()
        failures = [row for row in self.failures() if row["kind"] not in self.expected]
        assert not failures, failures
        now = self.engine.clock.now()
        assert self.rows("select id, body from outbox") == []
        query = "select id, machine, name, wake_at from executions where status = 'RUNNING'"
        running = self.rows(query)
        stuck = [row for row in running if not self._waits(row, now)]
        assert not stuck, f"executions that nothing resumes: {stuck}"

    def _waits(self, execution: Mapping[str, Any], now: float) -> bool:
        """Return whether a running execution only waits for a timer."""
        live = self.engine.executions.live.get(execution["id"])
        if live is None:
            return execution["wake_at"] is not None and execution["wake_at"] > now
        return bool(live.timers) and min(live.timers.values()) > now

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Return a query's rows."""
        return [dict(row) for row in self.engine.journal.database.rows(query, *parameters)]

    def failures(self) -> list[dict[str, Any]]:
        """Return the items that failed within the engine's error boundary."""
        return self.rows("select kind, item, error, message, traceback from failures")

    @abstractmethod
    def open(self, folder: Path) -> None:
        """Open a platform in a new folder."""

    @abstractmethod
    def close(self) -> None:
        """Close the platform, if one is open."""

    @abstractmethod
    def restart(self) -> None:
        """Open the same folder in a new process."""

    @abstractmethod
    def rest(self, *, sink: bool = False, within: float = float("inf")) -> None:
        """Take turns until nothing is due soon, or for ``within`` seconds.

        Only with ``sink``, wait for deliveries to streams.
        """

    @abstractmethod
    def check_plain_work(self) -> None:
        """Submit plain work, and check that it is done."""


class Shipped(Platform):
    """The shipped template with its handlers, in this process."""

    host: Host

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._context: Any = None
        self._plain = 0

    def open(self, folder: Path) -> None:
        forget()
        self._root = folder
        self._clock = SkippingClock()
        self._enter()
        self.host.receive(TEA=10_000_000)

    def _enter(self) -> None:
        self._context = host(self._root, clock=self._clock)
        self.host = self._context.__enter__()
        self.engine = self.host.engine

    def close(self) -> None:
        if self._context is not None:
            let_go(self.host)
            self._context.__exit__(None, None, None)
            self._context = None
            kernel.clock.shift(0.0)

    def restart(self) -> None:
        self.close()
        forget()
        self._enter()

    def stopped(self, look: Callable[[Path], None]) -> None:
        """Call ``look`` with the data directory while the platform is closed."""
        self.close()
        look(self._root)
        forget()
        self._enter()

    def rest(self, *, sink: bool = False, within: float = float("inf")) -> None:
        engine = self.engine
        end = engine.clock.now() + within
        while True:
            worked = engine.turn(0.0)
            if worked or not engine.idle:
                continue
            due = engine.next_due(schedules=False, sink=sink)
            if due > min(end, engine.clock.now() + SKIPPED):
                return
            engine.skip(sink=sink)

    def put(self, entries: list[dict[str, Any]]) -> "Future[dict[str, Any]]":
        """Put entries on the bus; return the answer of PutEvents."""
        answer = self.engine.call(lambda now: self.engine.bus.put(entries, now))
        self.engine.turn(0.0)
        return answer

    def letters(self, about: str) -> list[dict[str, Any]]:
        """Return the dead letters whose body contains a text."""
        return [letter for letter in self.host.dead_letters() if about in letter["body"]]

    def failed(self, name: str) -> bool:
        """Return whether an execution failed whose name begins so."""
        query = "select 1 from executions where status <> 'SUCCEEDED' and name like ? || '%'"
        return bool(self.rows(query, name))

    def check_plain_work(self) -> None:
        self._plain += 1
        number = f"PLAIN-{self._plain}"
        [answer] = self.host.put(order(number))
        assert "EventId" in answer, answer
        self.rest()
        assert self.host.status(number) == "COMPLETED", self.host.paths(number)


class Small(Platform):
    """The small template, with functions that the test replaces."""

    rig: Rig

    def __init__(
        self,
        folder: Path,
        *,
        template: str = TEMPLATE,
        files: Mapping[str, Mapping[str, Any]] | None = None,
        handlers: Mapping[str, Handler] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(folder)
        self.handlers: dict[str, Handler] = {"Worker": lambda _: None, "Step": lambda event: event}
        self.handlers |= {"Tick": lambda _: None, "Other": lambda _: None, **(handlers or {})}
        self.template, self.files, self.options = template, files or {}, options
        self._stack: Stack | None = None
        self._open = False
        self._plain = 0

    def open(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, definition in self.files.items():
            write_definition(folder, name, definition)
        options = {"stack": self._load, **self.options}
        self.rig = Rig(folder, handlers=self.handlers, template=self.template, **options)
        self.rig.failures_expected = True  # `check` reads them after each example
        self.engine = self.rig.engine
        self._open = True

    def _load(self, directory: DataDirectory) -> Stack:
        """Return the template's stack, read once: no handler needs the directory's paths."""
        if self._stack is None:
            path = directory.root.parent / "template.yaml"
            self._stack = load(path, {}, directory.local_value)
        return self._stack

    def close(self) -> None:
        if self._open:
            self.rig.close()
            self._open = False

    def restart(self) -> None:
        self.rig.restart()
        self.engine = self.rig.engine

    def rest(self, *, sink: bool = False, within: float = float("inf")) -> None:
        rig = self.rig
        end = rig.clock.now() + within
        for _ in range(100):
            rig.settle()
            due = rig.engine.next_due(schedules=False, sink=sink)
            if due > min(end, rig.clock.now() + SKIPPED):
                return
            rig.clock.time = max(due, rig.clock.time)
        raise AssertionError("the engine does not become idle")

    def check_plain_work(self) -> None:
        self._plain += 1
        done = len(self.rig.functions.of("Worker"))
        flows = [entry("Flow", '{"order_id": "A-1"}'), entry("Work")]
        assert self.rig.put(*flows)["FailedEntryCount"] == 0
        self.rig.start(f"plain-{self._plain}", {"order_id": "A-1"})
        self.rig.settle()
        assert len(self.rig.functions.of("Worker")) == done + 1
        assert self.rig.execution(f"plain-{self._plain}")["status"] == "SUCCEEDED"
        [newest] = self.rig.rows("select status, name from executions order by id desc limit 1")
        assert newest["status"] == "SUCCEEDED"
