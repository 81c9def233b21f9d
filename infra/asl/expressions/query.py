"""JSONata in a definition: a text ``{% ... %}`` in any value of a field is an expression.

Source: "Transforming data with JSONata in Step Functions" in the AWS Step Functions Developer
Guide; states-language.net, "JSONata".
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from infra.asl.errors import DefinitionError, QueryFailure
from infra.asl.expressions.paths import Scope
from infra.asl.expressions.values import JSON, to_json_text
from infra.asl.queries.client import CLIENT, Client, QueryProblem

Fill: TypeAlias = Callable[[list[JSON]], JSON]
Query: TypeAlias = Callable[[Mapping[str, JSON], Scope], JSON]
"""A function of ``$states`` without ``context``, and the scope."""

_READS = re.compile(r"\$states\s*\.\s*`?(result|errorOutput)\b")
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|/\*.*?\*/""", re.DOTALL)
"""Texts and comments of an expression, which read nothing."""

_NAMES: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def is_query(value: JSON) -> bool:
    """Return whether a value is a JSONata expression."""
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}")


def compile_query(
    value: JSON,
    field: str,
    place: str,
    expected: str | None = None,
    known: Collection[str] = (),
) -> Query:
    """Compile a field's value with all its expressions, which one request evaluates.

    A result of another type than ``expected`` (``array``, ``number`` …) raises QueryFailure.
    ``known`` are those of ``result`` and ``errorOutput`` that ``$states`` has in this field.

    Raises
    ------
    DefinitionError
        An expression has a syntax error, or reads a part of ``$states`` that is not ``known``.
    """
    texts: list[str] = []
    places: list[str] = []
    fill = _compile(value, field, texts, places)
    client = CLIENT.get()
    for text, inner in zip(texts, places, strict=True):
        at_text = f"{place}{inner.removeprefix(field)}"
        _check(client, text, at_text)
        _check_reads(text, at_text, known)

    def query(states: Mapping[str, JSON], scope: Scope) -> JSON:
        if not texts:
            return value
        given = {**states, "context": scope.context}
        try:
            values = client.evaluate(texts, given, scope.variables, scope.now, scope.random())
        except QueryProblem as error:
            at = error.index
            raise QueryFailure(_cause(texts[at], places[at], error)) from None
        result = fill(values)
        name = _NAMES[type(result)]
        if expected is not None and name != expected:
            problem = f"Expected '{expected}', but was '{name}' for value: {to_json_text(result)}"
            what = f"{_about(texts[0], field)} returned an unexpected result type."
            raise QueryFailure(f"{what} {problem}")
        return result

    return query


def _compile(value: JSON, field: str, texts: list[str], places: list[str]) -> Fill:
    if is_query(value):
        at = len(texts)
        texts.append(value[2:-2].strip())
        places.append(field)
        return lambda values: values[at]
    if isinstance(value, Mapping):
        items = {
            key: _compile(item, f"{field}/{key}", texts, places) for key, item in value.items()
        }
        return lambda values: {key: fill(values) for key, fill in items.items()}
    if isinstance(value, list):
        entries = [
            _compile(item, f"{field}[{index}]", texts, places) for index, item in enumerate(value)
        ]
        return lambda values: [fill(values) for fill in entries]
    return lambda _values: value


def _check(client: Client, text: str, place: str) -> None:
    try:
        client.check(text)
    except QueryProblem as problem:
        reason = f"The value is not a valid JSONata expression: {problem}"
        raise DefinitionError(place, reason) from None


def _check_reads(text: str, place: str, known: Collection[str]) -> None:
    for name in _READS.findall(_QUOTED.sub("''", text)):
        if name not in known:
            problem = f"'$states.{name}' is not accessible in this field"
            raise DefinitionError(place, problem)


def _about(text: str, field: str) -> str:
    return f"The JSONata expression '{text}' specified for the field '{field}'"


def _cause(text: str, field: str, problem: QueryProblem) -> str:
    about = _about(text, field)
    if problem.kind == "undefined":
        return f"{about} returned nothing (undefined)."
    if problem.kind == "unsupported":
        return f"{about} returned an unsupported result type."
    return f"{about} threw an error during evaluation. {problem}"
