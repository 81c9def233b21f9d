"""Filters of JSONPath, such as ``[?(@.status == 0 && @.year > 1990)]``, as in Jayway JsonPath.

Terms are joined by ``&&`` and ``||``, without parentheses; values of two types are never equal and
have no order. Regular expressions (``=~``) are refused: AWS does not support them ("Using JSONPath
paths", AWS Step Functions Developer Guide), and their matching time is unbounded.
"""

import json
import operator
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from infra.asl.errors import ExpressionError, PathNotFoundError
from infra.asl.expressions.values import JSON

Predicate: TypeAlias = Callable[[JSON], bool]

_TERM = re.compile(
    r"""\s*(?P<negated>!?)\s*@(?P<path>(?:\.[\w-]+|\[(?:'[^']*'|-?\d+)\])*)\s*
    (?: (?P<relation>==|!=|<=|>=|<|>)\s*(?P<literal>'[^']*'|"[^"]*"|-?\d+(?:\.\d+)?|true|false|null)
    )?\s*(?P<then>&&|\|\||\)\])""",
    re.VERBOSE,
)
_REGULAR_EXPRESSION = re.compile(r"[^&|=]*=~")
_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
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

    def holds(node: JSON) -> bool:
        try:
            return test(read(node, None)) is not negated
        except PathNotFoundError:
            return negated

    return holds


def _test(term: re.Match[str]) -> Predicate:
    if term["relation"] is None:
        return lambda _value: True
    relation, text = _RELATIONS[term["relation"]], term["literal"]
    literal = text[1:-1] if text[0] in "'\"" else json.loads(text)
    kinds = (int, float) if type(literal) in (int, float) else (type(literal),)
    ordered = kinds != (type(None),) or relation in (operator.eq, operator.ne)
    return lambda value: (
        ordered and relation(value, literal) if type(value) in kinds else relation is operator.ne
    )
