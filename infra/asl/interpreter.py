"""The interpreter: an execution and one signal give its next state and the effects wanted.

It never calls, sleeps, writes or reads a clock; the host performs the effects.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from infra.asl.effects import (
    EXECUTION_TIMER,
    CancelTask,
    Effect,
    Ended,
    RunTask,
    SetTimer,
    Signal,
    Status,
    TimerFired,
)
from infra.asl.errors import (
    RUNTIME,
    TIMEOUT,
    DataLimitExceeded,
    StateFailure,
    TerminalFailure,
)
from infra.asl.execution import Execution, Frame
from infra.asl.expressions.values import JSON, exceeds_data_limit
from infra.asl.history import HistoryEvent
from infra.asl.states.state import StateTable

Started: TypeAlias = tuple[Execution, list[Effect]]

_MAX_EVENTS = 25_000  # "Service quotas" of AWS Step Functions: events of one execution


@dataclass(frozen=True, slots=True)
class Machine:
    """A compiled definition, made by compile_definition; it holds nothing of any execution."""

    name: str
    table: StateTable
    timeout: float | None
    random: Callable[[], float]

    def start(self, input: JSON, context: JSON, now: float) -> Started:  # noqa: A002
        """Start on an input; `context` has `Execution` and `StateMachine` of the context object."""
        execution = Execution(self, context)
        turn = Turn(execution, now)
        turn.begin(input)
        return execution, turn.run()

    def advance(self, execution: Execution, signal: Signal, now: float) -> list[Effect]:
        """Take one signal in; one for a token no longer known changes nothing."""
        turn = Turn(execution, now)
        turn.take(signal)
        return turn.run()

    def abort(self, execution: Execution, cause: str, now: float) -> list[Effect]:
        """End an execution as FAILED with States.Runtime, whatever it waits for."""
        turn = Turn(execution, now)
        turn.end("FAILED", None, RUNTIME, cause)
        return turn.effects

    def resume(self, execution: Execution, now: float) -> list[Effect]:
        """What the host must take up again after a restart, as it was wanted first."""
        turn = Turn(execution, now)
        if execution.times_out_at is not None:
            turn.effects.append(SetTimer(EXECUTION_TIMER, execution.times_out_at))
        for _, frame in sorted(execution.pending.items()):
            turn.want(frame)
        return turn.effects


class Turn:
    """One call of the interpreter: the execution moves on until all of it waits."""

    __slots__ = ("effects", "execution", "now", "ready")

    def __init__(self, execution: Execution, now: float) -> None:
        self.execution = execution
        self.now = now
        self.effects: list[Effect] = []
        self.ready: deque[Frame] = deque()

    def begin(self, given: JSON) -> None:
        """Enter the first state."""
        execution, root = self.execution, self.execution.root
        role = execution.context.get("Execution", {}).get("RoleArn")
        details = {"input": given} if role is None else {"input": given, "roleArn": role}
        self.record(root, "ExecutionStarted", details)
        root.last_id = 0  # AWS lets the first state's event follow event 0
        if execution.machine.timeout is not None:
            execution.times_out_at = self.now + execution.machine.timeout
            self.effects.append(SetTimer(EXECUTION_TIMER, execution.times_out_at))
        root.input = given
        self.ready.append(root)

    def take(self, signal: Signal) -> None:
        """Hand a signal to the state that waits for it."""
        execution = self.execution
        if signal.token == EXECUTION_TIMER and execution.times_out_at is not None:
            execution.root.last_id = 0
            execution.times_out_at = None
            self.end("TIMED_OUT", None, None, None)
            return
        frame = execution.pending.get(signal.token)
        if frame is None or (frame.activity != "task" and not isinstance(signal, TimerFired)):
            return
        retry = frame.activity == "retry"
        self._settle(frame)
        if retry:
            self._guard(frame, frame.state.enter, self, frame)
        elif frame.state.answered is not None:
            self._guard(frame, frame.state.answered, self, frame, signal)

    def run(self) -> list[Effect]:
        """Go on until nothing can."""
        while self.ready:
            frame = self.ready.popleft()
            if frame.alive:
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
        self._guard(frame, state.enter, self, frame)

    def _guard(self, frame: Frame, action: Callable[..., None], *arguments: Any) -> None:
        """Let what goes wrong while a state is worked on be that state's failure."""
        try:
            action(*arguments)
        except StateFailure as failure:
            self.fail(frame, _located(frame, failure))

    def record(self, frame: Frame, kind: str, details: dict[str, JSON]) -> int:
        """Append an event that follows the frame's last one; its id."""
        execution = self.execution
        execution.last_event_id = event_id = execution.last_event_id + 1
        execution.history.append(HistoryEvent(event_id, frame.last_id, self.now, kind, details))
        frame.last_id = event_id
        return event_id

    def wait(self, frame: Frame, activity: str, due: float | None) -> None:
        """Wait for a task, `frame.request`, for `due` seconds; or for a timer, until `due`."""
        execution = self.execution
        execution.last_token = frame.token = execution.last_token + 1
        frame.activity, frame.due = activity, due
        execution.pending[frame.token] = frame
        self.want(frame)

    def want(self, frame: Frame) -> None:
        """Tell the host what a frame waits for."""
        if frame.activity == "task":
            task = (frame.token, frame.state.resource, frame.request, frame.due)
            self.effects.append(RunTask(*task, frame.state.name, sum(frame.attempts)))
        elif frame.due is not None:
            self.effects.append(SetTimer(frame.token, frame.due))

    def _settle(self, frame: Frame) -> None:
        del self.execution.pending[frame.token]
        frame.activity, frame.due, frame.request = "", None, None

    def leave(self, frame: Frame, output: JSON, assigned: JSON, successor: str | None) -> None:
        """Leave the frame's state for its successor, or finish.

        Raises DataLimitExceeded, and leaves nothing, where the state hands on too much.
        """
        state = frame.state
        if exceeds_data_limit(output):
            raise DataLimitExceeded(state.name, "returned a result")
        if assigned and exceeds_data_limit(assigned):
            raise DataLimitExceeded(state.name, "assigned variables")
        details = {"name": state.name, "output": output}
        if assigned:
            details["assignedVariables"] = assigned
            frame.variables = {**frame.variables, **assigned}
        self.record(frame, f"{state.kind}StateExited", details)
        if successor is not None:
            frame.state, frame.input = frame.table.states[successor], output
            self.ready.appendleft(frame)
        else:
            self._join(frame, output)

    def _join(self, child: Frame, outcome: JSON) -> None:
        """Tell the parent of a child's output, or of its StateFailure; end what has no parent."""
        parent = child.parent
        if parent is not None and parent.state.joined is not None:
            child.alive = False
            del parent.children[child.index]
            parent.last_id = child.last_id
            self._guard(parent, parent.state.joined, self, parent, child, outcome)
        else:
            self.end("SUCCEEDED", outcome, None, None)

    def fail(self, frame: Frame, failure: StateFailure) -> None:
        """Retry, catch, or let the failure reach whoever is around."""
        if isinstance(failure, TerminalFailure):
            self.execution.root.last_id = 0  # AWS lets such an end follow event 0
            self._give_up(frame, failure)
            return
        self._abandon_children(frame)
        if not (self._retried(frame, failure) or self._caught(frame, failure)):
            self._give_up(frame, failure)

    def _give_up(self, frame: Frame, failure: StateFailure) -> None:
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
                    assigned = catcher.assign(result, frame) if catcher.assign else None
                    output = catcher.put(frame.input, result)
                    self.leave(frame, output, assigned, catcher.next)
                except StateFailure as another:
                    self._give_up(frame, _located(frame, another))
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
        frame.children = {}

    def end(self, status: Status, output: JSON, error: str | None, cause: str | None) -> None:
        """End the execution."""
        execution = self.execution
        self.ready.clear()
        self.effects.extend(CancelTask(token) for token in sorted(execution.pending))
        execution.pending.clear()
        if execution.times_out_at is not None:
            self.effects.append(CancelTask(EXECUTION_TIMER))
            execution.times_out_at = None
        root = execution.root
        root.children, root.activity, root.alive = {}, "", False
        execution.status, execution.output = status, output
        execution.error, execution.cause = error, cause
        if status == "SUCCEEDED":
            self.record(root, "ExecutionSucceeded", {"output": output})
        else:
            timed_out = status == "TIMED_OUT"  # of which AWS names the error in the event alone
            told = {"error": TIMEOUT if timed_out else error, "cause": cause}
            details = {field: text for field, text in told.items() if text is not None}
            self.record(root, "ExecutionTimedOut" if timed_out else "ExecutionFailed", details)
        self.effects.append(Ended(status, output, error, cause))


def _located(frame: Frame, failure: StateFailure) -> StateFailure:
    """The failure with AWS's sentence in front that says where it came up.

    One about the size of data names its state already.
    """
    if isinstance(failure, DataLimitExceeded):
        return failure
    where = f"the state '{frame.state.name}' (entered at the event id #{frame.entered_id})"
    cause = f"An error occurred while executing {where}. {failure.cause}"
    if isinstance(failure, TerminalFailure):
        return TerminalFailure(cause)
    return StateFailure(failure.error, cause)
