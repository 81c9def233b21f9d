"""The engine: one loop that takes what has come in, decides, commits, and then acts.

A turn collects results, requests and whatever is due; everything that follows from them is
committed as one transaction; only then are functions called and callers answered. So what anybody
was told is in the journal, and a crash at any moment repeats work at most.
"""

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

from infra.local.directory.data_directory import DataDirectory
from infra.local.directory.journal import Journal
from infra.local.engine.bus import Bus
from infra.local.engine.clock import Clock, SkippingClock
from infra.local.engine.component import Component
from infra.local.engine.crash_marker import NOTHING, Item, Kind, Markers
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.dead_letters import Letters
from infra.local.engine.error_boundary import Boundary, Failures, described
from infra.local.engine.execution_rows import order_id_in
from infra.local.engine.executions import EXISTS, Executions
from infra.local.engine.function_calls import Calls
from infra.local.engine.integrations import INTEGRATIONS, Platform, TaskError
from infra.local.engine.metrics import Measurements
from infra.local.engine.quarantined_orders import HELD, QuarantinedOrders
from infra.local.engine.queues import Queues
from infra.local.engine.schedules import Schedules
from infra.local.engine.streams import Streams
from infra.local.engine.targets import TARGETS
from infra.local.template.stack import Stack
from infra.local.workers.invocations import Invoker, Result
from kernel import json_text
from storage.sqlite.database import Database

T = TypeVar("T")

OUTBOX_BATCH = 500
SWEEP = 3_600.0
"""Seconds between two sweeps of what is kept only for a while."""

STRIDE = 5.0
"""Seconds that are skipped beyond what is due next, so that what is due soon comes with it."""

QUARANTINE = "QuarantineQueue"
"""Where the platform puts orders that it does not try again."""

_DELETE_OUTBOX = "delete from outbox where id = ?"

LATENESS = 0.1
"""The same, as a share of the seconds that are skipped: nobody waits longer than by this much."""


