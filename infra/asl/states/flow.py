"""Pass, Choice, Wait, Succeed and Fail."""

from typing import TYPE_CHECKING

from infra.asl.errors import QueryFailure, StateFailure, TerminalFailure
from infra.asl.expressions.choice import compile_rule
from infra.asl.expressions.paths import Reader, Scope
from infra.asl.expressions.payload import compile_expression
from infra.asl.expressions.query import Query
from infra.asl.expressions.values import JSON, parse_timestamp, to_plain_text
from infra.asl.fields import MAX_SECONDS, Fields
from infra.asl.states.query_choice import compile_query_choice
from infra.asl.states.state import State, check_parameters, compile_leave, compile_succeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.asl.effects import Signal
    from infra.asl.execution import Frame
    from infra.asl.interpreter import Advance

_DUES = ("Seconds", "SecondsPath", "Timestamp", "TimestampPath")
_QUERIED_DUES = ("Seconds", "Timestamp")
_LONGEST_WAIT = 2**31 - 1


def compile_pass(name: str, fields: Fields) -> State:
    """Compile a Pass: its output is Result, Parameters or the input."""
    if fields.is_jsonata:
        return _compile_query_pass(name, fields)
    if "ResultSelector" in fields:  # a Task, a Map and a Parallel have a result to select from
        raise fields.refuse("Field 'ResultSelector' is not supported")
    input_path, parameters = fields.path("InputPath"), fields.template("Parameters")
    result, has_result = fields.get("Result", object), "Result" in fields
    succeed = compile_succeed(fields)

    def enter(advance: "Advance", frame: "Frame") -> None:
        data = input_path(frame.input, frame)
        if has_result:
            data = result
        elif parameters:
            data = parameters(data, frame)
            check_parameters(name, data)
        succeed(advance, frame, data)

    return State(name, "Pass", enter)


def _compile_query_pass(name: str, fields: Fields) -> State:
    """Compile a Pass of JSONata: its output is Output or the input."""
    leave = compile_leave(fields)
    return State(name, "Pass", lambda advance, frame: leave(advance, frame, frame.input, None))


def compile_choice(name: str, fields: Fields) -> State:
    """Compile a Choice: its successor is the first choice whose rule holds, or the default."""
    if fields.is_jsonata:
        return compile_query_choice(name, fields)
    input_path, output_path = fields.path("InputPath"), fields.path("OutputPath")
    fields.require("Choices", list)
    choices = []
    for choice in fields.each("Choices"):
        rule = compile_rule(choice.value, choice.place)
        choices.append((rule, choice.template("Assign", dict), choice.target("Next")))
        choice.unread.clear()
    otherwise = fields.template("Assign", dict)
    default = fields.target("Default") if "Default" in fields else None

    def enter(advance: "Advance", frame: "Frame") -> None:
        data = input_path(frame.input, frame)
        matching = (choice[1:] for choice in choices if choice[0](data, frame))
        assign, successor = next(matching, (otherwise, default))
        if successor is None:
            problem = "The state does not point to a next state."
            raise TerminalFailure(f"Failed to transition out of the state. {problem}")
        assigned = assign(data, frame) if assign else None
        advance.leave(frame, output_path(data, frame), assigned, successor)

    return State(name, "Choice", enter)


def compile_succeed_state(name: str, fields: Fields) -> State:
    """Compile a Succeed: it ends with its input."""
    input_path, output_path = fields.path("InputPath"), fields.path("OutputPath")
    if fields.is_jsonata:
        output_query = fields.template("Output")
        output_path = output_query or output_path

    def enter(advance: "Advance", frame: "Frame") -> None:
        output = output_path(input_path(frame.input, frame), frame)
        advance.leave(frame, output, None, None)

    return State(name, "Succeed", enter)


def compile_fail(name: str, fields: Fields) -> State:
    """Compile a Fail: it fails with an error and a cause."""
    error, cause = (_text_reader(fields, field) for field in ("Error", "Cause"))

    def enter(advance: "Advance", frame: "Frame") -> None:
        advance.fail(frame, StateFailure(error(frame.input, frame), cause(frame.input, frame)))

    return State(name, "Fail", enter)


