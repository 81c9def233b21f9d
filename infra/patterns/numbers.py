"""Numbers of events and patterns, compared as EventBridge compares them.

EventBridge compares a number only if a double holds it exactly. Any other number equals its own
text alone, so ``1.0000000000000001`` is not 1, and 9007199254740993 is not above 0.

Source: ComparableNumber.java in aws/event-ruler, and its issue 163.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from kernel.json_text import MAX_DEPTH, InvalidJSON, is_too_deep

_EXACT_INTEGER = 1 << 53
"""Largest integer below which a double holds every integer."""

_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG = b"0" * 16
_EXPONENTS = ((b"e-", b"0e-000"), (b"E-", b"0E-000"))
"""Marks of a number that a double may not hold: 16 digits, or an exponent of three digits; the
shorter mark, which is quicker to find, is part of the longer."""
_SMALL = re.compile(rb"(?:^|[:,\[\s])-?[0-9.]+[eE]-[0-9]{3}")
"""The beginning of a number with such an exponent, where JSON has a number."""


class Incomparable(NamedTuple):
    """A number that no double holds; it equals the same text only."""

    text: str


def number_of(text: str) -> float | Incomparable:
    """Return the value of a JSON number."""
    number = float(text)
    try:
        exact = Decimal(repr(number)) == Decimal(text)
    except InvalidOperation:  # an exponent of more than 18 digits
        exact = False
    return number if exact else Incomparable(text)


def is_comparable(value: object) -> bool:
    """Return whether a value is a number that can be compared."""
    if isinstance(value, float):
        return True
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    if -_EXACT_INTEGER <= value <= _EXACT_INTEGER:
        return True
    try:
        return Decimal(repr(float(value))) == value
    except OverflowError:
        return False


def has_fine_number(text: str | bytes) -> bool:
    """Return whether JSON text may have a number that a double does not hold.

    This includes each integer for which `kernel.json_text.has_long_number` holds.
    """
    content = text.encode(errors="replace") if isinstance(text, str) else text
    zeros = content.translate(_DIGITS_AS_ZERO, b".")
    if _LONG in zeros:
        return True
    for part, mark in _EXPONENTS:
        if part in content and mark in zeros:  # a fifth of the events have it, in a UUID
            return _SMALL.search(content) is not None
    return False


def read_event(text: str | bytes, depth: int = MAX_DEPTH) -> Any:
    """Parse an event for matching; its inexact numbers become `Incomparable`.

    Raises
    ------
    InvalidJSON
        The text is not JSON, or is nested deeper than ``depth`` levels.
    """
    if is_too_deep(text, depth):
        raise InvalidJSON(f"is nested deeper than {depth} levels")
    try:
        value = json.loads(text, parse_float=number_of, parse_int=_integer, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()  # raises on a lone surrogate
    except (ValueError, RecursionError) as error:
        raise InvalidJSON(str(error)) from None
    return value


def _integer(text: str) -> int | Incomparable:
    """Return an integer; one of more digits than Python reads is not comparable."""
    try:
        return int(text)
    except ValueError:
        return Incomparable(text)


def _refuse(constant: str) -> Any:
    raise InvalidJSON(f"{constant} is not a JSON number")