class Engine:
    """The platform on one machine.

    Parameters
    ----------
    stack : Stack
        What the template asks for.
    database : Database
        The data directory's, opened for writing.
    directory : DataDirectory
        Where files go.
    invoker : Invoker
        Who runs handlers.
    clock : Clock
        What time it is.
    markers : Markers, optional
        Where the items that are handled are noted, and those of the process before.
    """

    def __init__(  # noqa: PLR0913 - it puts all parts together
        self,
        stack: Stack,
        database: Database,
        directory: DataDirectory,
        invoker: Invoker,
        clock: Clock,
        *,
        markers: Markers | None = None,
    ) -> None:
        self.stack = stack
        self.clock = clock
        self.invoker = invoker
        self.journal = Journal(database)
        self.measurements = Measurements(self.journal)
        markers = markers or Markers()
        self.marker = markers.engine
        self.calls = Calls(stack, invoker, self.marker)
        failures = Failures(self.journal, self.measurements, directory.log, clock.now)
        self.boundary = Boundary(self.journal, self.calls, failures, self.marker)
        parts = (self.journal, self.calls.invoke, self.boundary)
        self.queues = Queues(stack, *parts)
        self.executions = Executions(stack, *parts, invoker.elapsed)
        self.bus = Bus(stack, self.journal, self.boundary, self.queues.send)
        for taker in TARGETS.values():
            self.bus.takers[taker.kind] = taker(self.queues, self.executions)
        platform = Platform(stack, self.queues, self.bus, self.executions)
        for integration in (one(platform) for one in INTEGRATIONS):
            self.executions.integrations[integration.name] = integration
        self.quarantine = QuarantinedOrders(self.journal, self._hold)
        self.executions.quarantine = self.quarantine
        self.executions.quarantined_machine = self.order_processing
        self.streams = Streams(
            self.bus, self.boundary, directory.bucket, self._run_in_background, markers.background
        )
        self._threads = ThreadPoolExecutor(1, "sink")
        self.schedules = Schedules(stack, *parts, clock.now())
        self.letters = Letters(self.bus, self.queues, self.executions)
        self.components: dict[Kind, Component] = {
            Kind.DELIVERY: self.bus,
            Kind.MESSAGE: self.queues,
            Kind.EXECUTION: self.executions,
            Kind.RECORD: self.streams,
            Kind.SCHEDULE: self.schedules,
            Kind.LETTER: self.letters,
        }
        self._requests: deque[tuple[Callable[[float], Any], Future[Any]]] = deque()
        self._answers: list[tuple[Future[Any], Any]] = []
        self._outbox_due = True
        self.accept_only = False
        self._sweep_at = 0.0
        self._stopping = threading.Event()
        self.put_aside: list[str] = []
        self._resume(markers.left)

    def _resume(self, left: Sequence[Item]) -> None:
        """Take up the work of the process before; put aside what ended it twice."""
        now = self.clock.now()
        suspects = Suspects(self.journal, left, now)
        self.queues.alone, self.streams.suspects = suspects.messages, suspects.records
        for item in suspects.to_put_aside:
            self._put_aside(item, now)
        for component in self.components.values():
            component.resume(now)
        self._commit(now)

    def _put_aside(self, item: Item, now: float) -> None:
        """End an item as its own failure would, and say so."""
        reason = f"handling {item} ended the process twice; it is not tried again"
        self.put_aside.append(f"{item}: {reason}")
        for number in range(item.first, item.last + 1):
            if item.kind is Kind.OUTBOX:
                action: Callable[..., object] = self._put_outbox_aside
            elif item.kind in self.components:
                action = self.components[item.kind].put_aside
            else:
                break  # a request, or an event that was not journalled: it went with its process
            self._hold_order_of(item.kind, number, reason, now)
            self.boundary.attempt(item.kind, number, action, number, reason, now)
        self.boundary.failures.add(item, "ProcessEnded", reason)

    def _hold_order_of(self, kind: Kind, number: int, reason: str, now: float) -> None:
        """Hold the order whose run a delivery or an outbox row would start."""
        database, given = self.journal.database, None
        if kind is Kind.DELIVERY:
            row = database.row(
                "select d.target, e.envelope from deliveries d"
                " join events e on e.seq = d.event_seq where d.id = ?",
                number,
            )
            if row is not None and self._starts_orders(row["target"]):
                given = json_text.parse(row["envelope"])
        elif kind is Kind.OUTBOX:
            row = database.row("select body from outbox where id = ? and kind = 'run'", number)
            given = row and json_text.parse(row["body"]).get("input")
        self.quarantine.hold(order_id_in(given), reason, now)

    def _starts_orders(self, key: str) -> bool:
        target = self.bus.targets.get(key)
        return target is not None and target.name == self.order_processing

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing was asked for that is not done."""
        waiting = self.calls.waiting or self._requests or self._outbox_due
        return not (waiting or self.streams.is_writing)

    def call(self, request: Callable[[float], T]) -> "Future[T]":
        """Have ``request(now)`` run in the next turn; its answer comes once that is committed.

        Callable from any thread.
        """
        future: Future[T] = Future()
        self._requests.append((request, future))
        self.invoker.wake()
        return future

    def _run_in_background(
        self, work: Callable[[], None], done: Callable[[BaseException | None, float], None]
    ) -> None:
        """Do some work beside the engine; where handlers run in its own process, at once."""
        written = self._threads.submit(work)
        if not self.invoker.processes():
            wait([written])
        written.add_done_callback(lambda one: self.call(partial(done, one.exception())))

    def put_events(self, entries: object, now: float) -> dict[str, Any]:
        """Answer a PutEvents request from outside: an event makes the directory a real one."""
        answer = self.bus.put(entries, now)
        if any("EventId" in entry for entry in answer["Entries"]):
            self.journal.make_real()
        return answer

    def call_function(
        self, function: str, payload: Any, *, takes_orders: bool = False
    ) -> "Future[Result]":
        """Call a function for somebody outside; callable from any thread.

        With ``takes_orders`` the function may take an order: that the directory is a real one is
        committed before the function is called.
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
        """Take one turn, waiting up to ``timeout`` seconds for something to come in.

        Returns whether anything happened.
        """
        self.invoker.offset = self.clock.offset
        results = self.invoker.poll(0 if self._requests or self._outbox_due else timeout)
        now = self.clock.now()
        happened = bool(results)
        for result in results:
            self._take(result, now)
        while self._requests:
            happened = True
            self._answer(*self._requests.popleft(), now)
        if self._outbox_due:
            happened |= self._take_outbox(now)
        if self.accept_only:
            self._commit(now)
            return happened
        for kind, component in self.components.items():
            if kind is not Kind.SCHEDULE or not self.clock.skips:
                happened |= self._work(kind, component, now)
        if not self.clock.skips:
            self._sweep(now)
        self._commit(now)
        return happened

    def _work(self, kind: Kind, component: Component, now: float) -> bool:
        """Let a component work; an error outside of any item leaves it for the next turn."""
        try:
            return component.work(now)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - the other components go on
            self.boundary.failures.record(Item(Kind.WORK, kind, kind), error)
            return False

    def run_until_stopped(self) -> None:
        """Take turns until `stop`; then end after what was begun is journalled."""
        while not self._stopping.is_set():
            wait = self.next_due(schedules=True) - self.clock.now()
            self.turn(min(1.0, max(0.0, wait)))

    def stop(self) -> None:
        """End `run_until_stopped`; callable from another thread or a signal handler."""
        self._stopping.set()
        self.invoker.wake()

    def close(self) -> None:
        """Wait for the file that is being written, if one is."""
        self._threads.shutdown()

    def next_due(self, *, schedules: bool, sink: bool = True) -> float:
        """Return when something is due next, in epoch seconds; infinity if nothing ever is.

        Without ``sink``, a delivery to a stream is nothing to wait for.
        """
        left_out = {None if schedules else Kind.SCHEDULE, None if sink else Kind.RECORD}
        return min(
            component.next_due()
            for kind, component in self.components.items()
            if kind not in left_out
        )

    def skip(self, *, sink: bool = True) -> bool:
        """Skip to what is due next; return whether there is anything.

        For a clock that can skip, when nothing else is to be done. Schedules hold no run open.
        """
        due = self.next_due(schedules=False, sink=sink)
        if due == float("inf"):
            return False
        self.skip_to(due + max(STRIDE, LATENESS * (due - self.clock.now())))
        return True

    def skip_to(self, moment: float) -> None:
        """Move the clock forward to a moment; the next turn journals how far it is ahead."""
        assert isinstance(self.clock, SkippingClock)
        self.clock.skip_to(moment)
        self.journal.save_clock_offset(self.clock.offset)

    def run_schedule(self, function: str) -> None:
        """Run a function's schedule now, whenever it is due."""
        for schedule in self.stack.schedules:
            if schedule.function == function:
                self.schedules.run(schedule, self.clock.now())

    def _take(self, result: Result, now: float) -> None:
        """Hand a result to the component that asked for it."""
        done = self.calls.waiting.pop(result.id, None)
        if done is not None:
            self.measurements.add(result, now)
            try:
                done(result, now)
            except sqlite3.Error:
                raise
            except Exception as error:  # noqa: BLE001 - the call's own, whatever it is
                self.boundary.failures.record(Item(Kind.CALL, result.id, result.id), error)
        self._outbox_due = True

    def _answer(self, request: Callable[[float], Any], future: "Future[Any]", now: float) -> None:
        if not future.set_running_or_notify_cancel():
            return  # its caller has gone
        error = self.boundary.attempt(Kind.REQUEST, 0, self._ask, request, future, now)
        if error is not None:
            future.set_exception(error)

    def _ask(self, request: Callable[[float], Any], future: "Future[Any]", now: float) -> None:
        self._answers.append((future, request(now)))

    def _take_outbox(self, now: float) -> bool:
        """Take over what services have put into the outbox, in the turn that removes it."""
        rows = self.journal.database.rows(
            "select id, kind, body from outbox order by id limit ?", OUTBOX_BATCH
        )
        self._outbox_due = len(rows) == OUTBOX_BATCH
        for row in rows:
            error = self.boundary.attempt(Kind.OUTBOX, row["id"], self._send, row, now)
            if error is None:
                self.journal.batch.add(_DELETE_OUTBOX, row["id"])
            else:
                # one that cannot be sent must not hold up the others for ever
                self._give_up(row, f"outbox {row['kind']}: {described(error)}", now)
        return bool(rows)

    def _give_up(self, row: Any, reason: str, now: float) -> None:
        """Replace an outbox row by a dead letter with the reason."""
        letters = self.stack.dead_letter_queues[-1]
        self.queues.send(letters, row["body"], {"REASON": reason}, now)
        self.journal.batch.add(_DELETE_OUTBOX, row["id"])

    def _put_outbox_aside(self, number: int, reason: str, now: float) -> None:
        query = "select id, kind, body from outbox where id = ?"
        row = self.journal.database.row(query, number)
        if row is not None:
            self._give_up(row, reason, now)

    def _send(self, row: Any, now: float) -> None:
        kind, body = row["kind"], json_text.parse(row["body"])
        if kind == "event":
            self.bus.accept(body, now)
        elif kind == "run":
            self._start_run(body, now)
        else:
            queue = self.stack.name_of("queues", body["queue"])
            self.queues.send(queue, json.dumps(body["body"]), {}, now)

    def _start_run(self, body: Mapping[str, Any], now: float) -> None:
        name: Any = body["name"]
        if not isinstance(name, str):
            raise TypeError(f"a run's name is text, not {type(name).__name__}")
        try:
            self.executions.start(self.order_processing, name, body["input"], now)
        except TaskError as error:
            if error.error not in (EXISTS, HELD):
                raise TaskError(error.error, f"{error.error}: {error}") from None
            # else the same run was asked for before, or the order has a letter

    @property
    def order_processing(self) -> str:
        """The state machine that `Order Created` starts."""
        targets = [target for rule in self.stack.rules for target in rule.targets]
        return next((target.name for target in targets if target.kind == "machine"), "")

    def _hold(self, order_id: str, given: Any, reason: str, now: float) -> None:
        """Put an order that is not tried again into the quarantine queue, as its consumer would."""
        told = {"error": "OrderHeld", "message": f"order {order_id}: {reason}"}
        letter = {"reason": told, "consumer": "order_processing", "event": given}
        letters = self.stack.dead_letter_queues
        queue = QUARANTINE if QUARANTINE in letters else letters[-1]
        self.queues.send(queue, json_text.write(letter).decode(), {}, now)

    def _sweep(self, now: float) -> None:
        if self._sweep_at <= now:
            self._sweep_at = now + SWEEP
            self.bus.forget(now)
            self.letters.expire(now)
            self.journal.delete_expired(now)

    def _commit(self, now: float) -> None:
        """Commit the turn, then do what it decided.

        The commit is synced to disk before any function is called, so a power cut cannot lose the
        state that the function acted on.
        """
        self.executions.flush(now)
        self.measurements.flush()
        self.journal.batch.durable |= bool(self.calls)
        self.marker.enter(NOTHING)
        self.journal.commit()
        self.boundary.undo.clear()
        for component in self.components.values():
            component.committed()
        self.calls.submit()
        answers, self._answers = self._answers, []
        for future, answer in answers:
            future.set_result(answer)
