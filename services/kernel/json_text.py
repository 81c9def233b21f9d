"""JSON text: one rule for what is taken from outside, and reading and writing what was taken.

`read` takes text from a sender: PutEvents, HTTP bodies, execution inputs, event patterns' test
events, files, queue messages. It refuses what AWS refuses or what no JSON reader agrees on. `parse`
and `write` carry what was taken: no depth and no integer that `read` let in makes them fail.

The limits, with their source:

=====================  ============================================================================
nesting                1,000 levels (EventBridge API Reference, PutEvents); 1,100 for what the
                       platform makes of it
numbers                finite as a double; integers stay exact, up to 309 digits
text                   UTF-8 or `str`, no lone surrogate (RFC 8259, section 8.2)
a name given twice     the last one counts, as in event-ruler and in Python
size                   each interface has its own limit (such as `lambda_support.batches.MAX_BYTES`)
=====================  ============================================================================

Definitions, event patterns and templates are nested 1,000 levels at most as well. So all recursion
is bounded, and each thread's stack carries it (`_make_room`).
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
with suppress(ImportError):  # Lambda's layer leaves it out: a function reads few documents
    import orjson

    _quick = orjson

MAX_DEPTH = 1_000
"""Levels of nesting (EventBridge API Reference, PutEvents)."""

MAX_CARRIED = MAX_DEPTH + 100
"""Levels of what the platform makes of such a value: an envelope, a letter, a state's data."""

_FRAMES = 6_000
"""Python's recursion limit: what takes the most calls a level, three, needs 3,300."""

_STACK = 8 * 1024 * 1024
"""Bytes of a thread's stack.

In the ways in which the code recurses, `_FRAMES` calls take 3.5 MiB (x86-64, Python 3.11 to 3.13).
"""

_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
"""The least digits of an integer beyond 64 bits, once each digit is a zero."""


def _make_room() -> None:
    """Raise the recursion limit, and give threads the stack for it: without, the process crashes.

    A thread would have what the C library gives: 2 MiB under ``ulimit -s unlimited``, 128 KiB with
    musl. The main thread's stack grows up to the limit that ``ulimit -s`` sets.
    """
    threading.stack_size(_STACK)
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    with suppress(ValueError):  # the machine allows no stack of this size: all stays as it was
        if 0 <= soft < _STACK:  # unlimited is below 0
            resource.setrlimit(resource.RLIMIT_STACK, (_STACK, hard))
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES))


_make_room()


class InvalidJSON(ValueError):
    """A text is not JSON, or is beyond the limits; the message says which.

    ``error`` says where the text is no JSON, if it is none.
    """

    def __init__(self, message: str, error: json.JSONDecodeError | None = None) -> None:
        super().__init__(message)
        self.error = error


def read(text: str | bytes, depth: int = MAX_DEPTH) -> Any:
    """Return the value of JSON text that came from outside.

    ``depth`` is the levels that it may have.

    Raises
    ------
    InvalidJSON
        The text is not JSON, is nested too deep, or has a number beyond a double.
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
    """Return the value of JSON text that the platform itself has written.

    ``exact`` says whether it has a long number, where the caller knows (`has_long_number`).
    """
    if has_long_number(text) if exact is None else exact:
        return _exact(text)
    try:
        return _quick.loads(text)
    except ValueError:
        return _exact(text)  # nested deeper than orjson reads


def write(value: Any) -> bytes:
    """Return a value as JSON text in UTF-8.

    Raises
    ------
    TypeError, ValueError, RecursionError
        The value is no JSON, has a lone surrogate, or is nested deeper than Python recurses.
    """
    try:
        text: bytes = _quick.dumps(value)
    except TypeError:  # an integer beyond 64 bits, or nested deeper than orjson writes
        text = _Standard.dumps(value)
    return text


def is_too_deep(text: str | bytes, levels: int = MAX_DEPTH) -> bool:
    """Say whether text is nested deeper than so many levels; brackets in strings do not count."""
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
    """Say whether a value has more levels of objects and lists; one that holds itself has."""
    layer = [value]
    for _ in range(levels + 1):
        outer = {id(one): one for one in layer if isinstance(one, (dict, list))}  # each once
        if not outer:
            return False
        layer = [inner for one in outer.values() for inner in _held_by(one)]
    return True


def _held_by(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def _brackets(text: str | bytes) -> int:
    if isinstance(text, str):
        return text.count("{") + text.count("[")
    return text.count(b"{") + text.count(b"[")


def has_long_number(text: str | bytes) -> bool:
    """Say whether text has 19 digits in a row: orjson makes a double of a longer integer.

    A regular expression takes ten times as long.
    """
    content = text.encode(errors="replace") if isinstance(text, str) else text
    return _LONG_NUMBER in content.translate(_DIGITS_AS_ZERO)


def _exact(text: str | bytes) -> Any:
    """Return the value with its integers exact; orjson makes doubles of those beyond 64 bits."""
    return json.loads(text)


def _read_strictly(text: str | bytes) -> Any:
    """Read by the standard library, which takes more than JSON."""
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
    raise InvalidJSON(f"{constant} is no JSON number")


def _finite(literal: str) -> float:
    number = float(literal)
    if number in (float("inf"), float("-inf")):
        raise InvalidJSON("a number is infinity when read as a double")
    return number


def _integer(literal: str) -> int:
    _finite(literal)
    return int(literal)
