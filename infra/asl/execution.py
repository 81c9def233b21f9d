"""The state of one execution, a tree of frames, and its snapshot.

A frame is one thread of control: the execution itself, a branch of a Parallel, an iteration of a
Map. It is also the scope that its state's expressions read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from infra.asl.effects import Status
from infra.asl.expressions.values import JSON, format_timestamp
from infra.asl.history import HistoryEvent

if TYPE_CHECKING:
    from infra.asl.interpreter import Machine
    from infra.asl.states.state import State, StateTable

_FRAME_FIELDS = (
    *("input", "alive", "entered_id", "entered_at", "last_id", "attempts"),
    *("activity", "token", "due", "request"),
)
_FORK_FIELDS = ("results", "started", "failed", "limit", "tolerated")
"""Fields of a frame in a Parallel or a Map; in another state they mean nothing."""

_OPTIONAL = {"variables", "item", "callback", "again", *_FORK_FIELDS}
_frame_values, _fork_values = attrgetter(*_FRAME_FIELDS), attrgetter(*_FORK_FIELDS)
_EXECUTION_FIELDS = (
    *("context", "status", "output", "error", "cause"),
    *("times_out_at", "last_token", "last_event_id"),
)
_execution_values = attrgetter(*_EXECUTION_FIELDS)


@dataclass(slots=True, eq=False)
class Frame:
    """One thread of control and its current state."""

    execution: "Execution"
    table: "StateTable"
    parent: "Frame | None" = None
    index: int = 0
    state: "State" = field(init=False)
    input: JSON = None
    alive: bool = True
    variables: Mapping[str, JSON] = field(init=False)
    """Replaced, never changed in place, because a child shares its parent's."""
    item: dict[str, JSON] | None = field(init=False)
    random: Callable[[], float] = field(init=False)
    entered_id: int = 0
    entered_at: float = 0
    last_id: int = field(init=False)
    attempts: list[int] = field(default_factory=list)
    activity: str = ""
    """The reason to wait: ``"task"``, with ``request``; ``"callback"``, a token; ``"wait"`` or
    ``"retry"``, a timer; or ``""``."""
    token: int = 0
    due: float | None = None
    request: JSON = None
    children: dict[int, "Frame"] = field(default_factory=dict)
    unfinished: dict[int, "Frame"] = field(default_factory=dict)
    """The children that failed or were aborted, which a redrive runs again."""
    again: list[int] = field(default_factory=list)
    """The indices of the unfinished children that a redrive has not run again yet."""
    redriven: bool = False
    """Whether a redrive runs its state again in this advance (`infra.asl.redrive`)."""
    results: list[JSON] = field(default_factory=list)
    started: int = 0
    failed: int = 0
    limit: int = 0
    tolerated: float = 0
    callback: dict[str, JSON] | None = None
    """The token of a task that waits for it (`infra.asl.task_tokens`)."""
    map_source: tuple[JSON, list[JSON]] | None = None
    """A Map's data and items; not in the snapshot, since its paths select the same again."""

    def __post_init__(self) -> None:
        parent = self.parent
        self.state = self.table.start
        self.variables = parent.variables if parent else {}
        self.item = parent.item if parent else None
        self.random = self.execution.machine.random
        self.last_id = parent.last_id if parent else 0

    @property
    def now(self) -> float:
        """The time of the advance, in epoch seconds."""
        return self.execution.now

    @property
    def context(self) -> JSON:
        """The context object, ``$$``."""
        state: dict[str, JSON] = {
            "EnteredTime": format_timestamp(self.entered_at),
            "Name": self.state.name,
        }
        if self.state.retriers is not None:
            state["RetryCount"] = sum(self.attempts)
        item = {} if self.item is None else {"Map": {"Item": self.item}}
        task = {} if self.callback is None else {"Task": {"Token": self.callback["token"]}}
        return {**self.execution.context, "State": state, **item, **task}

    def new_child(self, index: int) -> "Frame":
        """Return a new child frame, which is not among the children yet."""
        return Frame(self.execution, self.state.table_of_child(index), self, index)

    def fork(self, index: int) -> "Frame":
        """Create a child frame."""
        child = self.children[index] = self.new_child(index)
        return child

    def snapshot(self) -> dict[str, JSON]:
        """Return the frame and its children as JSON."""
        shot = dict(zip(_FRAME_FIELDS, _frame_values(self), strict=True))
        if self.state.children:
            shot.update(zip(_FORK_FIELDS, _fork_values(self), strict=True))
        parent = self.parent
        if parent is None or self.variables is not parent.variables:
            shot["variables"] = self.variables
        if parent is not None and self.item is not parent.item:
            shot["item"] = self.item
        if self.callback is not None:
            shot["callback"] = self.callback
        shot["state"] = self.state.name
        shot["children"] = [[index, child.snapshot()] for index, child in self.children.items()]
        if self.unfinished:  # those of `again` are among them
            shot["again"] = self.again
            shot["unfinished"] = [[i, child.snapshot()] for i, child in self.unfinished.items()]
        return shot

    def restore(self, shot: Mapping[str, Any]) -> None:
        """Load the fields of a snapshot, and its children."""
        for name in (*_FRAME_FIELDS, *(_OPTIONAL & shot.keys())):
            setattr(self, name, shot[name])
        self.state = self.table.states[shot["state"]]
        if self.activity:
            self.execution.pending[self.token] = self
        for index, child_shot in shot["children"]:
            self.fork(index).restore(child_shot)
        for index, child_shot in shot.get("unfinished", ()):
            child = self.unfinished[index] = self.new_child(index)
            child.restore(child_shot)


