"""Choice in JSONata: each rule has a Condition, and its own Output and Assign."""

from typing import TYPE_CHECKING, TypeAlias

from infra.asl.errors import TerminalFailure
from infra.asl.expressions.query import Query
from infra.asl.fields import Fields
from infra.asl.states.state import State

if TYPE_CHECKING:
    from infra.asl.execution import Frame
    from infra.asl.interpreter import Advance

Exit: TypeAlias = tuple[Query | None, Query | None, str | None]
"""Output, Assign and successor."""


def compile_query_choice(name: str, fields: Fields) -> State:
    """Compile a Choice: the first rule whose condition is true, else the state's own fields."""
    fields.require("Choices", list)
    choices = [_compile_rule(rule) for rule in fields.each("Choices")]
    default = fields.target("Default") if "Default" in fields else None
    otherwise: Exit = (fields.query("Output"), fields.query("Assign", dict), default)

    def enter(advance: "Advance", frame: "Frame") -> None:
        states = {"input": frame.input}
        holding = (rest for condition, rest in choices if condition(states, frame))
        output, assign, successor = next(holding, otherwise)
        if successor is None:
            problem = "The state does not point to a next state."
            raise TerminalFailure(f"Failed to transition out of the state. {problem}")
        assigned = assign(states, frame) if assign else None
        data = output(states, frame) if output else frame.input
        advance.leave(frame, data, assigned, successor)

    return State(name, "Choice", enter)


def _compile_rule(rule: Fields) -> tuple[Query, Exit]:
    condition = rule.queried("Condition", "boolean")
    if condition is None:
        literal = rule.value.get("Condition")
        if "Condition" not in rule:
            raise rule.refuse("The field 'Condition' is required but was missing")
        if not isinstance(literal, bool):
            raise rule.refuse("Expected value of type Boolean or a JSONata expression", "Condition")
        rule.unread.discard("Condition")
        condition = _constant(value=literal)
    return condition, (rule.query("Output"), rule.query("Assign", dict), rule.target("Next"))


def _constant(*, value: bool) -> Query:
    return lambda _states, _scope: value