def _text(value: JSON, path: str) -> str:
    if not isinstance(value, str):
        raise TerminalFailure(f"The {path} field must lead to text, not to {to_plain_text(value)}")
    return value


def _text_reader(fields: Fields, field: str) -> Reader:
    path = f"{field}Path"
    query = fields.queried(field, "string")
    if query is not None:
        return lambda data, scope: query({"input": data}, scope)
    if fields.is_jsonata:
        literal = fields.get(field, str)
        return lambda _data, _scope: literal
    if fields.one_of(field, path) == path:
        read = compile_expression(fields.value[path], path, fields.place)
        return lambda data, scope: _text(read(data, scope), path)
    text = fields.get(field, str)
    return lambda _data, _scope: text


def compile_wait(name: str, fields: Fields) -> State:
    """Compile a Wait: for a number of seconds, or until a timestamp, which may be past."""
    input_path, due = fields.path("InputPath"), _due(fields)
    leave = compile_leave(fields)

    def enter(advance: "Advance", frame: "Frame") -> None:
        moment = due(input_path(frame.input, frame), frame, advance.now)
        if moment > advance.now + _LONGEST_WAIT:
            raise TerminalFailure("Wait state delay is too long.")
        advance.wait(frame, "wait", max(moment, advance.now))

    def on_answer(advance: "Advance", frame: "Frame", _signal: "Signal") -> None:
        data = input_path(frame.input, frame)
        leave(advance, frame, data, data)

    return State(name, "Wait", enter, on_answer)


def _due(fields: Fields) -> "Callable[[JSON, Scope, float], float]":
    """Compile the end of a Wait to a function of its data, its scope and the time now."""
    names = _QUERIED_DUES if fields.is_jsonata else _DUES
    field = fields.one_of(*names)
    if field is None:
        raise fields.refuse(f"One of {', '.join(names)} is required")
    query = fields.queried(field, "number" if field == "Seconds" else "string")
    if query is not None:
        return _queried_due(field, query)
    value = fields.value[field]
    if field == "Seconds":
        seconds = fields.number("Seconds", None, 0, MAX_SECONDS)
        return lambda _data, _scope, now: now + seconds
    if field == "Timestamp":
        moment = parse_timestamp(value)
        if moment is None:
            raise fields.refuse("String does not match RFC3339 timestamp", "Timestamp")
        return lambda _data, _scope, _now: moment
    read = fields.path(field, f"The {field} parameter does not reference an input value: {value}")
    moment_of = _seconds_from_now if field == "SecondsPath" else _moment
    return lambda data, scope, now: moment_of(value, read(data, scope), now)


def _seconds_from_now(path: str, value: JSON, now: float) -> float:
    shown = f"{path} == {to_plain_text(value)}"
    if type(value) is not int:
        problem = "cannot be parsed as a long value"
        raise TerminalFailure(f"The SecondsPath parameter {problem}: {shown}")
    if value < 0:
        raise TerminalFailure(f"The SecondsPath parameter references a negative value: {shown}")
    return now + value


def _moment(path: str, value: JSON, _now: float) -> float:
    moment = parse_timestamp(value)
    if moment is None:
        shown = f"{path} == {to_plain_text(value)}"
        problem = "does not reference a valid ISO-8601 extended offset date-time format string"
        raise TerminalFailure(f"The TimestampPath parameter {problem}: {shown}")
    return moment


def _queried_due(field: str, query: Query) -> "Callable[[JSON, Scope, float], float]":
    """Return the end of a Wait whose field is a JSONata expression."""

    def due(data: JSON, scope: Scope, now: float) -> float:
        value = query({"input": data}, scope)
        if field == "Timestamp":
            moment = parse_timestamp(value)
            if moment is None:
                problem = "cannot be parsed as an ISO-8601 extended offset date-time format string"
                raise QueryFailure(f"The Timestamp field {problem}: {value}")
            return moment
        if type(value) is not int:
            raise QueryFailure(f"The Seconds field cannot be parsed as an integer: {value}")
        if not 0 <= value <= MAX_SECONDS:
            raise QueryFailure(f"Seconds must be between 0 and {MAX_SECONDS} but was: {value}")
        return now + value

    return due
