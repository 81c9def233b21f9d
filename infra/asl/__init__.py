"""The Amazon States Language, JSONPath dialect, as a sans-IO interpreter.

machine = compile_definition(definition, name="order_processing")
execution, effects = machine.start(input, context, now)
effects = machine.advance(execution, TaskSucceeded(token, output), now)

The host performs the effects and reports their results as signals.
"""

from infra.asl.definition import compile_definition
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
    TaskFailed,
    TaskSucceeded,
    TimerFired,
)
from infra.asl.errors import AslError, DefinitionError
from infra.asl.execution import Execution
from infra.asl.expressions.values import JSON
from infra.asl.history import HistoryEvent
from infra.asl.interpreter import Machine

__all__ = [
    "EXECUTION_TIMER",
    "JSON",
    "AslError",
    "CancelTask",
    "DefinitionError",
    "Effect",
    "Ended",
    "Execution",
    "Heartbeat",
    "HistoryEvent",
    "Machine",
    "RunTask",
    "SetTimer",
    "Signal",
    "Status",
    "TaskFailed",
    "TaskSucceeded",
    "TimerFired",
    "compile_definition",
]
