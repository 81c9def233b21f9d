"""Executions: performs the effects of the workflow interpreter, and journals each step first."""

import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

from infra.asl import (
    CancelTask,
    Effect,
    Ended,
    Execution,
    HistoryEvent,
    RunTask,
    SetTimer,
    Signal,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
)
from infra.asl.errors import RUNTIME
from infra.asl.task_tokens import PATTERN
from infra.local.directory.crash_marker import NO_ITEM, Item, Kind
from infra.local.directory.history_pieces import packed
from infra.local.directory.journal import Journal
from infra.local.engine.backlog import Backlog
from infra.local.engine.component import Component
from infra.local.engine.crash_suspects import Suspects
from infra.local.engine.definitions import Definitions
from infra.local.engine.error_boundary import Boundary, described
from infra.local.engine.execution_rows import (
    END,
    HISTORY,
    INSERT,
    INSERT_ENDED,
    WAKE,
    Redrive,
    arn,
    context_of,
    removed_machine,
)
from infra.local.engine.integrations import FunctionCall, TaskError, TaskIntegration
from infra.local.engine.invoke_answer import invoke_answer
from infra.local.engine.loaded_execution import LoadedExecution
from infra.local.engine.quarantined_orders import HELD, QuarantinedOrders
from infra.local.engine.restored_execution import restored
from infra.local.engine.timer_checks import TimerChecks
from infra.local.orderflow import order_id_in
from infra.local.template.stack import Stack, StateMachine
from infra.local.workers.invocations import Invoke, Result
from kernel import json_text

MAX_LOADED = 400
"""Maximum number of executions in memory; the others wait in the journal."""

UNLOAD_AFTER = 5.0
"""Seconds of waiting from which an idle execution is unloaded."""

MAX_INPUT = 262_144
"""Bytes of an execution's input (Step Functions, Quotas for state machine executions)."""

EXISTS = "StepFunctions.ExecutionAlreadyExistsException"
"""The error of a STANDARD execution whose name is taken."""

End = tuple[str, str, str | None, str | None]
"""The status, output, error and cause of an ended execution."""

_RUNNING = "running"
_LAST = 25_000  # the id of the event that ends a history which cannot be read
_RESPONSE = len('{"ExecutedVersion":"$LATEST","Payload":,"StatusCode":200}')
_WIDEST = 4  # bytes of a character in UTF-8 at most


