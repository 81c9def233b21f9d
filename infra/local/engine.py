"""The engine: one loop that takes what has come in, decides, commits, and then acts.

A turn collects results, requests and whatever is due; everything that follows from them is
committed as one transaction; only then are functions called and callers answered. So what anybody
was told is in the journal, and a crash at any moment repeats work at most.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

import orjson

from infra.local.bus import Bus, Delivery, DeliveryError, InvalidRequest
from infra.local.clock import Clock, SkippingClock
from infra.local.datadir import DataDirectory
from infra.local.executions import Executions, TaskError
from infra.local.invocations import Done, Invocation, Invoker, Result
from infra.local.journal import Journal
from infra.local.letters import Letters
from infra.local.measurements import Measurements
from infra.local.queues import Queues
from infra.local.schedules import Schedules
from infra.local.stack import Stack, Target
from infra.local.streams import Streams
from shared.sqlite import Database

T = TypeVar("T")

OUTBOX_BATCH = 500
SWEEP = 3_600.0
"""Seconds between two sweeps of what is kept only for a while."""

STRIDE = 5.0
"""Seconds that are skipped beyond what is due next, so that what is due soon comes with it."""

LATENESS = 0.1
"""The same, as a share of the seconds that are skipped: nobody waits longer than by this much."""

UNLIMITED = 1 << 30


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
    """

    def __init__(
        self,
        stack: Stack,
        database: Database,
        directory: DataDirectory,
        invoker: Invoker,
        clock: Clock,
    ) -> None:
        self.stack = stack
        self.clock = clock
        self.invoker = invoker
        self.journal = Journal(database)
        calls = {"sqs:sendMessage": self._send_message, "events:putEvents": self._put_events}
        self.queues = Queues(stack, self.journal, self.invoke)
        self.executions = Executions(stack, self.journal, self.invoke, calls, invoker.ran)
        self.bus = Bus(
            stack,
            self.journal,
            {"queue": self._to_queue, "machine": self._to_machine},
            {"queue": lambda: UNLIMITED, "machine": self.executions.room},
            self.queues.send,
        )
        self.streams = Streams(self.bus, self.invoke, directory.bucket, self._behind)
        self.letters = Letters(self.bus, self.queues, self.executions)
        self._threads = ThreadPoolExecutor(1, "sink")
        self.schedules = Schedules(stack, self.journal, self.invoke, clock.now())
        self.measurements = Measurements(self.journal)
        self._calls: deque[tuple[Callable[[float], Any], Future[Any]]] = deque()
        self._answers: list[tuple[Future[Any], Any]] = []
        self._submissions: list[Invocation] = []
        self._waiting: dict[int, Done] = {}
        self._invocations = 0
        self._outbox_due = True
        self.only_journals = False
        self._sweep_at = 0.0
        self._stopping = threading.Event()
        self.queues.resume()
        self.executions.resume()
        self._commit(clock.now())

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing was asked for that is not done."""
        return not (self._waiting or self._calls or self._outbox_due or self.streams.busy)

    def invoke(self, function: str, payload: Any, done: Done) -> int:
        """Call a function once the turn is committed; ``done`` gets its result in a later turn.

        Returns the invocation's id.
        """
        self._invocations += 1
        self._waiting[self._invocations] = done
        described = self.stack.functions[function]
        invocation = Invocation(self._invocations, described, orjson.dumps(payload))
        self._submissions.append(invocation)
        return invocation.id

    def call(self, request: Callable[[float], T]) -> "Future[T]":
        """Have ``request(now)`` run in the next turn; its answer comes once that is committed.

        Callable from any thread.
        """
        future: Future[T] = Future()
        self._calls.append((request, future))
        self.invoker.wake()
        return future

    def _behind(
        self, work: Callable[[], None], done: Callable[[BaseException | None, float], None]
    ) -> None:
        """Do some work beside the engine; where handlers run in its own process, at once."""
        written = self._threads.submit(work)
        if not self.invoker.processes():
            wait([written])
        written.add_done_callback(lambda one: self.call(partial(done, one.exception())))

    def call_function(self, function: str, payload: Any) -> "Future[Result]":
        """Call a function for somebody outside; callable from any thread."""
        answer: Future[Result] = Future()

        def begin(_: float) -> None:
            if answer.set_running_or_notify_cancel():
                self.invoke(function, payload, lambda result, _: answer.set_result(result))

        self.call(begin)
        return answer

    def turn(self, timeout: float) -> bool:
        """Take one turn, waiting up to ``timeout`` seconds for something to come in.

        Returns whether anything happened.
        """
        self.invoker.offset = self.clock.offset
        results = self.invoker.poll(0 if self._calls or self._outbox_due else timeout)
        now = self.clock.now()
        happened = bool(results)
        for result in results:
            self._take(result, now)
        while self._calls:
            happened = True
            self._answer(*self._calls.popleft(), now)
        if self._outbox_due:
            happened |= self._take_outbox(now)
        if self.only_journals:
            self._commit(now)
            return happened
        for component in (self.bus, self.queues, self.executions, self.streams, self.letters):
            happened |= component.work(now)
        if not self.clock.skips:
            happened |= self.schedules.work(now)
            self._sweep(now)
        self._commit(now)
        return happened

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
        due = [
            self.bus.next_due(self.streams.busy if sink else self.streams.keys),
            self.queues.next_due(),
            self.executions.next_due(),
            self.letters.next_due(),
        ]
        if schedules:
            due.append(self.schedules.next_due())
        return min(due)

    def skip(self, *, sink: bool = True) -> bool:
        """Skip to what is due next; return whether there is anything.

        For a clock that can skip, when nothing else is to be done. Schedules hold no run open.
        """
        assert isinstance(self.clock, SkippingClock)
        due = self.next_due(schedules=False, sink=sink)
        if due == float("inf"):
            return False
        self.clock.skip_to(due + max(STRIDE, LATENESS * (due - self.clock.now())))
        return True

    def run_schedule(self, function: str) -> None:
        """Run a function's schedule now, whenever it is due."""
        for schedule in self.stack.schedules:
            if schedule.function == function:
                self.schedules.run(schedule, self.clock.now())

    def _take(self, result: Result, now: float) -> None:
        done = self._waiting.pop(result.id, None)
        if done is not None:
            self.measurements.add(result, now)
            done(result, now)
        self._outbox_due = True

    def _answer(self, request: Callable[[float], Any], future: "Future[Any]", now: float) -> None:
        if not future.set_running_or_notify_cancel():
            return  # its caller has gone
        mark = self.journal.batch.mark()
        try:
            self._answers.append((future, request(now)))
        except Exception as error:  # noqa: BLE001 - the caller's to handle, whatever it is
            self.journal.batch.rewind(mark)
            future.set_exception(error)

    def _take_outbox(self, now: float) -> bool:
        """Take over what services have put into the outbox, in the turn that removes it."""
        rows = self.journal.database.rows(
            "select id, kind, body from outbox order by id limit ?", OUTBOX_BATCH
        )
        self._outbox_due = len(rows) == OUTBOX_BATCH
        for row in rows:
            try:
                self._send(row["kind"], orjson.loads(row["body"]), now)
            except (KeyError, TypeError, ValueError) as error:
                # one that cannot be sent must not stand in the way of the others for ever
                reason = {"REASON": f"outbox {row['kind']}: {error!r}"}
                self.queues.send(self.stack.dead_letter_queues[-1], row["body"], reason, now)
            self.journal.batch.add("delete from outbox where id = ?", row["id"])
        return bool(rows)

    def _send(self, kind: str, body: Mapping[str, Any], now: float) -> None:
        if kind == "event":
            self.bus.accept(body, orjson.loads(body["Detail"]), now)
        elif kind == "run":
            self._start_run(body, now)
        else:
            queue = self.stack.named("queues", body["queue"])
            self.queues.send(queue, json.dumps(body["body"]), {}, now)

    def _start_run(self, body: Mapping[str, Any], now: float) -> None:
        try:
            self.executions.start(self.order_processing, body["name"], body["input"], now)
        except TaskError as error:
            if not error.error.endswith("ExecutionAlreadyExistsException"):
                raise ValueError(f"{error.error}: {error}") from None
            # else the same run was asked for before

    @property
    def order_processing(self) -> str:
        """The state machine that `Order Created` starts."""
        targets = [target for rule in self.stack.rules for target in rule.targets]
        return next(target.name for target in targets if target.kind == "machine")

    def _to_queue(self, target: Target, delivery: Delivery, now: float) -> None:
        self.queues.send(target.name, delivery.envelope, {}, now)

    def _to_machine(self, target: Target, delivery: Delivery, now: float) -> None:
        name = f"{delivery.event_id}-{delivery.id}"
        try:
            self.executions.start(target.name, name, orjson.loads(delivery.envelope), now)
        except TaskError as error:
            raise DeliveryError(error.error, str(error), final=True) from None

    def _send_message(self, parameters: Mapping[str, Any], now: float) -> Any:
        body = parameters["MessageBody"]
        text = body if isinstance(body, str) else orjson.dumps(body).decode()
        try:
            queue = self.stack.named("queues", parameters["QueueUrl"])
        except KeyError as error:
            raise TaskError("SQS.QueueDoesNotExistException", str(error.args[0])) from None
        return self.queues.send(queue, text, {}, now)

    def _put_events(self, parameters: Mapping[str, Any], now: float) -> Any:
        entries = [
            {**entry, "Detail": orjson.dumps(entry["Detail"]).decode()}
            if isinstance(entry.get("Detail"), dict)
            else entry
            for entry in parameters["Entries"]
        ]
        try:
            answer = self.bus.put(entries, now)
        except InvalidRequest as error:
            raise TaskError(f"EventBridge.{error.code}", str(error)) from None
        if answer["FailedEntryCount"]:
            raise TaskError("EventBridge.FailedEntry", json.dumps(answer["Entries"]))
        return answer

    def _sweep(self, now: float) -> None:
        if self._sweep_at <= now:
            self._sweep_at = now + SWEEP
            self.bus.forget(now)
            self.letters.expire(now)

    def _commit(self, now: float) -> None:
        """Commit the turn, then do what it decided.

        What a function is called upon outlives a power cut, with all that was written before: so
        whatever it does outside, its order is known to have come that far.
        """
        self.executions.flush(now)
        self.measurements.flush()
        self.journal.batch.durable |= bool(self._submissions)
        self.journal.commit()
        self.bus.committed()
        self.queues.backlog.committed()
        self.executions.committed()
        self.streams.committed()
        self.letters.committed()
        submissions, self._submissions = self._submissions, []
        for invocation in submissions:
            self.invoker.submit(invocation)
        answers, self._answers = self._answers, []
        for future, answer in answers:
            future.set_result(answer)
