"""Payload templates: a field whose name ends in ``.$`` is a path or an intrinsic function."""

from collections.abc import Mapping

from infra.asl.errors import DefinitionError, ExpressionError, TerminalFailure
from infra.asl.expressions.intrinsics import compile_intrinsic
from infra.asl.expressions.paths import Reader, Scope, compile_path
from infra.asl.expressions.values import JSON, to_json_text


def compile_expression(text: JSON, field: str, place: str) -> Reader:
    """Compile the path or the intrinsic function of a field.

    The reader raises TerminalFailure if a path selects nothing.

    Raises
    ------
    DefinitionError
        The text is neither a path nor a call of an intrinsic function.
    """
    what = f"The JSONPath '{text}' specified for the field '{field}'"

    def failure(searched: JSON, _error: Exception) -> TerminalFailure:
        text = to_json_text(searched)
        return TerminalFailure(f"{what} could not be found in the input '{text}'")

    try:
        if isinstance(text, str) and not text.startswith("$"):
            return compile_intrinsic(text)
        return compile_path(text, failure)
    except ExpressionError as error:
        problem = f"The value for the field '{field}' must be a valid JSONPath or a valid intrinsic"
        raise DefinitionError(place, f"{problem} function call") from error


def compile_template(template: JSON, place: str) -> Reader:
    """Compile a template to a function of the data and the scope.

    Raises
    ------
    DefinitionError
        A field of the template is not a valid expression.
    """
    return _compile(template, place) or (lambda _data, _scope: template)


def _compile(template: JSON, place: str) -> Reader | None:
    """Compile a template to the function that fills it in; return None if it is constant."""
    if isinstance(template, Mapping):
        computed: dict[str, Reader] = {}
        for field, value in template.items():
            if field.endswith(".$"):
                computed[field[:-2]] = compile_expression(value, field, place)
            elif inner := _compile(value, f"{place}/{field}"):
                computed[field] = inner
        constants = {field.removesuffix(".$"): value for field, value in template.items()}
        return _filler(constants, computed) if computed else None
    if isinstance(template, list):
        parts = [(item, _compile(item, f"{place}[{at}]")) for at, item in enumerate(template)]
        if any(inner for _, inner in parts):
            return lambda data, scope: [
                inner(data, scope) if inner else item for item, inner in parts
            ]
    return None


def _filler(constants: dict[str, JSON], computed: dict[str, Reader]) -> Reader:
    def fill(data: JSON, scope: Scope) -> JSON:
        filled = dict(constants)
        for field, compute in computed.items():
            filled[field] = compute(data, scope)
        return filled

    return fill
