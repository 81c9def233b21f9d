"""Redrive: an execution that did not succeed continues from the states that did not end.

A state that ended is not run again. The state that failed, was aborted or timed out is run with its
input and its variables; its count of retries begins at 0. A Parallel or a Map runs its unfinished
branches or iterations only; one that failed with ``States.DataLimitExceeded`` is run as a whole.

Source: "Restarting state machine executions with redrive" in the AWS Step Functions Developer
Guide. A decision record has the parts that AWS does not describe.
"""

from typing import TYPE_CHECKING

from infra.asl.effects import EXECUTION_TIMER, SetTimer

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.asl.execution import Frame
    from infra.asl.expressions.values import JSON
    from infra.asl.interpreter import Advance


def continue_execution(advance: "Advance", count: int) -> None:
    """Continue an ended execution; ``count`` is the number of its redrives with this one."""
    execution = advance.execution
    execution.status, execution.output, execution.error, execution.cause = (
        "RUNNING",
        None,
        None,
        None,
    )
    root = execution.root
    root.last_id = execution.last_event_id
    advance.record(root, "ExecutionRedriven", {"redriveCount": count})
    if execution.machine.timeout is not None:
        execution.times_out_at = advance.now + execution.machine.timeout
        advance.effects.append(SetTimer(EXECUTION_TIMER, execution.times_out_at))
    prepare(advance, root)


def prepare(advance: "Advance", frame: "Frame") -> None:
    """Let a frame's state be run again in this advance; one that was not entered is entered."""
    frame.alive, frame.callback = True, None
    if frame.parent is not None:
        frame.last_id = frame.parent.last_id
    frame.redriven = frame.entered_id > 0
    advance.ready.append(frame)


def run_again(advance: "Advance", frame: "Frame") -> None:
    """Run a frame's state again, without another event of its entry."""
    state = frame.state
    frame.redriven = False
    if state.retriers is not None:
        frame.attempts = [0] * len(state.retriers)
    frame.unfinished |= frame.children
    frame.children, frame.again = {}, sorted(frame.unfinished)
    if state.kind == "Fail":  # it is entered again (the source's table)
        frame.entered_id = advance.record(
            frame, "FailStateEntered", {"name": state.name, "input": frame.input}
        )
    advance.guard(frame, state.on_redrive or state.enter, advance, frame)


def run_children_again(
    advance: "Advance", frame: "Frame", input_of: "Callable[[Frame, Frame], JSON]"
) -> None:
    """Let unfinished children of a redriven state run again, as many as its concurrency allows.

    ``input_of`` returns the input of a Map's iteration.
    """
    while frame.again and len(frame.children) < frame.limit:
        index = frame.again.pop(0)
        child = frame.children[index] = frame.unfinished.pop(index)
        if not child.entered_id and frame.state.kind == "Map":  # its ItemSelector may have failed
            child.input = input_of(frame, child)
        prepare(advance, child)


def of_children(
    enter: "Callable[[Advance, Frame], None]", proceed: "Callable[[Advance, Frame], None]"
) -> "Callable[[Advance, Frame], None]":
    """Return the redrive of a state with children; without results it is run as a whole."""

    def redrive(advance: "Advance", frame: "Frame") -> None:
        frame.failed = 0
        (proceed if frame.results else enter)(advance, frame)

    return redrive
