"""The intrinsic functions of the Amazon States Language: ``States.Format('{}!', $.name)``.

Source: "Intrinsic functions for JSONPath states" in the AWS Step Functions Developer Guide.
"""

import base64
import hashlib
import json
import math
import random
import re
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

from infra.asl.errors import ExpressionError, IntrinsicError, TerminalFailure
from infra.asl.expressions.paths import Reader, Scope, compile_path
from infra.asl.expressions.values import JSON, to_json_text, to_plain_text
from kernel import json_text

Chance: TypeAlias = Callable[[], float]
Convert: TypeAlias = Callable[[JSON], Any]

MAX_NESTED = 10
"""Maximum number of calls within each other ("Intrinsic functions", in the source)."""

_MAX_CHARACTERS = 10_000
_MAX_ITEMS = 1_000
_HASHES = ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512")

_CALL = re.compile(r"States\.(\w+)\s*\(\s*")
_BETWEEN = re.compile(r"\s*(?:,\s*(?!\))|(?=\)))")
_LITERAL = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_STRING = re.compile(r"'((?:[^'\\]|\\['\\{}])*)'", re.DOTALL)
_PATH = re.compile(r"""\$(?:\[(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\]'"])*\]|[^\s,()\[\]])*""")


class _Quoted(str):
    """A string literal before unescaping: Format distinguishes braces from escaped braces."""

    __slots__ = ()


def compile_intrinsic(text: str) -> Reader:
    """Compile a call with its nested calls and paths.

    The reader raises TerminalFailure if a path selects nothing or a function rejects an argument.

    Raises
    ------
    ExpressionError
        The text is not a call of a known function.
    """
    try:
        call, end = _compile_call(text, 0, 1)
    except ValueError as error:
        raise ExpressionError(f"cannot be read: {type(error).__name__}") from None
    if text[end:].strip():
        raise ExpressionError(f"unexpected text after the call: '{text[end:]}'")

    def read(data: JSON, scope: Scope) -> JSON:
        try:
            return call(data, scope)
        except IntrinsicError as error:
            problem = f"The function '{text}' had the following error: {error}"
            raise TerminalFailure(problem) from error
        except (MemoryError, OverflowError, RecursionError, ValueError) as error:
            # a number out of range, or JSON text nested too deep for the parser
            problem = f"The function '{text[:80]}' had the following error: {error!r}"
            raise TerminalFailure(problem[:1_000]) from None

    return read


def _compile_call(text: str, start: int, depth: int) -> tuple[Reader, int]:
    if depth > MAX_NESTED:
        raise ExpressionError(f"calls are nested deeper than {MAX_NESTED} levels")
    match = _CALL.match(text, start)
    if match is None or match[1] not in _FUNCTIONS:
        raise ExpressionError(f"no function is called at '{text[start:]}'")
    function, converters, rest = _FUNCTIONS[match[1]]
    arguments: list[Reader] = []
    position = match.end()
    while not text.startswith(")", position):
        argument, position = _compile_argument(text, position, depth)
        arguments.append(argument)
        between = _BETWEEN.match(text, position)
        if between is None:
            raise ExpressionError(f"',' or ')' is missing at '{text[position:]}'")
        position = between.end()
    if rest is not None:
        converters = (*converters, *(len(arguments) - len(converters)) * (rest,))
    if len(converters) != len(arguments):
        raise ExpressionError(f"States.{match[1]} does not take {len(arguments)} arguments")
    if match[1] == "Format" and (literal := _STRING.match(text, match.end())):
        lone = _lone_brace(literal[1])
        if lone is not None:
            raise ExpressionError(lone)
    pairs = list(zip(converters, arguments, strict=True))

    def call(data: JSON, scope: Scope) -> JSON:
        values = [convert(argument(data, scope)) for convert, argument in pairs]
        return function(scope.random, *values)

    return call, position + 1


def _compile_argument(text: str, position: int, depth: int) -> tuple[Reader, int]:
    if (string := _STRING.match(text, position)) is not None:
        return lambda _data, _scope: _Quoted(string[1]), string.end()
    if (literal := _LITERAL.match(text, position)) is not None:
        value = json.loads(literal[0])
        return lambda _data, _scope: value, literal.end()
    if (path := _PATH.match(text, position)) is None:
        return _compile_call(text, position, depth + 1)
    what = f"The JsonPath argument for the field '{path[0]}'"

    def failure(searched: JSON, _error: Exception) -> IntrinsicError:
        text = to_json_text(searched)
        return IntrinsicError(f"{what} could not be found in the input '{text}'")

    return compile_path(path[0], failure), path.end()


def _any(value: JSON) -> JSON:
    return re.sub(r"\\(.)", r"\1", value) if isinstance(value, _Quoted) else value


def _template(value: JSON) -> str:
    return value if isinstance(value, _Quoted) else re.sub(r"(\\)", r"\\\1", _string(value))


def _of_type(kind: type, name: str) -> Callable[[JSON], Any]:
    def convert(value: JSON) -> Any:
        if not isinstance(value, kind):
            raise IntrinsicError(f"{to_json_text(value)} is not {name}")
        return _any(value)

    return convert


_array, _object = _of_type(list, "an array"), _of_type(dict, "an object")
_unlimited = _of_type(str, "a string")


def _string(value: JSON) -> str:
    text: str = _unlimited(value)
    if len(text) > _MAX_CHARACTERS:
        raise IntrinsicError(f"the string has more than {_MAX_CHARACTERS} characters")
    return text


