"""Filters of JSONPath, such as ``[?(@.status == 0 && @.year > 1990)]``, as in Jayway JsonPath.

Terms are joined by ``&&`` and ``||``, without parentheses. ``==`` compares a number and a text by
their texts or values, ``===`` requires one type; values of two types have no order. A field that is
missing differs from every literal. ``@`` matches no scalar value. Regular expressions (``=~``) are
refused: AWS does not support them ("Using JSONPath paths", AWS Step Functions Developer Guide), and
their matching time is unbounded.
"""

import json
import operator
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from infra.asl.errors import ExpressionError, PathNotFoundError
from infra.asl.expressions.values import JSON

Predicate: TypeAlias = Callable[[JSON], bool]

_TERM = re.compile(
    r"""\s*(?P<negated>!?)\s*@(?P<path>(?:\.[\w-]+|\[(?:'[^']*'|-?\d+)\])*)\s*
    (?: (?P<relation>===|!==|==|!=|<=|>=|<|>)\s*
        (?P<literal>'[^']*'|"[^"]*"|-?\d+(?:\.\d+)?|true|false|null)
    )?\s*(?P<then>&&|\|\||\)\])""",
    re.VERBOSE,
)
_NUMBERS = (int, float)
_REGULAR_EXPRESSION = re.compile(r"[^&|=]*=~")
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def parse_filter(
    text: str, position: int, compile_path: Callable[[str], Any]
) -> tuple[Predicate, int]:
    """Parse the filter at ``position``; return its predicate and the position after it.

    Raises
    ------
    ExpressionError
        The text is not a supported filter.
    """
    alternatives: list[list[Predicate]] = [[]]
    then = ""
    while then != ")]":
        term = _TERM.match(text, position)
        if term is None:
            if _REGULAR_EXPRESSION.match(text, position):
                raise ExpressionError("a filter by a regular expression (=~) is not supported")
            raise ExpressionError(f"'{text[position:]}' is not a supported filter")
        alternatives[-1].append(_term(term, compile_path("$" + term["path"])))
        then, position = term["then"], term.end()
        if then == "||":
            alternatives.append([])
    return lambda node: any(all(holds(node) for holds in terms) for terms in alternatives), position


def _term(term: re.Match[str], read: Callable[[JSON, Any], JSON]) -> Predicate:
    test = _test(term)
    negated = bool(term["negated"])
    missing = term["relation"] in ("!=", "!==")

    def holds(node: JSON) -> bool:
        if not isinstance(node, (dict, list)):
            return False
        try:
            return test(read(node, None)) is not negated
        except PathNotFoundError:
            return missing is not negated

    return holds


def _test(term: re.Match[str]) -> Predicate:
    if term["relation"] is None:
        return lambda _value: True
    sign, text = term["relation"], term["literal"]
    literal = text[1:-1] if text[0] in "'\"" else json.loads(text)
    if sign in _RELATIONS:
        relation = _RELATIONS[sign]
        kinds = (
            _NUMBERS if type(literal) in _NUMBERS else (str,) if isinstance(literal, str) else ()
        )
        return lambda value: type(value) in kinds and relation(value, literal)
    equal = sign in ("==", "===")
    compare = _is_same if len(sign) == len("===") else _is_equal
    return lambda value: compare(value, literal) is equal


def _is_same(value: JSON, literal: JSON) -> bool:
    """Return whether two values have one type and are equal."""
    kinds = _NUMBERS if type(literal) in _NUMBERS else (type(literal),)
    return type(value) in kinds and value == literal


def _is_equal(value: JSON, literal: JSON) -> bool:
    """Return whether two values are equal, as Jayway converts the second one.

    A text equals a number with this text; a number equals a text that has this value.
    """
    if isinstance(value, str) and type(literal) in _NUMBERS:
        return value == json.dumps(literal)
    if type(value) in _NUMBERS and isinstance(literal, str):
        try:
            return Decimal(literal) == Decimal(str(value))
        except InvalidOperation:
            return False
    return _is_same(value, literal)
