"""The rules of a Choice state.

A comparison of two types is false, never an error. A path that selects nothing ends the execution,
except in IsPresent. Source: "Choice state" in the AWS Step Functions Developer Guide.
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from infra.asl.errors import DefinitionError, ExpressionError, TerminalFailure
from infra.asl.expressions.paths import Reader, Scope, compile_path
from infra.asl.expressions.values import JSON, parse_timestamp

Rule: TypeAlias = Callable[[JSON, Scope], bool]
Convert: TypeAlias = Callable[[JSON], Any]
Relation: TypeAlias = Callable[[Any, Any], bool]


def _of_type(*kinds: type) -> Convert:
    return lambda value: value if type(value) in kinds else None


_CONVERSIONS: dict[str, Convert] = {
    "Boolean": _of_type(bool),
    "Numeric": _of_type(int, float),
    "String": _of_type(str),
    "Timestamp": parse_timestamp,
}
_RELATIONS: dict[str, Relation] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
_COMPARISONS = {
    kind + relation: (convert, compare)
    for kind, convert in _CONVERSIONS.items()
    for relation, compare in _RELATIONS.items()
    if kind != "Boolean" or relation == "Equals"
}
_NOT_OPERATORS = {"Variable", "Next", "Assign", "Comment"}


def compile_rule(rule: JSON, place: str) -> Rule:
    """Compile a rule and its nested rules to a predicate; raise DefinitionError if invalid."""
    tests = (
        [name for name in rule if name not in _NOT_OPERATORS] if isinstance(rule, Mapping) else []
    )
    if len(tests) != 1:
        raise DefinitionError(place, "A Choice Rule must have exactly one comparison operator")
    name, operand, place = tests[0], rule[tests[0]], f"{place}/{tests[0]}"
    if name == "Not":
        negated = compile_rule(operand, place)
        return lambda data, scope: not negated(data, scope)
    if name in ("And", "Or"):
        if not isinstance(operand, list) or not operand:
            raise DefinitionError(place, "Expected a non-empty value of type Array")
        rules = [compile_rule(inner, f"{place}[{index}]") for index, inner in enumerate(operand)]
        combine = all if name == "And" else any
        return lambda data, scope: combine(inner(data, scope) for inner in rules)
    variable = _operand(rule.get("Variable"), place)
    if name == "IsPresent" and isinstance(operand, bool):
        return lambda data, scope: _is_present(variable, data, scope) is operand
    if name.removesuffix("Path") in _COMPARISONS and name.endswith("Path"):
        return _compare(variable, _operand(operand, place), *_COMPARISONS[name[:-4]])
    test = _test(name, operand)
    if test is None:
        raise DefinitionError(place, "The comparison operator is not known, or its value not valid")
    return lambda data, scope: test(variable(data, scope))


def _test(name: str, operand: JSON) -> Callable[[JSON], bool] | None:
    """Compile an operator with a constant operand; return None for an unknown operator."""
    if name == "StringMatches" and isinstance(operand, str):
        parts = _parts(operand)
        return lambda value: isinstance(value, str) and _has_in_order(value, parts)
    if name == "IsNull" and isinstance(operand, bool):
        return lambda value: (value is None) is operand
    if name.startswith("Is") and isinstance(operand, bool):
        convert = _CONVERSIONS.get(name.removeprefix("Is"))
        return convert and (lambda value: (convert(value) is not None) is operand)
    if name in _COMPARISONS:
        convert, compare = _COMPARISONS[name]
        expected = convert(operand)
        if expected is not None:
            return lambda value: (
                (converted := convert(value)) is not None and compare(converted, expected)
            )
    return None


def _compare(left: Reader, right: Reader, convert: Convert, compare: Relation) -> Rule:
    def rule(data: JSON, scope: Scope) -> bool:
        first, second = convert(left(data, scope)), convert(right(data, scope))
        return first is not None and second is not None and compare(first, second)

    return rule


def _is_present(variable: Reader, data: JSON, scope: Scope) -> bool:
    try:
        variable(data, scope)
    except TerminalFailure:
        return False
    return True


def _operand(text: JSON, place: str) -> Reader:
    problem = "The choice state's condition path references an invalid value."
    cause = f"Invalid path '{text}': {problem}"
    try:
        return compile_path(text, lambda _searched, _error: TerminalFailure(cause))
    except ExpressionError as error:
        raise DefinitionError(place, f"Value is not a Reference Path: {error}") from error


def _parts(text: str) -> list[str]:
    r"""Return the texts between the stars of a pattern; `\*` is a star, `\\` a backslash."""
    parts = [""]
    for piece in re.findall(r"\\[*\\]|.", text, re.DOTALL):
        if piece == "*":
            parts.append("")
        else:
            parts[-1] += piece[-1]
    return parts


def _has_in_order(value: str, parts: list[str]) -> bool:
    """Return whether a text consists of these parts with any text between them.

    Each part matches at its first occurrence, so the time is linear for any number of stars.
    """
    first, *rest = parts
    if not rest:
        return value == first
    *middle, last = rest
    at, end = len(first), len(value) - len(last)
    if at > end or not value.startswith(first) or not value.endswith(last):
        return False
    for part in middle:
        at = value.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
