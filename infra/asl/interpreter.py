"""The interpreter: it applies one signal to an execution and returns the effects to perform.

It is sans-IO: it never calls, sleeps, writes or reads a clock; the host performs the effects.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from infra.asl import redrive, task_tokens
from infra.asl.effects import (
    EXECUTION_TIMER,
    CancelTask,
    Effect,
    Ended,
    Heartbeat,
    RunTask,
    SetTimer,
    Signal,
    Status,
    TimerFired,
)
from infra.asl.errors import (
    DATA_LIMIT_EXCEEDED,
    RUNTIME,
    TIMEOUT,
    DataLimitExceeded,
    StateFailure,
    TerminalFailure,
)
from infra.asl.execution import Execution, Frame
from infra.asl.expressions.values import JSON, exceeds_data_limit
from infra.asl.states.state import StateTable
from infra.asl.variables import MAX_BYTES, could_exceed

Started: TypeAlias = tuple[Execution, list[Effect]]

_ANSWERED = ("task", "callback")
"""The reasons to wait that an answer ends."""

_ENDS = {
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "ABORTED": "ExecutionAborted",
}
"""The last event of a history, by the status of an execution that did not succeed."""

_MAX_EVENTS = 25_000  # "Service quotas" of AWS Step Functions: events of one execution


@dataclass(frozen=True, slots=True)
class Machine:
    """A state machine, compiled by `compile_definition`; it has no state of any execution."""

    name: str
    table: StateTable
    timeout: float | None
    random: Callable[[], float]

    def start(self, input: JSON, context: JSON, now: float) -> Started:  # noqa: A002
        """Start an execution.

        ``context`` has ``Execution`` and ``StateMachine`` of the context object.
        """
        execution = Execution(self, context)
        return execution, self.begin(execution, input, now)

    def begin(self, execution: Execution, input: JSON, now: float) -> list[Effect]:  # noqa: A002
        """Begin an execution that has its context only."""
        advance = Advance(execution, now)
        advance.begin(input)
        return advance.run()

    def advance(self, execution: Execution, signal: Signal, now: float) -> list[Effect]:
        """Apply one signal; a signal with an unknown token is ignored."""
        advance = Advance(execution, now)
        advance.take(signal)
        return advance.run()

    def abort(self, execution: Execution, cause: str, now: float) -> list[Effect]:
        """End an execution as FAILED with ``States.Runtime`` and cancel its tasks and timers."""
        advance = Advance(execution, now)
        advance.end("FAILED", None, RUNTIME, cause)
        return advance.effects

    def stop(
        self, execution: Execution, error: str | None, cause: str | None, now: float
    ) -> list[Effect]:
        """End an execution as ABORTED, as StopExecution does, and cancel its tasks and timers."""
        advance = Advance(execution, now)
        execution.root.last_id = 0
        advance.end("ABORTED", None, error, cause)
        return advance.effects

    def redrive(self, execution: Execution, count: int, now: float) -> list[Effect]:
        """Continue an execution that did not succeed, as RedriveExecution does.

        ``execution`` is restored from the snapshot at its end; ``count`` is the number of its
        redrives with this one.
        """
        advance = Advance(execution, now)
        redrive.continue_execution(advance, count)
        return advance.run()

    def resume(self, execution: Execution, now: float) -> list[Effect]:
        """Return the effects that a restarted host must perform again, as first requested."""
        advance = Advance(execution, now)
        if execution.times_out_at is not None:
            advance.effects.append(SetTimer(EXECUTION_TIMER, execution.times_out_at))
        for _, frame in sorted(execution.pending.items()):
            advance.request(frame)
        return advance.effects


class Advance:
    """One call of the interpreter: the execution advances until each frame waits or has ended."""

    __slots__ = ("effects", "execution", "now", "ready")

    def __init__(self, execution: Execution, now: float) -> None:
        self.execution = execution
        self.now = execution.now = now
        self.effects: list[Effect] = []
        self.ready: deque[Frame] = deque()

    def begin(self, data: JSON) -> None:
        """Enter the first state with the input of the execution."""
        execution, root = self.execution, self.execution.root
        role = execution.context.get("Execution", {}).get("RoleArn")
        details = {"input": data} if role is None else {"input": data, "roleArn": role}
        self.record(root, "ExecutionStarted", details)
        root.last_id = 0  # AWS lets the first state's event follow event 0
        if execution.machine.timeout is not None:
            execution.times_out_at = self.now + execution.machine.timeout
            self.effects.append(SetTimer(EXECUTION_TIMER, execution.times_out_at))
        root.input = data
        self.ready.append(root)

    def take(self, signal: Signal) -> None:
        """Pass a signal to the state that waits for it."""
        execution = self.execution
        if signal.token == EXECUTION_TIMER and execution.times_out_at is not None:
            execution.root.last_id = 0
            execution.times_out_at = None
            self.end("TIMED_OUT", None, None, None)
            return
        frame = execution.pending.get(signal.token)
        if frame is None or (
            frame.activity not in _ANSWERED and not isinstance(signal, TimerFired)
        ):
            return
        if isinstance(signal, Heartbeat):
            self._prolong(frame)
            return
        retry = frame.activity == "retry"
        self._settle(frame)
        if retry:
            self.guard(frame, frame.state.enter, self, frame)
        elif frame.state.on_answer is not None:
            self.guard(frame, frame.state.on_answer, self, frame, signal)

    def _prolong(self, frame: Frame) -> None:
        """Start a frame's heartbeat timer anew."""
        if frame.callback is not None:
            frame.due = task_tokens.due(frame.callback, self.now)
            self.effects.append(SetTimer(frame.token, frame.due))

    def run(self) -> list[Effect]:
        """Enter states until no frame is ready; return the effects."""
        while self.ready:
            frame = self.ready.popleft()
            if not frame.alive:
                continue
            if frame.redriven:
                redrive.run_again(self, frame)
            else:
                self._enter(frame)
        return self.effects

    def _enter(self, frame: Frame) -> None:
        state = frame.state
        if self.execution.last_event_id >= _MAX_EVENTS - 1:
            problem = f"The execution reached the maximum number of history events ({_MAX_EVENTS})."
            self.end("FAILED", None, RUNTIME, problem)
            return
        frame.entered_at = self.now
        if state.retriers is not None:
            frame.attempts = [0] * len(state.retriers)
        details = {"name": state.name, "input": frame.input}
        frame.entered_id = self.record(frame, f"{state.kind}StateEntered", details)
        self.guard(frame, state.enter, self, frame)

    def guard(self, frame: Frame, action: Callable[..., None], *arguments: Any) -> None:
        """Call ``action``; a StateFailure that it raises fails the frame's state."""
        try:
            action(*arguments)
        except StateFailure as failure:
            self.fail(frame, _located(frame, failure))

    def record(self, frame: Frame, kind: str, details: dict[str, JSON]) -> int:
        """Append an event after the frame's last one; return its id."""
        execution = self.execution
        execution.last_event_id = event_id = execution.last_event_id + 1
        execution.rows.append([event_id, frame.last_id, self.now, kind, details])  # a HistoryEvent
        frame.last_id = event_id
        return event_id

    def wait(self, frame: Frame, activity: str, due: float | None) -> None:
        """Wait for the task of ``frame.request`` for ``due`` seconds, or for a timer until ``due``.

        ``activity`` is ``"task"``, ``"callback"``, ``"wait"`` or ``"retry"``.
        """
        execution = self.execution
        execution.last_token = frame.token = execution.last_token + 1
        frame.activity, frame.due = activity, due
        execution.pending[frame.token] = frame
        self.request(frame)

    def request(self, frame: Frame) -> None:
        """Append the effect for the task or timer that a frame waits for."""
        if frame.activity == "task":
            task = (frame.token, frame.state.resource, frame.request, frame.due)
            about = (frame.state.name, sum(frame.attempts), self.execution.context)
            self.effects.append(RunTask(*task, *about))
        elif frame.due is not None:
            self.effects.append(SetTimer(frame.token, frame.due))

    def _settle(self, frame: Frame) -> None:
        del self.execution.pending[frame.token]
        frame.activity, frame.due, frame.request = "", None, None

    def leave(self, frame: Frame, output: JSON, assigned: JSON, successor: str | None) -> None:
        """Leave the frame's state for its successor, or end the frame.

        Raises
        ------
        DataLimitExceeded
            The output or the assigned variables exceed 256 KiB; the frame is unchanged.
        """
        state = frame.state
        # an input is an earlier output, which was measured
        if output is not frame.input and exceeds_data_limit(output):
            raise DataLimitExceeded(state.name, "returned a result")
        if assigned and exceeds_data_limit(assigned):
            raise DataLimitExceeded(state.name, "assigned variables")
        variables = {**frame.variables, **assigned} if assigned else frame.variables
        if assigned and could_exceed(variables) and exceeds_data_limit(variables, None, MAX_BYTES):
            raise DataLimitExceeded(state.name, "stored variables")
        details = {"name": state.name, "output": output}
        if assigned:
            details["assignedVariables"] = assigned
            frame.variables = variables
        self.record(frame, f"{state.kind}StateExited", details)
        if successor is not None:
            frame.state, frame.input = frame.table.states[successor], output
            self.ready.appendleft(frame)
        else:
            self._join(frame, output)

    def _join(self, child: Frame, outcome: JSON) -> None:
        """Pass a child's output or StateFailure to its parent; end the execution if it has none."""
        parent = child.parent
        if parent is not None and parent.state.on_child_end is not None:
            child.alive = False
            del parent.children[child.index]
            parent.last_id = child.last_id
            self.guard(parent, parent.state.on_child_end, self, parent, child, outcome)
        else:
            self.end("SUCCEEDED", outcome, None, None)

    def fail(self, frame: Frame, failure: StateFailure) -> None:
        """Retry or catch a failure, or pass it to the parent."""
        if isinstance(failure, TerminalFailure):
            self.execution.root.last_id = 0  # AWS lets such an end follow event 0
            self._give_up(frame, failure)
            return
        self._abandon_children(frame)
        if not (self._retried(frame, failure) or self._caught(frame, failure)):
            self._give_up(frame, failure)

    def _give_up(self, frame: Frame, failure: StateFailure) -> None:
        if failure.error == DATA_LIMIT_EXCEEDED:
            _forget_children(frame)
        if isinstance(failure, TerminalFailure) or frame.parent is None:
            self.end("FAILED", None, failure.error, failure.cause)
        else:
            if frame.state.resource:
                self.record(frame, "TaskStateAborted", {})
            self._join(frame, failure)

    def _retried(self, frame: Frame, failure: StateFailure) -> bool:
        for index, retrier in enumerate(frame.state.retriers or ()):
            if retrier.matches(failure):
                attempts = frame.attempts[index]
                if attempts >= retrier.max_attempts:
                    return False
                frame.attempts[index] += 1
                _forget_children(frame)
                self.wait(frame, "retry", self.now + retrier.delay(attempts, frame.random))
                return True
        return False

    def _caught(self, frame: Frame, failure: StateFailure) -> bool:
        if frame.state.children:
            self.record(frame, f"{frame.state.kind}StateFailed", {})
        for catcher in frame.state.catchers:
            if catcher.matches(failure):
                result = failure.as_output()
                try:
                    output, assigned = catcher.take(frame, result)
                    self.leave(frame, output, assigned, catcher.next)
                except StateFailure as second:
                    self._give_up(frame, _located(frame, second))
                else:
                    _forget_children(frame)
                return True
        return False

    def _abandon_children(self, frame: Frame) -> None:
        for child in frame.children.values():
            self._abandon_children(child)
            child.alive = False
            if child.activity:
                self.effects.append(CancelTask(child.token))
                self._settle(child)
            if child.entered_id:
                self.record(child, f"{child.state.kind}StateAborted", {})
            if frame.state.kind == "Map":
                details = {"name": frame.state.name, "index": child.index}
                self.record(child, "MapIterationAborted", details)
        frame.unfinished |= frame.children
        frame.children = {}

    def end(self, status: Status, output: JSON, error: str | None, cause: str | None) -> None:
        """End the execution."""
        execution = self.execution
        self.ready.clear()
        for token, frame in sorted(execution.pending.items()):
            self.effects.append(CancelTask(token))
            self._settle(frame)  # a redrive may run it long after it was restored
        if execution.times_out_at is not None:
            self.effects.append(CancelTask(EXECUTION_TIMER))
            execution.times_out_at = None
        root = execution.root
        root.alive = False
        execution.status, execution.output = status, output
        execution.error, execution.cause = error, cause
        if status == "SUCCEEDED":
            root.children = {}
            self.record(root, "ExecutionSucceeded", {"output": output})
        else:
            timed_out = status == "TIMED_OUT"  # AWS names its error in the event only
            texts = {"error": TIMEOUT if timed_out else error, "cause": cause}
            details = {field: text for field, text in texts.items() if text is not None}
            self.record(root, _ENDS[status], details)
        self.effects.append(Ended(status, output, error, cause))


def _forget_children(frame: Frame) -> None:
    """Let the next run of a frame's state be a whole one."""
    frame.request = None
    frame.results, frame.unfinished, frame.again = [], {}, []


def _located(frame: Frame, failure: StateFailure) -> StateFailure:
    """Return the failure with its location prepended, in AWS's words.

    A DataLimitExceeded names its state already.
    """
    if isinstance(failure, DataLimitExceeded):
        return failure
    where = f"the state '{frame.state.name}' (entered at the event id #{frame.entered_id})"
    cause = f"An error occurred while executing {where}. {failure.cause}"
    if isinstance(failure, TerminalFailure):
        return TerminalFailure(cause)
    return StateFailure(failure.error, cause)
