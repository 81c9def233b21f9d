"""The engine: one loop that collects input, decides, commits, and then acts.

A turn collects results, requests and due items; everything that follows from them is committed as
one transaction; only then are functions called and callers answered. So every answer that a caller
gets is in the journal, and a crash at any moment repeats work at most.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

from infra.local.clock import Clock, SkippingClock
from infra.local.directory.crash_marker import NO_ITEM, Item, Kind, Markers
from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.journal import Journal
from infra.local.directory.wal_truncation import IdleTruncation
from infra.local.engine.bus import Bus
from infra.local.engine.component import Component
from infra.local.engine.dead_letters import DeadLetters
from infra.local.engine.engine_parts import EngineParts
from infra.local.engine.error_boundary import Boundary, Failures
from infra.local.engine.executions import Executions
from infra.local.engine.function_calls import FunctionCalls
from infra.local.engine.integrations import INTEGRATIONS
from infra.local.engine.letter_jobs import LetterJobs
from infra.local.engine.local_queues import LocalQueueTarget
from infra.local.engine.local_rules import LocalRules
from infra.local.engine.measures import Measures
from infra.local.engine.metrics import Metrics
from infra.local.engine.outbox import Outbox
from infra.local.engine.outside_targets import OutsideTarget, OutsideTargets
from infra.local.engine.quarantined_orders import QuarantinedOrders
from infra.local.engine.queues import Queues
from infra.local.engine.recovery import Recovery
from infra.local.engine.replays import Replays
from infra.local.engine.schedules import Schedules
from infra.local.engine.streams import Streams
from infra.local.engine.targets import OUTSIDE, TARGETS
from infra.local.engine.upkeep import LONGEST, Upkeep
from infra.local.orderflow import Profile
from infra.local.template.stack import Stack
from infra.local.workers.invocations import Invoker, Result
from storage.sqlite.database import Database

T = TypeVar("T")

SWEEP = 3_600.0
"""Seconds between two deletions of rows that are past their retention."""

NEXT_SWEEP = 1.0
"""The same, if the last one left rows."""

STRIDE = 5.0
"""Seconds that are skipped beyond the next due item, to include items due shortly after."""

LATENESS = 0.1
"""The same, as a share of the skipped seconds: no item is later than this share of its wait."""


class Engine:
    """The platform on one machine.

    Parameters
    ----------
    stack : Stack
        The resources of the template.
    database : Database
        The data directory's database, opened for writing.
    directory : DataDirectory
        Where files go.
    invoker : Invoker
        The port that runs handlers.
    clock : Clock
        The platform's time.
    profile : Profile
        The resources of the stack that have a special role.
    markers : Markers, optional
        The crash markers of this process, with the items of the process before.
    """

    def __init__(  # noqa: PLR0913 - it puts all parts together
        self,
        stack: Stack,
        database: Database,
        directory: DataDirectory,
        invoker: Invoker,
        clock: Clock,
        *,
        profile: Profile,
        markers: Markers | None = None,
    ) -> None:
        self.stack = stack
        self.clock = clock
        self.invoker = invoker
        self.journal = Journal(database)
        self.metrics = Metrics(self.journal)
        markers = markers or Markers()
        self.marker = markers.engine
        self.calls = FunctionCalls(stack, invoker, self.marker)
        failures = Failures(self.journal, self.metrics, directory.log, clock.now)
        self.boundary = Boundary(self.journal, self.calls, failures, self.marker)
        self.profile = profile
        self._add_components(directory, markers)
        self._threads = ThreadPoolExecutor(1, "sink")
        self._requests: deque[tuple[Callable[[float], Any], Future[Any]]] = deque()
        self._answers: list[tuple[Future[Any], Any]] = []
        self.outside.skips = clock.skips
        self.accept_only = False
        self.turned_at = time.monotonic()
        self._sweep_at = 0.0
        self.upkeep: list[Upkeep] = [IdleTruncation((directory.database, directory.sandbox))]
        self._stopping = threading.Event()
        self.quarantined = self._recover(markers.interrupted)

    def _add_components(self, directory: DataDirectory, markers: Markers) -> None:
        profile, parts = self.profile, (self.journal, self.calls.invoke, self.boundary)
        self.queues = Queues(self.stack, *parts)
        self.quarantined_orders = QuarantinedOrders(
            self.journal, self.queues.send, profile, self.boundary.undo
        )
        self.executions = Executions(
            self.stack,
            *parts,
            self.invoker.elapsed,
            self.quarantined_orders,
            profile.order_machine,
        )
        self.measures = Measures(self.journal, self.stack, profile)
        self.bus = Bus(self.stack, self.journal, self.boundary, self.queues.send, self.measures)
        self.parts = EngineParts(self.stack, self.queues, self.bus, self.executions)
        for target in TARGETS:
            self.bus.rule_targets[target.kind] = target(self.parts)
        for kind in OUTSIDE:
            self.bus.rule_targets[kind] = OutsideTarget()
        self.local_queues = LocalQueueTarget(self.journal)
        self.bus.rule_targets[self.local_queues.kind] = self.local_queues
        self.local_rules = LocalRules(self.bus)
        self.outside = OutsideTargets(self.bus, self.call, directory.root / "subscriptions")
        for integration in INTEGRATIONS:
            self.executions.integrations[integration.name] = integration(self.parts)
        self.outbox = Outbox(self.parts, self.boundary, profile)
        self.streams = Streams(
            self.bus,
            self.boundary,
            directory.bucket,
            self._run_in_background,
            markers.background,
        )
        self.schedules = Schedules(self.stack, *parts, self.clock.now())
        self.dead_letters = DeadLetters(self.parts, profile)
        self.letter_jobs = LetterJobs(self.dead_letters, self.boundary)
        self.replays = Replays(self.bus, self.boundary)
        self.components: dict[Kind, Component] = {
            Kind.OUTBOX: self.outbox,
            Kind.DELIVERY: self.bus,
            Kind.MESSAGE: self.queues,
            Kind.EXECUTION: self.executions,
            Kind.RECORD: self.streams,
            Kind.SCHEDULE: self.schedules,
            Kind.LETTER: self.dead_letters,
            Kind.SUBSCRIPTION: self.outside,
            Kind.REPLAY: self.replays,
            Kind.LETTER_JOB: self.letter_jobs,
        }
        self._accepting: dict[Kind, Component] = {Kind.OUTBOX: self.outbox}

    def _recover(self, interrupted: Sequence[Item]) -> list[str]:
        """Resume the work of the process before; return a message for each quarantined item."""
        now = self.clock.now()
        recovery = Recovery(
            self.components,
            self.boundary,
            self.bus.targets,
            self.quarantined_orders,
            self.profile.order_machine,
        )
        messages = recovery.run(interrupted, now)
        self._commit(now)
        return messages

    @property
    def idle(self) -> bool:
        """Whether no function runs, no request is open and no outbox row waits."""
        waiting = self.calls.waiting or self._requests or self.outbox.is_due
        return not (waiting or self.streams.is_writing or self.outside.busy)

    def call(self, request: Callable[[float], T]) -> "Future[T]":
        """Run ``request(now)`` in the next turn; the future gets its answer after the commit.

        Callable from any thread.
        """
        future: Future[T] = Future()
        self._requests.append((request, future))
        self.invoker.wake()
        return future

    def _run_in_background(
        self, work: Callable[[], None], done: Callable[[BaseException | None, float], None]
    ) -> None:
        """Run ``work`` in the background thread; with inline handlers, wait until it has ended."""
        future = self._threads.submit(work)
        if not self.invoker.processes():
            wait([future])
        future.add_done_callback(lambda ended: self.call(partial(done, ended.exception())))

    def put_events(self, entries: object, now: float) -> dict[str, Any]:
        """Answer a PutEvents request from outside; an accepted event makes the directory real."""
        answer = self.bus.put(entries, now)
        if any("EventId" in entry for entry in answer["Entries"]):
            self.journal.make_real()
        return answer

    def call_function(
        self, function: str, payload: Any, *, takes_orders: bool = False
    ) -> "Future[Result]":
        """Call a function for a client; callable from any thread.

        With ``takes_orders`` the function may take an order: the directory is marked as real and
        committed before the call.
        """
        answer: Future[Result] = Future()

        def begin(_: float) -> None:
            if answer.set_running_or_notify_cancel():
                self.calls.invoke(function, payload, lambda result, _: answer.set_result(result))
                if takes_orders:
                    self.journal.make_real()

        self.call(begin)
        return answer

    def turn(self, timeout: float) -> bool:
        """Take one turn; wait up to ``timeout`` seconds for the first result or request.

        Return whether anything happened.
        """
        self.invoker.offset = self.clock.offset
        self.turned_at = time.monotonic()
        results = self.invoker.poll(0 if self._requests or self.outbox.is_due else timeout)
        now = self.clock.now()
        happened = bool(results)
        for result in results:
            self._take(result, now)
        while self._requests:
            happened = True
            self._answer(*self._requests.popleft(), now)
        active = self._accepting if self.accept_only else self.components
        for kind, component in active.items():
            if kind is not Kind.SCHEDULE or not self.clock.skips:
                happened |= self._work(kind, component, now)
        if not (self.accept_only or self.clock.skips):
            self._sweep(now)
        self._commit(now)
        return happened

    def _work(self, kind: Kind, component: Component, now: float) -> bool:
        """Let a component work; after an error outside of any item it works in the next turn."""
        try:
            return component.work(now)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - the other components work
            self.boundary.failures.record(Item(Kind.WORK, kind, kind), error)
            return False

    def run_until_stopped(self) -> None:
        """Take turns until `stop`; the last turn is committed."""
        while not self._stopping.is_set():
            wait = self.next_due(schedules=True) - self.clock.now()
            patience = min(LONGEST, *(task.patience for task in self.upkeep))
            happened = self.turn(min(patience, max(0.0, wait)))
            for task in self.upkeep:
                task.observe(time.monotonic(), busy=happened)

    def stop(self) -> None:
        """End `run_until_stopped`; callable from another thread or a signal handler."""
        self._stopping.set()
        self.invoker.wake()

    def write_measures(self) -> None:
        """Commit the sums that the last turns have not written."""
        now = self.clock.now()
        self.measures.flush(now, force=True)
        self._commit(now)

    def close(self) -> None:
        """Wait until the background thread has written its files."""
        self.outside.close()
        self._threads.shutdown()

    def next_due(self, *, schedules: bool, sink: bool = True) -> float:
        """Return when the next item is due, in epoch seconds; infinity if none is.

        Without ``sink``, deliveries to streams do not count.
        """
        excluded = {None if schedules else Kind.SCHEDULE, None if sink else Kind.RECORD}
        return min(
            component.next_due()
            for kind, component in self.components.items()
            if kind not in excluded
        )

    def skip(self, *, sink: bool = True) -> bool:
        """Skip to the next due item; return whether there is one.

        For an idle engine whose clock can skip. Schedules do not count: they never end.
        """
        due = self.next_due(schedules=False, sink=sink)
        if due == float("inf"):
            return False
        self.skip_to(due + max(STRIDE, LATENESS * (due - self.clock.now())))
        return True

    def skip_to(self, moment: float) -> None:
        """Move the clock forward to a moment; the next turn journals the clock's offset.

        The sums of before belong to their own minute, so they are written with it.
        """
        assert isinstance(self.clock, SkippingClock)
        self.measures.flush(self.clock.now(), force=True)
        self.clock.skip_to(moment)
        self.journal.save_clock_offset(self.clock.offset)

    def run_schedule(self, function: str) -> None:
        """Run a function's schedule now, due or not."""
        for schedule in self.stack.schedules:
            if schedule.function == function:
                self.schedules.run(schedule, self.clock.now())

    def _take(self, result: Result, now: float) -> None:
        """Pass a result to the component that called the function."""
        on_result = self.calls.waiting.pop(result.id, None)
        if on_result is not None:
            if result.metrics:
                self.metrics.add(result, now)
            try:
                on_result(result, now)
            except sqlite3.Error:
                raise
            except Exception as error:  # noqa: BLE001 - any error is this call's alone
                self.boundary.failures.record(Item(Kind.CALL, result.id, result.id), error)
        self.outbox.is_due = True  # the function may have written rows

    def _answer(self, request: Callable[[float], Any], future: "Future[Any]", now: float) -> None:
        if not future.set_running_or_notify_cancel():
            return  # its caller has cancelled it
        error = self.boundary.attempt(Kind.REQUEST, 0, self._handle, request, future, now)
        if error is not None:
            future.set_exception(error)

    def _handle(self, request: Callable[[float], Any], future: "Future[Any]", now: float) -> None:
        self._answers.append((future, request(now)))

    def _sweep(self, now: float) -> None:
        if self._sweep_at <= now:
            self._sweep_at = now + (NEXT_SWEEP if self.bus.forget(now) else SWEEP)
            self.local_queues.forget(now)
            self.dead_letters.expire(now)
            self.letter_jobs.forget(now)
            self.journal.delete_expired(now)
            self.measures.roll_up(now)

    def _commit(self, now: float) -> None:
        """Commit the turn, then call functions and answer callers.

        The commit is synced to disk before any function is called, so a power cut cannot lose the
        state that the function acted on.
        """
        for component in self.components.values():
            component.flush(now)
        self.metrics.flush()
        self.measures.flush(now)
        self.journal.batch.durable |= bool(self.calls)
        self.marker.enter(NO_ITEM)
        self.journal.commit()
        self.boundary.undo.clear()
        for component in self.components.values():
            component.committed()
        self.calls.submit()
        answers, self._answers = self._answers, []
        for future, answer in answers:
            future.set_result(answer)