@dataclass(eq=False)
class Execution:
    """One execution: made by `Machine.start` or `Execution.restore`, changed by `Machine` only."""

    machine: "Machine"
    context: Mapping[str, JSON]
    status: Status = "RUNNING"
    output: JSON = None
    error: str | None = None
    cause: str | None = None
    times_out_at: float | None = None
    last_token: int = 0
    last_event_id: int = 0
    pending: dict[int, Frame] = field(default_factory=dict)
    rows: list[list[JSON]] = field(default_factory=list)
    """The events that are not drained yet, as they are stored: a list takes a third of the time of
    a `HistoryEvent`."""
    now: float = 0
    root: Frame = field(init=False)

    def __post_init__(self) -> None:
        self.root = Frame(self, self.machine.table)

    @property
    def history(self) -> list[HistoryEvent]:
        """The events that are not drained yet."""
        return [HistoryEvent(*row) for row in self.rows]

    def drain_rows(self) -> list[list[JSON]]:
        """Return and remove the events since the last call, as they are stored."""
        rows, self.rows = self.rows, []
        return rows

    def drain_history(self) -> list[HistoryEvent]:
        """Return and remove the events since the last call."""
        return [HistoryEvent(*row) for row in self.drain_rows()]

    def release(self) -> None:
        """Drop the frames of an ended execution, which refer to it.

        Otherwise only the garbage collector frees the memory of both.
        """
        del self.root

    def snapshot(self) -> dict[str, JSON]:
        """Return the execution as JSON, including events that are not drained yet."""
        shot = dict(zip(_EXECUTION_FIELDS, _execution_values(self), strict=True))
        shot["history"], shot["root"] = list(self.rows), self.root.snapshot()
        return shot

    @classmethod
    def restore(cls, shot: Mapping[str, Any], machine: "Machine") -> "Execution":
        """Return the execution of a snapshot; ``machine`` must have the same definition."""
        execution = cls(machine, shot["context"])
        for name in _EXECUTION_FIELDS:
            setattr(execution, name, shot[name])
        execution.rows = list(shot["history"])
        execution.root.restore(shot["root"])
        return execution
