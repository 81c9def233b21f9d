"""JSON text: `read` for text from outside, `parse` and `write` for the platform's own text.

`read` takes text from a sender: PutEvents, HTTP bodies, execution inputs, event patterns' test
events, files, queue messages. It refuses text that AWS refuses or that JSON readers read
differently. `parse` and `write` never fail on a depth or an integer that `read` accepted.

The limits, with their source:

=====================  ============================================================================
nesting                1,000 levels (EventBridge API Reference, PutEvents); 1,100 for a value that
                       contains it, such as an envelope
numbers                finite as a double; integers stay exact, up to 309 digits
text                   UTF-8 or `str`, no lone surrogate (RFC 8259, section 8.2)
a repeated name        the last value counts, as in event-ruler and in Python
size                   each interface has its own limit (such as `lambda_support.batches.MAX_BYTES`)
=====================  ============================================================================

Definitions, event patterns and templates have at most 1,000 levels as well. So recursion is
bounded, and each thread's stack is large enough for it (`_make_room`).
"""

import json
import re
import resource
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


class _Standard:
    """The standard library, with the interface of orjson."""

    @staticmethod
    def loads(text: str | bytes) -> Any:
        """Return the value of JSON text, its integers exact."""
        return json.loads(text)

    @staticmethod
    def dumps(value: Any) -> bytes:
        """Return a value as JSON text in UTF-8."""
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()


_quick: Any = _Standard
with suppress(ImportError):  # not in Lambda's layer: a function reads few documents
    import orjson

    _quick = orjson

MAX_DEPTH = 1_000
"""Levels of nesting (EventBridge API Reference, PutEvents)."""

MAX_CARRIED = MAX_DEPTH + 100
"""Levels of a value that contains such a value: an envelope, a dead letter, a state's data."""

_FRAMES = 6_000
"""Python's recursion limit: the deepest code makes three calls a level, 3,300 in all."""

_STACK = 8 * 1024 * 1024
"""Bytes of a thread's stack: `_FRAMES` calls of the recursive code take 3.5 MiB (x86-64, Python
3.11 to 3.13)."""

_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
"""The fewest digits of an integer beyond 64 bits, after each digit was replaced by 0."""


def _make_room() -> None:
    """Raise the recursion limit, and the threads' stack size with it, or the process would crash.

    The C library's default is 2 MiB under ``ulimit -s unlimited``, and 128 KiB with musl. The main
    thread's stack grows up to the limit of ``ulimit -s``.
    """
    threading.stack_size(_STACK)
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    with suppress(ValueError):  # the system does not allow this size: keep the limits
        if 0 <= soft < _STACK:  # unlimited is below 0
            resource.setrlimit(resource.RLIMIT_STACK, (_STACK, hard))
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES))


_make_room()


class InvalidJSON(ValueError):
    """A text is not JSON, or exceeds a limit; the message names the problem.

    ``error`` has the position of a syntax error.
    """

    def __init__(self, message: str, error: json.JSONDecodeError | None = None) -> None:
        super().__init__(message)
        self.error = error


def read(text: str | bytes, depth: int = MAX_DEPTH) -> Any:
    """Parse JSON text from outside, with at most ``depth`` levels.

    Raises
    ------
    InvalidJSON
        The text is not JSON, is nested too deep, or has a number beyond the range of a double.
    """
    if is_too_deep(text, depth):
        raise InvalidJSON(f"is nested deeper than {depth} levels")
    if _quick is _Standard:
        return _read_strictly(text)
    try:
        value = _quick.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidJSON(str(error), error) from None
    return _exact(text) if has_long_number(text) else value


def parse(text: str | bytes, *, exact: bool | None = None) -> Any:
    """Parse JSON text that the platform itself has written.

    ``exact`` is the result of `has_long_number`, if the caller knows it.
    """
    if has_long_number(text) if exact is None else exact:
        return _exact(text)
    try:
        return _quick.loads(text)
    except ValueError:
        return _exact(text)  # too deep for orjson


def write(value: Any) -> bytes:
    """Return a value as JSON text in UTF-8.

    Raises
    ------
    TypeError, ValueError, RecursionError
        The value is not JSON, has a lone surrogate, or is nested deeper than the recursion limit.
    """
    try:
        text: bytes = _quick.dumps(value)
    except TypeError:  # an integer beyond 64 bits, or too deep for orjson
        text = _Standard.dumps(value)
    return text


def is_too_deep(text: str | bytes, levels: int = MAX_DEPTH) -> bool:
    """Return whether text is nested deeper than ``levels``; brackets in strings do not count."""
    if _brackets(text) <= levels:
        return False
    content = text.encode(errors="replace") if isinstance(text, str) else text
    depth = 0
    for bracket in _STRUCTURE.findall(content):
        if bracket in b"[{":
            depth += 1
            if depth > levels:
                return True
        elif bracket in b"]}":
            depth -= 1
    return False


def is_nested_deeper(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Return whether a value has more than ``levels`` of objects and lists, or contains itself."""
    layer = [value]
    for _ in range(levels + 1):
        outer = {id(item): item for item in layer if isinstance(item, (dict, list))}  # each once
        if not outer:
            return False
        layer = [inner for container in outer.values() for inner in _members(container)]
    return True


def _members(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def _brackets(text: str | bytes) -> int:
    if isinstance(text, str):
        return text.count("{") + text.count("[")
    return text.count(b"{") + text.count(b"[")


def has_long_number(text: str | bytes) -> bool:
    """Return whether text has 19 digits in a row: orjson reads longer integers as doubles.

    A regular expression takes ten times as long.
    """
    content = text.encode(errors="replace") if isinstance(text, str) else text
    return _LONG_NUMBER in content.translate(_DIGITS_AS_ZERO)


def _exact(text: str | bytes) -> Any:
    """Parse text with exact integers; orjson reads those beyond 64 bits as doubles."""
    return json.loads(text)


def _read_strictly(text: str | bytes) -> Any:
    """Parse text with the standard library, which by itself accepts more than JSON."""
    try:
        content = text.decode() if isinstance(text, bytes) else text
        content.encode()
        value = json.loads(content, parse_constant=_refuse, parse_float=_finite, parse_int=_integer)
        if "\\u" in content:
            json.dumps(value, ensure_ascii=False).encode()  # raises on a lone surrogate
    except (ValueError, RecursionError) as error:
        raise InvalidJSON(str(error)) from None
    return value


def _refuse(constant: str) -> Any:
    raise InvalidJSON(f"{constant} is not a JSON number")


def _finite(literal: str) -> float:
    number = float(literal)
    if number in (float("inf"), float("-inf")):
        raise InvalidJSON("a number is infinity when read as a double")
    return number


def _integer(literal: str) -> int:
    _finite(literal)
    return int(literal)