def _integer(value: JSON) -> int:
    """Return the nearest integer; AWS rounds halves up (-1.5 is -1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise IntrinsicError(f"{to_json_text(value)} is not a number")
    return value if isinstance(value, int) else math.floor(value + 0.5)


def _check(condition: object, problem: str) -> None:
    if not condition:
        raise IntrinsicError(problem)


def _lone_brace(template: str) -> str | None:
    """Return AWS's problem with a brace that is neither escaped nor part of ``{}``, or None."""
    rest = re.sub(r"\\.|\{\}", "", template, flags=re.DOTALL)
    if "{" in rest:
        return "matching '}' not found for '{'"
    return "matching '{' not found for '}'" if "}" in rest else None


def _shown(value: JSON) -> str:
    """Return a value as Format writes it: objects and arrays as Java does, not as JSON."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={_shown(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return to_plain_text(value)


def _format(_: Chance, template: str, *values: JSON) -> str:
    lone = _lone_brace(template)
    _check(lone is None, str(lone))
    pieces = re.split(r"(?<!\\)\{\}", template)
    _check(len(pieces) == len(values) + 1, "Number of arguments do not match the occurrences of {}")
    shown = map(_shown, values)
    plain = [re.sub(r"\\(.)", r"\1", piece) for piece in pieces]
    return plain[0] + "".join(map(str.__add__, shown, plain[1:]))


def _string_to_json(_: Chance, text: str) -> JSON:
    try:
        return json_text.read(text) if text.strip() else None
    except ValueError as error:
        raise IntrinsicError(f"Invalid JSON: {error}") from error


def _array_partition(_: Chance, array: list[JSON], size: int) -> list[JSON]:
    _check(size > 0, "The chunk size must be positive")
    return [array[start : start + size] for start in range(0, len(array), size)]


def _array_range(_: Chance, first: int, last: int, step: int) -> list[int]:
    _check(step, "The step must not be zero")
    numbers = range(first, last + (1 if step > 0 else -1), step)
    _check(len(numbers) <= _MAX_ITEMS, f"The range has more than {_MAX_ITEMS} items")
    return list(numbers)


def _array_item(_: Chance, array: list[JSON], index: int) -> JSON:
    _check(0 <= index < len(array), f"The index {index} is out of bounds")
    return array[index]


def _array_unique(_: Chance, array: list[JSON]) -> list[JSON]:
    unique: dict[str, JSON] = {}
    for item in array:
        unique.setdefault(json.dumps(item, sort_keys=True), item)
    return list(unique.values())


def _array_contains(_: Chance, array: list[JSON], value: JSON) -> bool:
    texts = (json.dumps(item, sort_keys=True) for item in array)
    return json.dumps(value, sort_keys=True) in texts


def _base64_decode(_: Chance, text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError as error:
        raise IntrinsicError(f"Invalid Base64: {error}") from error


def _hash(_: Chance, data: str, algorithm: str) -> str:
    _check(algorithm in _HASHES, f"The algorithm is not one of {', '.join(_HASHES)}")
    return hashlib.new(algorithm.replace("-", ""), data.encode()).hexdigest()


def _json_merge(_: Chance, left: dict[str, JSON], right: dict[str, JSON], deep: JSON) -> JSON:
    _check(deep is False, "Only the shallow merge, false, is supported")
    return {**left, **right}


def _math_random(chance: Chance, first: int, last: int, *seed: int) -> int:
    _check(first < last, "The start must be less than the end")
    drawn = random.Random(seed[0]).random() if seed else chance()  # noqa: S311
    return first + math.floor(drawn * (last - first))


def _string_split(_: Chance, text: str, separators: str) -> list[str]:
    """Split at each separator and drop empty parts, as AWS does."""
    parts = re.split(f"[{re.escape(separators)}]", text) if separators else [text]
    return [part for part in parts if part]


def _uuid(chance: Chance) -> str:
    number = sum(math.floor(chance() * 2**32) << shift for shift in (0, 32, 64, 96))
    return str(uuid.UUID(int=number, version=4))


_FUNCTIONS: dict[str, tuple[Callable[..., JSON], tuple[Convert, ...], Convert | None]] = {
    "Array": (lambda _, *values: list(values), (), _any),
    "ArrayContains": (_array_contains, (_array, _any), None),
    "ArrayGetItem": (_array_item, (_array, _integer), None),
    "ArrayLength": (lambda _, array: len(array), (_array,), None),
    "ArrayPartition": (_array_partition, (_array, _integer), None),
    "ArrayRange": (_array_range, (_integer, _integer, _integer), None),
    "ArrayUnique": (_array_unique, (_array,), None),
    "Base64Decode": (_base64_decode, (_string,), None),
    "Base64Encode": (lambda _, text: base64.b64encode(text.encode()).decode(), (_string,), None),
    "Format": (_format, (_template,), _any),
    "Hash": (_hash, (_string, _string), None),
    "JsonMerge": (_json_merge, (_object, _object, _any), None),
    "JsonToString": (lambda _, value: to_json_text(value), (_any,), None),
    "MathAdd": (lambda _, left, right: left + right, (_integer, _integer), None),
    "MathRandom": (_math_random, (_integer, _integer), _integer),
    "StringSplit": (_string_split, (_string, _string), None),
    "StringToJson": (_string_to_json, (_unlimited,), None),
    "UUID": (_uuid, (), None),
}
"""By name: the function, whose first argument is the random source; the converters of its
arguments; the converter of further arguments, or None if there are none."""
