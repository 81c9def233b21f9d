"""The process that evaluates JSONata: it reads requests from its input and answers each of them.

An expression may recurse without end, match a regular expression for years or fill the memory.
All of this happens in this process, which has a time limit for each request and a limit of its
memory; the parent replaces it if it does not answer (`infra.asl.queries.client`).
"""

import json
import math
import os
import re
import resource
import select
import signal
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from infra.asl.queries import functions

MEMORY = 1024 * 1024 * 1024
"""Bytes of address space."""

_FRAMES = 20_000
"""Python's frames; a call of a JSONata function takes about ten."""

_CACHED = 1_000
_POLL = 5.0
_HEADER = 8
_MAX_EXACT = 2**53  # JSONata has JavaScript's numbers


_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|/\*.*?\*/""", re.DOTALL)
"""A text, a quoted name or a comment."""


class TimeLimit(BaseException):
    """The end of a request's time; no ``except Exception`` of a library holds it up."""


class Unsupported(Exception):
    """A result that JSON cannot represent, such as a function."""


def main() -> None:
    """Answer requests until the parent closes the pipe or has ended."""
    _limit()
    requests, answers, parent = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb"), os.getppid()
    os.dup2(2, 1)  # a library that prints must not write into an answer
    while True:
        while not select.select([requests], [], [], _POLL)[0]:
            if os.getppid() != parent:
                return
        header = requests.read(_HEADER)
        if len(header) < _HEADER:
            return
        body = requests.read(int.from_bytes(header, "big"))
        answer = json.dumps(_answer(json.loads(body))).encode()
        _write(answers, answer)


def _write(answers: BinaryIO, answer: bytes) -> None:
    answers.write(len(answer).to_bytes(_HEADER, "big") + answer)
    answers.flush()


def _limit() -> None:
    """Limit memory and recursion; leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, _interrupt)
    sys.setrecursionlimit(_FRAMES)
    with suppress(ValueError, OSError):  # a lower limit is already set, or there is none to set
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _interrupt(_signal: int, _frame: object) -> None:
    raise TimeLimit


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request: the values of its queries, or the first problem.

    A problem is ``[index of the query, kind, text]``; its kind is ``syntax``, ``error``,
    ``undefined``, ``unsupported``, ``time`` or ``memory``.
    """
    values: list[Any] = []
    try:
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        try:
            for text in request["queries"]:
                values.append(_evaluate(text, request))  # noqa: PERF401 - a problem needs the count
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except TimeLimit:
        return {"problem": [len(values), "time", ""]}
    except (MemoryError, RecursionError) as error:
        kind = "memory" if isinstance(error, MemoryError) else "error"
        return {"problem": [len(values), kind, _message(error)]}
    except _Problem as problem:
        return {"problem": [len(values), problem.kind, problem.text]}
    return {"values": values}


class _Problem(Exception):
    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def _evaluate(text: str, request: dict[str, Any]) -> Any:
    try:
        expression = _compiled(text)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 - a text may fail the parser in any way
        raise _Problem("syntax", _message(error)) from None
    if "states" not in request:
        return None
    try:
        result = expression.evaluate(None, _bindings(request))
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 - data may fail a function in any way
        raise _Problem("error", _message(error)) from None
    if result is None:
        raise _Problem("undefined", "")
    try:
        return _plain(result)
    except Unsupported:
        raise _Problem("unsupported", "") from None


_expressions: dict[str, Any] = {}


def _compiled(text: str) -> Any:
    expression = _expressions.get(text)
    if expression is None:
        from jsonata import jexception, jsonata

        codes = jexception.JException.error_codes
        if "Object" in codes["T2006"]:  # the port writes Object for function
            codes.update({code: each.replace("Object", "function") for code, each in codes.items()})
        expression = jsonata.Jsonata(without_last_comments(text))
        expression.set_output_convert_nulls(False)
        if len(_expressions) >= _CACHED:
            _expressions.clear()
        _expressions[text] = expression
    return expression


def without_last_comments(text: str) -> str:
    """Return an expression without the comments at its end, which the library cannot skip."""
    while text.rstrip().endswith("*/"):
        text = text.rstrip()
        parts = [part for part in _QUOTED.finditer(text) if part.end() == len(text)]
        if not parts or not parts[0][0].startswith("/*"):
            return text
        text = text[: parts[0].start()]
    return text


def _bindings(request: dict[str, Any]) -> dict[str, Any]:
    from jsonata import functions as library
    from jsonata import jsonata

    draw, identify = functions.seeded(request["seed"])
    own = {
        "partition": functions.partition,
        "range": functions.numbers,
        "hash": functions.digest,
        "parse": lambda text=None: _value(functions.parse(text)),
        "random": draw,
        "uuid": identify,
    }
    millis = int(request["now"] * 1000)
    now = library.Functions.datetime_from_millis

    bound = {name: jsonata.Jsonata.JLambda(_sequenced(each)) for name, each in own.items()}
    bound["millis"] = jsonata.Jsonata.JLambda(lambda: millis)

    def tell(picture: Any = None, zone: Any = None) -> Any:
        return now(millis, picture, zone)

    bound["now"] = jsonata.Jsonata.JLambda(tell)
    bound["eval"] = _Absent()
    variables = {name: _value(each) for name, each in request["variables"].items()}
    return {**bound, **variables, "states": _value(request["states"])}


class _Absent:
    """A value that is no function: Step Functions has no ``$eval``."""


def _sequenced(function: Any) -> Any:
    """Return a function whose arrays are sequences: one of a single item is this item."""
    from jsonata import utils

    def call(*arguments: Any) -> Any:
        result = function(*arguments)
        is_range = function is functions.numbers
        return utils.Utils.create_sequence_from_iter(result) if is_range else result

    return call


def _value(value: Any) -> Any:
    """Return a JSON value with the library's null, which is not undefined."""
    from jsonata import utils

    null = utils.Utils.NULL_VALUE

    def convert(each: Any) -> Any:
        if each is None:
            return null
        if isinstance(each, dict):
            return {key: convert(item) for key, item in each.items()}
        if isinstance(each, list):
            return [convert(item) for item in each]
        return each

    return convert(value)


def _plain(value: Any) -> Any:
    """Return a result as JSON: a whole number is an integer; raise Unsupported for a function."""
    from jsonata import utils

    if value is utils.Utils.NULL_VALUE or value is None:
        return None
    if isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unsupported
        return int(value) if value.is_integer() and abs(value) <= _MAX_EXACT else value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, range)):
        return [_plain(item) for item in value]
    raise Unsupported


def _message(error: Exception) -> str:
    """Return an error with JSONata's code, as the reference implementation reports it."""
    code = getattr(error, "error", None)
    if isinstance(error, RecursionError):
        return "D1011: Stack overflow. Check for non-terminating recursive function."
    if isinstance(error, MemoryError):
        return "The evaluation needs too much memory"
    return f"{code}: {error}" if isinstance(code, str) else str(error) or type(error).__name__


if __name__ == "__main__":
    main()
