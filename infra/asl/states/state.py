"""What a compiled state is, and how every state is left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from infra.asl.effects import Signal
from infra.asl.errors import DataLimitExceeded
from infra.asl.expressions.values import JSON, exceeds_data_limit
from infra.asl.fields import Fields
from infra.asl.retry import Catcher, Retrier

if TYPE_CHECKING:
    from infra.asl.execution import Frame
    from infra.asl.interpreter import Turn

Enter: TypeAlias = Callable[["Turn", "Frame"], None]
OnAnswer: TypeAlias = Callable[["Turn", "Frame", Signal], None]
OnChildEnd: TypeAlias = Callable[["Turn", "Frame", "Frame", JSON], None]
Leave: TypeAlias = Callable[["Turn", "Frame", JSON, JSON], None]
Succeed: TypeAlias = Callable[["Turn", "Frame", JSON], None]


@dataclass(frozen=True, slots=True)
class State:
    """What a state does: when it is entered, when what it waits for answers, when a child ends."""

    name: str
    kind: str
    enter: Enter
    answered: OnAnswer | None = None
    joined: OnChildEnd | None = None
    retriers: Sequence[Retrier] | None = None
    catchers: Sequence[Catcher] = ()
    children: Sequence["StateTable"] = ()
    resource: str = ""

    def table_of_child(self, index: int) -> "StateTable":
        """A branch of its own, or the one item processor of all iterations."""
        return self.children[min(index, len(self.children) - 1)]


@dataclass(frozen=True, slots=True)
class StateTable:
    """The states of a machine, of a branch or of an item processor."""

    start: State
    states: Mapping[str, State]


def check_parameters(name: str, request: JSON) -> None:
    """Raise DataLimitExceeded if a state is to work on more than 256 KiB."""
    if exceeds_data_limit(request):
        raise DataLimitExceeded(name, "provided parameters")


def compile_leave(fields: Fields) -> Leave:
    """How a state is left: with an output, and the data that `$` means in Assign."""
    assign, output_path = fields.template("Assign", dict), fields.path("OutputPath")
    end = fields.get("End", bool, default=False)
    successor = None if end or "Next" not in fields else fields.target("Next")
    if end is ("Next" in fields):
        problem = "A state must have either the field 'Next' or the field 'End', which must be true"
        raise fields.refuse(problem)

    def leave(turn: "Turn", frame: "Frame", output: JSON, data: JSON) -> None:
        assigned = assign(data, frame) if assign else None
        turn.leave(frame, output_path(output, frame), assigned, successor)

    return leave


def compile_succeed(fields: Fields) -> Succeed:
    """How a state with a result is left; `$` in Assign is the result as it came."""
    select, put = fields.template("ResultSelector", dict), fields.result_path()
    leave = compile_leave(fields)

    def succeed(turn: "Turn", frame: "Frame", result: JSON) -> None:
        output = put(frame.input, select(result, frame) if select else result)
        leave(turn, frame, output, result)

    return succeed
