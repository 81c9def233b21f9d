"""Spans of an execution, from its journalled history: each state, each task, each function call.

Source: "HistoryEvent" in the AWS Step Functions API Reference; an event names its predecessor, so
the branches of a Parallel state are told apart.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.asl import HistoryEvent
from infra.telemetry.spans import CLIENT, INTERNAL, PRODUCER, Span, Value, span_id_of

_TASK = re.compile(r"(?:Task|LambdaFunction)(Scheduled|Succeeded|Failed|TimedOut)$")


@dataclass(slots=True)
class _Open:
    """A span whose end has not been read yet; ``parent`` is None for the execution."""

    span_id: str
    name: str
    parent: "_Open | None"
    start: float
    kind: int
    attributes: dict[str, Value]
    end: float | None = None
    error: str | None = None


class HistorySpans:
    """The spans below the span of one execution.

    Parameters
    ----------
    execution : tuple
        Machine, name and row id of the execution: they identify it.
    root_id : str
        The span id of the execution.
    """

    def __init__(self, execution: tuple[object, ...], root_id: str) -> None:
        self._execution = execution
        self._root = _Open(root_id, "", None, 0.0, INTERNAL, {})
        self._scope: dict[int, _Open] = {0: self._root}  # the innermost state after an event
        self._task: dict[int, _Open] = {}  # the task that an event belongs to
        self._opened: list[_Open] = []

    def read(self, events: Iterable[HistoryEvent]) -> None:
        """Read the events in their order."""
        for event in events:
            before = event.previous_event_id
            self._scope[event.id] = self._scope.get(before, self._root)
            if event.type.endswith("StateEntered"):
                self._enter(event)
            elif event.type.endswith("StateExited"):
                self._exit(event)
            elif match := _TASK.match(event.type):
                self._on_task(event, match[1])
            elif before in self._task:
                self._task[event.id] = self._task[before]

    def spans(self, trace_id: str, end: float, shared: Mapping[str, Value]) -> Iterator[Span]:
        """Yield the spans; a state that was aborted ends with its parent, at last at ``end``."""
        for one in self._opened:
            assert one.parent is not None
            yield Span(
                trace_id,
                one.span_id,
                one.parent.span_id,
                one.name,
                one.kind,
                one.start,
                _end_of(one, end),
                {**shared, **one.attributes},
                one.error,
            )

    def _enter(self, event: HistoryEvent) -> None:
        name = str(event.details["name"])
        kind = event.type.removesuffix("StateEntered")
        self._scope[event.id] = self._open(
            event, "state", name, INTERNAL, {"orderflow.state.type": kind}
        )

    def _exit(self, event: HistoryEvent) -> None:
        state: _Open | None = self._scope[event.id]
        while state is not None and state.name != event.details.get("name"):
            state = state.parent
        if state is not None and state.parent is not None:
            state.end = event.timestamp
            self._scope[event.id] = state.parent

    def _on_task(self, event: HistoryEvent, what: str) -> None:
        if what == "Scheduled":
            name, kind, attributes = _called(event.details)
            self._task[event.id] = self._open(event, "task", name, kind, attributes)
            return
        task = self._task.get(event.previous_event_id)
        if task is not None:
            task.end = event.timestamp
            if what != "Succeeded":
                task.error = str(event.details.get("error") or what)

    def _open(
        self, event: HistoryEvent, what: str, name: str, kind: int, attributes: dict[str, Value]
    ) -> _Open:
        number = span_id_of(what, *self._execution, event.id)
        parent = self._scope[event.id]
        opened = _Open(number, name, parent, event.timestamp, kind, attributes)
        self._opened.append(opened)
        return opened


def _end_of(one: _Open, end: float) -> float:
    while one.end is None:
        if one.parent is None:
            return end
        one = one.parent
    return one.end


def _called(details: Mapping[str, Any]) -> tuple[str, int, dict[str, Value]]:
    """Return name, kind and attributes of a task's call; values of the order are left out."""
    service = str(details.get("resourceType", "lambda"))
    action = str(details.get("resource", "invoke"))
    parameters = details.get("parameters")
    if service == "lambda":
        named = parameters.get("FunctionName") if isinstance(parameters, Mapping) else None
        arn = str(named or action)
        function = arn.partition(":function:")[2].partition(":")[0] or arn
        return function, CLIENT, {"faas.invoked_name": function}
    attributes: dict[str, Value] = {"rpc.service": service, "rpc.method": action}
    if service == "sqs" and isinstance(parameters, Mapping):
        queue = str(parameters.get("QueueUrl", "")).rpartition("/")[2]
        attributes |= {"messaging.system": "aws_sqs", "messaging.destination.name": queue}
        return f"{action} {queue}", PRODUCER, attributes
    return f"{service}:{action}", CLIENT, attributes
