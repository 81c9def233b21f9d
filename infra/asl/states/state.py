"""The compiled state, and the exit that all states share."""

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
    from infra.asl.interpreter import Advance

Enter: TypeAlias = Callable[["Advance", "Frame"], None]
OnAnswer: TypeAlias = Callable[["Advance", "Frame", Signal], None]
OnChildEnd: TypeAlias = Callable[["Advance", "Frame", "Frame", JSON], None]
Leave: TypeAlias = Callable[["Advance", "Frame", JSON, JSON], None]
Succeed: TypeAlias = Callable[["Advance", "Frame", JSON], None]


@dataclass(frozen=True, slots=True)
class State:
    """A compiled state: its actions on entry, on a signal and on the end of a child."""

    name: str
    kind: str
    enter: Enter
    on_answer: OnAnswer | None = None
    on_child_end: OnChildEnd | None = None
    on_redrive: Enter | None = None
    """The action of a redrive; by default `enter`."""
    retriers: Sequence[Retrier] | None = None
    catchers: Sequence[Catcher] = ()
    children: Sequence["StateTable"] = ()
    resource: str = ""
    reads_metadata: bool = False
    """Whether an expression may read the metadata around a function's payload."""

    def table_of_child(self, index: int) -> "StateTable":
        """Return the table of a branch, or the item processor that all iterations share."""
        return self.children[min(index, len(self.children) - 1)]


@dataclass(frozen=True, slots=True)
class StateTable:
    """The states of a state machine, of a branch or of an item processor."""

    start: State
    states: Mapping[str, State]


def check_parameters(name: str, request: JSON, known: JSON = None) -> None:
    """Raise DataLimitExceeded if a state's parameters exceed 256 KiB.

    ``known`` is the state's input, which was measured as an output.
    """
    if request is not known and exceeds_data_limit(request):
        raise DataLimitExceeded(name, "provided parameters")


def compile_leave(fields: Fields, *, has_result: bool = False) -> Leave:
    """Compile a state's exit: it takes the output, and the data that ``$`` means in Assign.

    ``has_result`` is whether these data are ``$states.result`` in JSONata.
    """
    queried = _compile_exit(fields, has_result=has_result) if fields.is_jsonata else None
    assign = None if queried else fields.template("Assign", dict)
    output_path = fields.path("OutputPath")
    end = fields.get("End", bool, default=False)
    successor = None if end or "Next" not in fields else fields.target("Next")
    if end is ("Next" in fields):
        problem = "A state must have either the field 'Next' or the field 'End', which must be true"
        raise fields.refuse(problem)

    def leave(advance: "Advance", frame: "Frame", output: JSON, data: JSON) -> None:
        if queried is not None:
            output, assigned = queried(frame, output, data)
            advance.leave(frame, output, assigned, successor)
            return
        assigned = assign(data, frame) if assign else None
        advance.leave(frame, output_path(output, frame), assigned, successor)

    return leave


def _compile_exit(
    fields: Fields, *, has_result: bool
) -> "Callable[[Frame, JSON, JSON], tuple[JSON, JSON]]":
    """Compile ``Output`` and ``Assign`` of JSONata: both read the variables before the state."""
    known = ("result",) if has_result else ()
    query = fields.query("Output", known=known)
    assign = fields.query("Assign", dict, known=known)

    def leave(frame: "Frame", output: JSON, data: JSON) -> tuple[JSON, JSON]:
        states = {"input": frame.input, "result": data} if has_result else {"input": frame.input}
        assigned = assign(states, frame) if assign else None
        return query(states, frame) if query else output, assigned

    return leave


def compile_succeed(fields: Fields) -> Succeed:
    """Compile the exit of a state with a result; ``$`` in Assign is the result before selection."""
    if fields.is_jsonata:
        exit_ = compile_leave(fields, has_result=True)
        return lambda advance, frame, result: exit_(advance, frame, result, result)
    select, put = fields.template("ResultSelector", dict), fields.result_path()
    leave = compile_leave(fields)

    def succeed(advance: "Advance", frame: "Frame", result: JSON) -> None:
        output = put(frame.input, select(result, frame) if select else result)
        leave(advance, frame, output, result)

    return succeed