class Executions(Component):
    """The executions of a stack's state machines.

    ``integrations`` are the services that a task may call, by name; the engine fills it
    (`infra.local.engine.integrations`). ``elapsed`` returns for how many seconds a call has been
    running. No run of ``order_machine`` starts for an order in ``quarantined_orders``.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the engine alone makes one
        self,
        stack: Stack,
        journal: Journal,
        invoke: Invoke,
        boundary: Boundary,
        elapsed: Callable[[int], float],
        quarantined_orders: QuarantinedOrders,
        order_machine: str,
    ) -> None:
        self.stack = stack
        self.elapsed = elapsed
        self.invocation_of_task: dict[tuple[int, int], int] = {}
        self.journal = journal
        self.invoke = invoke
        self.boundary = boundary
        self.integrations: dict[str, TaskIntegration] = {}
        self.quarantined_orders = quarantined_orders
        self.order_machine = order_machine
        self.live: dict[int, LoadedExecution] = {}
        self.backlog = Backlog([_RUNNING])
        self._timer_checks = TimerChecks(self.live)
        self._dirty: dict[int, LoadedExecution] = {}
        self._ended_rows: set[int] = set()
        self._fresh: dict[tuple[str, str], dict[str, Any]] = {}
        self.definitions = Definitions(journal, stack.state_machines)
        self.redriven: dict[int, Redrive] = {}

    def resume(self, suspects: Suspects, now: float) -> None:  # noqa: ARG002
        """Let the executions that were in memory be loaded again."""
        self.journal.batch.add(
            "update executions set wake_at = 0 where status = 'RUNNING' and wake_at is null"
        )
        self.backlog.wake(_RUNNING, 0.0)

    def room(self) -> int:
        """Return how many more executions fit into memory."""
        return MAX_LOADED - len(self.live)

    def new_name(self) -> str:
        """Return a name for an execution whose caller gave none."""
        return str(self.journal.next_id("executions"))

    def start(
        self, machine: str, name: str, body: Any, now: float, *, text: str | None = None
    ) -> str:
        """Start an execution; return its ARN.

        ``text`` is the input's JSON text, if the caller has it.

        Raises
        ------
        TaskError
            A STANDARD execution of this name exists with other input or has ended; or the input
            is too large; or the order is held (`infra.local.engine.quarantined_orders`).
        """
        described, order_id = self.stack.state_machines[machine], order_id_in(body)
        if machine == self.order_machine and self.quarantined_orders.holds(order_id):
            raise TaskError(HELD, f"order {order_id} is held; redrive its dead letter")
        text = json_text.write(body).decode() if text is None else text
        if len(text) * _WIDEST > MAX_INPUT and (size := len(text.encode())) > MAX_INPUT:
            raise TaskError("States.DataLimitExceeded", f"the input has {size} bytes")
        if described.kind == "STANDARD":
            known = self._known(described, name)
            if known is not None:
                if known["status"] == "RUNNING" and known["input"] == text:
                    return arn(described, name, known["id"])
                taken = arn(described, name, known["id"])
                raise TaskError(
                    EXISTS,
                    f"Execution Already Exists: '{taken}'",
                )
        number = self.journal.next_id("executions")
        definition = self.definitions.current[machine]
        row = (number, name, machine, described.kind, definition, order_id, text, now)
        known = {"id": number, "status": "RUNNING", "input": text, "started_at": now}
        self._fresh[machine, name] = known
        self.boundary.undo.append(partial(self._forget, machine, name, number))
        if self.room() > 0:
            self._begin(row, described, body, now)
        else:
            self.journal.batch.add(INSERT, *row, 0.0)
            self.backlog.wake(_RUNNING, 0.0)
        return arn(described, name, number)

    def started_at(self, machine: str, name: str, now: float) -> float:
        """Return when an execution that `start` has returned was started."""
        described = self.stack.state_machines[machine]
        if described.kind == "EXPRESS":
            return now
        started: float = self._known(described, name)["started_at"]
        return started

    def restored(self, row: Any) -> LoadedExecution | None:
        """Return an execution that is not in memory, or None if it has not begun."""
        return restored(self.journal.database, self.definitions, self.stack, row)

    def continue_ended(self, live: LoadedExecution, count: int, now: float) -> None:
        """Redrive an execution that ended (`infra.local.engine.execution_redrive`)."""
        self.live[live.id] = live
        self._continue(live, now, self._redrive, count)

    def _forget(self, machine: str, name: str, number: int) -> None:
        """Undo the start of an execution: the item that started it has failed."""
        self._fresh.pop((machine, name), None)
        self.forget(number)

    def forget(self, number: int) -> None:
        """Undo the changes of a failed item to an execution in this turn."""
        self.live.pop(number, None)
        self._dirty.pop(number, None)
        self.redriven.pop(number, None)
        for call in [call for call in self.invocation_of_task if call[0] == number]:
            del self.invocation_of_task[call]

    def answer_callback(
        self, row: Any, now: float, signal_of: Callable[[Execution], Signal | None]
    ) -> bool:
        """Signal the running execution of a row; return whether its task still waits.

        ``signal_of`` returns the signal for the execution, or None if no task waits.
        """
        if self.has_ended(row["id"]):
            return False
        if row["id"] not in self.live:
            self._load(row, now)
        live = self.live[row["id"]]
        self._dirty[live.id] = live  # unloads it again, if it still waits
        signal = signal_of(live.execution)
        if signal is not None:
            self._advance(live, signal, now)
        return signal is not None

    def has_ended(self, number: int) -> bool:
        """Return whether an execution ended in this turn, so that its row is out of date."""
        return number not in self.live and (number in self._dirty or number in self._ended_rows)

    def stop(self, live: LoadedExecution, error: str | None, cause: str | None, now: float) -> None:
        """End an execution as ABORTED (`infra.local.engine.execution_control`)."""
        self._dirty[live.id] = live
        live.tasks.clear()
        live.timers.clear()
        self._perform(live, live.machine.stop(live.execution, error, cause, now), now)

    def work(self, now: float) -> bool:
        """Fire due timers and load due executions; return whether there was any."""
        worked = False
        for live in self._timer_checks.due(now):
            worked |= self._fire(live, now)
        if self.room() > 0 and self.backlog.is_due(_RUNNING, now):
            worked |= self._load_due(now)
        return worked

    def _fire(self, live: LoadedExecution, now: float) -> bool:
        """Fire the due timers of an execution; return whether there was any."""
        fired = sorted((due, token) for token, due in live.timers.items() if due <= now)
        for due, token in fired:
            if live.timers.get(token) != due:
                continue  # an earlier one has cancelled it
            seconds = self._time_left(live, token)
            if seconds > 0:
                self._set_timer(live, token, now + seconds)
            else:
                self._advance(live, TimerFired(token), now)
        self._timer_checks.set_next(live)
        return bool(fired)

    def _time_left(self, live: LoadedExecution, token: int) -> float:
        """Return the rest of a task's timeout, which begins when a worker begins the call."""
        call, timeout = self.invocation_of_task.get((live.id, token)), live.tasks.get(token)
        return 0.0 if call is None or timeout is None else timeout - self.elapsed(call)

    def next_due(self) -> float:
        """Return when the next timer fires or the next execution is due to be loaded."""
        loading = self.backlog.next_due([_RUNNING] if self.room() > 0 else [])
        return min(self._timer_checks.next(), loading)

    def flush(self, now: float) -> None:
        """Journal the progress of this turn's executions."""
        for live in self._dirty.values():
            self.boundary.marker.enter(live.item)
            mark, row = len(self.journal.batch.added), live.row
            try:
                self._save(live, now)
            except Exception as error:  # noqa: BLE001 - this execution cannot be serialised
                self.journal.batch.rewind(mark)
                live.row = row
                self.boundary.failures.record(Item(Kind.EXECUTION, live.id, live.id), error)
                self._end_unsaved(live, error, now)
        self._dirty.clear()

    def _end_unsaved(self, live: LoadedExecution, error: Exception, now: float) -> None:
        """End an execution that cannot be serialised, with its last event only."""
        self._abort(live, error, now)
        live.execution.rows = live.execution.rows[-1:]  # an earlier one may be the cause
        mark, row = len(self.journal.batch.added), live.row
        try:
            self._save(live, now, redrivable=False)
        except Exception:  # noqa: BLE001 - `flush` has recorded the error
            self.journal.batch.rewind(mark)
            if row is not None:
                self.journal.batch.add(INSERT, *row, None)
            self._fail_row(live.id, _cause(error), now)

    def committed(self) -> None:
        """Make the turn's executions visible to the backlog; their names are in the journal now."""
        self.backlog.committed()
        self._fresh.clear()
        self.redriven.clear()
        self._ended_rows.clear()

    def _known(self, machine: StateMachine, name: str) -> Any:
        return self._fresh.get((machine.name, name)) or self.journal.database.row(
            "select id, status, input, started_at from executions where machine = ? and name = ?",
            machine.name,
            name,
        )

    def _begin(self, row: tuple[Any, ...], machine: StateMachine, body: Any, now: float) -> None:
        number, name, _, _, definition, _, _, started = row
        compiled_machine = self.definitions.compiled[definition]
        context = context_of(machine, number, name, body, started)
        execution = Execution(compiled_machine, context)
        live = LoadedExecution(number, machine.name, compiled_machine, execution)
        live.row = row
        if self.boundary.marker.current is not NO_ITEM:
            live.item = self.boundary.marker.current  # its cause is in the journal, it is not
        self.live[number] = live
        self._continue(live, now, self._enter, body)

    def _load_due(self, now: float) -> bool:
        """Load due executions from the journal."""
        room = self.room()
        rows = self.journal.database.rows(
            "select * from executions where status = 'RUNNING' and wake_at <= ?"
            " order by wake_at, id limit ?",
            now,
            room,
        )
        if len(rows) < room:
            next_row = self.journal.database.row(
                "select min(wake_at) from executions where status = 'RUNNING' and wake_at > ?", now
            )
            self.backlog.rest(_RUNNING, None if next_row is None else next_row[0])
        for row in rows:
            number = row["id"]
            if number in self.live or self.has_ended(number):
                continue
            error = self.boundary.attempt(Kind.EXECUTION, number, self._load, row, now)
            if error is not None:
                self.live.pop(number, None)
                self._dirty.pop(number, None)
                self._fail_row(number, _cause(error), now)
                self._note_row(row, _cause(error), now)
        return bool(rows)

    def _note_row(self, row: Any, cause: str, now: float) -> None:
        with suppress(ValueError):  # its input may be the cause
            self._note(row["machine"], json_text.parse(row["input"]), cause, now, final=False)

    def quarantine(self, number: int, reason: str, now: float) -> None:
        """End an execution as FAILED with States.Runtime, and hold its order.

        One that had ended was being redriven: it gets a last piece of history without a state, so
        another redrive is refused.
        """
        row = self.journal.database.row("select * from executions where id = ?", number)
        if row is not None and row["status"] != "RUNNING":
            self.journal.batch.add(HISTORY, number, packed([], None))
        elif row is not None:
            self._fail_row(number, reason, now)
            self._note(row["machine"], json_text.parse(row["input"]), reason, now, final=True)

    def _note(self, machine: str, body: Any, reason: str, now: float, *, final: bool) -> None:
        """Count a failed run of an order; ``body`` is the run's input."""
        order_id = order_id_in(body)
        if machine == self.order_machine and order_id is not None:
            self.quarantined_orders.note(order_id, body, reason, now, final=final)

    def _fail_row(self, number: int, cause: str, now: float) -> None:
        """End an execution that is not in memory as FAILED."""
        last = HistoryEvent(_LAST, 0, now, "ExecutionFailed", {"error": RUNTIME, "cause": cause})
        self.end_row(number, packed([last.to_row()], None), ("FAILED", "null", RUNTIME, cause), now)

    def end_row(self, number: int, piece: bytes, end: End, now: float) -> None:
        """End an execution that is not in memory, with a last piece of history."""
        self._ended_rows.add(number)
        self.journal.batch.add(HISTORY, number, piece)
        self.journal.batch.add(END, *end, now, number)

    def _load(self, row: Any, now: float) -> None:
        number, live = row["id"], self.restored(row)
        if live is None:
            machine = self.definitions.machine(row["definition"], row["machine"])
            described = self.stack.state_machines.get(row["machine"])
            described, body = described or removed_machine(row, machine), row["input"]
            head = (number, row["name"], row["machine"], row["kind"], row["definition"])
            values = (*head, row["order_id"], row["input"], row["started_at"])
            self._begin(values, described, json_text.parse(body), now)
            live = self._dirty[number]
            live.row = None  # it has its row already
        else:
            self.live[number] = live
            self._continue(live, now, self._resume)
        live.wake_at = row["wake_at"]

    def _advance(self, live: LoadedExecution, signal: Signal, now: float) -> None:
        live.tasks.pop(signal.token, None)
        live.timers.pop(signal.token, None)
        self._continue(live, now, self._receive, signal)

    def _continue(
        self, live: LoadedExecution, now: float, step: Callable[..., None], *arguments: Any
    ) -> None:
        """Run a step of an execution; an error ends this execution alone."""
        self._dirty[live.id] = live
        error = self.boundary.attempt(
            Kind.EXECUTION, live.id, step, live, now, *arguments, marked=live.item
        )
        if error is not None:
            self._abort(live, error, now)

    def _enter(self, live: LoadedExecution, now: float, body: Any) -> None:
        self._perform(live, live.machine.begin(live.execution, body, now), now)

    def _resume(self, live: LoadedExecution, now: float) -> None:
        self._perform(live, live.machine.resume(live.execution, now), now)

    def _redrive(self, live: LoadedExecution, now: float, count: int) -> None:
        self._perform(live, live.machine.redrive(live.execution, count, now), now)

    def _receive(self, live: LoadedExecution, now: float, signal: Signal) -> None:
        self._perform(live, live.machine.advance(live.execution, signal, now), now)

    def _abort(self, live: LoadedExecution, error: Exception, now: float) -> None:
        cause = _cause(error)
        effects = live.machine.abort(live.execution, cause, now)
        live.tasks.clear()
        live.timers.clear()
        self._perform(live, effects, now)
        body = live.execution.context.get("Execution", {}).get("Input")
        self._note(live.name, body, cause, now, final=False)

    def _perform(self, live: LoadedExecution, effects: list[Effect], now: float) -> None:
        """Perform the interpreter's effects; a task that calls no function is answered at once."""
        todo = deque(effects)
        while todo:
            effect = todo.popleft()
            if isinstance(effect, RunTask):
                signal = self._run(live, effect, now)
                if signal is not None:
                    live.tasks.pop(effect.token, None)
                    live.timers.pop(effect.token, None)
                    todo.extend(live.machine.advance(live.execution, signal, now))
            elif isinstance(effect, SetTimer):
                self._set_timer(live, effect.token, effect.due)
            elif isinstance(effect, CancelTask):
                live.tasks.pop(effect.token, None)
                live.timers.pop(effect.token, None)
            elif isinstance(effect, Ended):
                self.live.pop(live.id, None)

    def _set_timer(self, live: LoadedExecution, token: int, due: float) -> None:
        live.timers[token] = due
        self._timer_checks.set(live, due)

    def _run(self, live: LoadedExecution, task: RunTask, now: float) -> Signal | None:
        """Begin a task; return its signal unless a function must answer first."""
        live.tasks[task.token] = task.timeout
        if task.timeout is not None:
            self._set_timer(live, task.token, now + task.timeout)
        integration = self.integrations[_service(task.resource)]
        mark = len(self.journal.batch.added)
        try:
            integration.check(task.parameters)
            answer = integration.call(task, now)
        except TaskError as error:
            self.journal.batch.rewind(mark)
            return TaskFailed(task.token, error.error, str(error))
        if not isinstance(answer, FunctionCall):
            return TaskSucceeded(task.token, answer)
        on_answer = self._answer_wrapped if answer.wrapped else self._answer
        done = partial(on_answer, live.id, task.token)
        item = (Kind.EXECUTION, live.id, live.id)  # by then its cause is handled
        self.invocation_of_task[live.id, task.token] = self.invoke(
            answer.function, answer.payload, done, item
        )
        return None

    def _answer_wrapped(self, number: int, token: int, result: Result, now: float) -> None:
        """Answer a task of ``lambda:invoke`` with the response around the function's payload."""
        if result.error is not None:
            self._answer(number, token, result, now)
            return
        live = self.live.get(number)
        frame = live and live.execution.pending.get(token)
        if frame and frame.state.reads_metadata:
            whole = invoke_answer(result.payload, number, token, now)
            self._signal(number, TaskSucceeded(token, whole), now)
            return
        answer = {"ExecutedVersion": "$LATEST", "Payload": result.payload, "StatusCode": 200}
        size = None if result.size is None else result.size + _RESPONSE
        self._signal(number, TaskSucceeded(token, answer, size), now)

    def _answer(self, number: int, token: int, result: Result, now: float) -> None:
        """Answer a task with a function's payload or error."""
        signal: Signal
        if result.error is not None:
            cause = json.dumps(result.error, separators=(",", ":"))
            signal = TaskFailed(token, result.error["errorType"], cause)
        else:
            signal = TaskSucceeded(token, result.payload, result.size)
        self._signal(number, signal, now)

    def _signal(self, number: int, signal: Signal, now: float) -> None:
        """Signal a task's answer to its execution, unless the task was cancelled."""
        self.invocation_of_task.pop((number, signal.token), None)
        live = self.live.get(number)
        if live is not None and signal.token in live.tasks:
            self._advance(live, signal, now)

    def _may_be_redriven(self, live: LoadedExecution) -> bool:
        machine = self.stack.state_machines.get(live.name)
        is_standard = machine is None or machine.kind == "STANDARD"
        return is_standard and live.execution.status != "SUCCEEDED"

    def _save(self, live: LoadedExecution, now: float, *, redrivable: bool = True) -> None:
        execution = live.execution
        rows = execution.drain_rows()
        running = execution.status == "RUNNING"
        try:
            keeps = running or (redrivable and self._may_be_redriven(live))
            snapshot = execution.snapshot() if keeps else None
            if snapshot is not None:
                del snapshot["context"]  # as the execution's row has it
            piece = packed(rows, snapshot)
            output = "" if running else json_text.write(execution.output).decode()
        except BaseException:
            execution.rows = rows
            raise
        self.journal.batch.add(HISTORY, live.id, piece)
        row, live.row = live.row, None
        live.item = (Kind.EXECUTION, live.id, live.id)
        if running:
            wake_at = self._unload_if_idle(live, now)
            if row is not None:
                self.journal.batch.add(INSERT, *row, wake_at)
            elif wake_at != live.wake_at:
                self.journal.batch.add(WAKE, wake_at, live.id)
            live.wake_at = wake_at
            return
        ended = (output, execution.error, execution.cause, now)
        if row is not None:
            self.journal.batch.add(INSERT_ENDED, *row[:4], execution.status, *row[4:], *ended)
        else:
            self.journal.batch.add(END, execution.status, *ended, live.id)
        execution.release()

    def _unload_if_idle(self, live: LoadedExecution, now: float) -> float | None:
        """Unload an execution that only waits; return when it must be loaded again."""
        if live.tasks or not live.timers:
            return None
        due = min(live.timers.values())
        if due < now + UNLOAD_AFTER:
            return None
        del self.live[live.id]
        self.backlog.wake(_RUNNING, due)
        return due


@lru_cache(1_000)
def _service(resource: str) -> str:
    """Return the integration that a task's resource names."""
    return resource.partition(":::")[2].removesuffix(PATTERN) or "lambda"


def _cause(error: Exception) -> str:
    return f"The engine could not continue this execution: {described(error)}"
