"""JSONata's functions as Step Functions has them: six more, and no ``$eval``.

Source: "JSONata functions provided by Step Functions" in "Transforming data with JSONata in Step
Functions", AWS Step Functions Developer Guide.
"""

import hashlib
import json
import math
import random
import uuid
from collections.abc import Callable
from typing import Any

_HASHES = ("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512")
_MAX_ITEMS = 1_000_000
"""Items of a range; JSONata's own operator ``..`` has the same limit (D2014)."""


class FunctionError(Exception):
    """Invalid arguments of a function."""


def partition(array: Any, size: Any) -> Any:
    """Return the parts of an array; each but the last has ``size`` items."""
    if array is None:
        return None
    items = array if isinstance(array, list) else [array]
    step = _number(size, "partition")
    if step < 1:
        raise FunctionError("The chunk size of $partition must be positive")
    return [items[start : start + step] for start in range(0, len(items), step)]


def numbers(first: Any, last: Any, step: Any) -> Any:
    """Return the numbers from ``first`` to ``last``, both included, as a sequence."""
    start, end, distance = (_number(each, "range") for each in (first, last, step))
    if distance == 0:
        raise FunctionError("The step of $range must not be zero")
    found = range(start, end + (1 if distance > 0 else -1), distance)
    if len(found) > _MAX_ITEMS:
        raise FunctionError(f"$range has more than {_MAX_ITEMS} items")
    return list(found)


def digest(data: Any, algorithm: Any = "SHA-256") -> Any:
    """Return the hexadecimal digest of a text."""
    if data is None:
        return None
    if not isinstance(data, str):
        raise FunctionError("The first argument of $hash must be a string")
    if algorithm not in _HASHES:
        raise FunctionError(f"The algorithm of $hash is not one of {', '.join(_HASHES)}")
    return hashlib.new(algorithm.replace("-", ""), data.encode()).hexdigest()


def parse(text: Any) -> Any:
    """Return the value of JSON text."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise FunctionError("The argument of $parse must be a string")
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise FunctionError(f"The argument of $parse is not JSON: {error}") from None


def seeded(seed: float) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return ``$random``, which takes a seed, and ``$uuid``; the host's seed makes them repeat."""
    chance = random.Random(seed)  # noqa: S311

    def draw(own: Any = None) -> float:
        return chance.random() if own is None else random.Random(own).random()  # noqa: S311

    def identify() -> str:
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))

    return draw, identify


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _number(value: Any, function: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise FunctionError(f"An argument of ${function} is not a number")
    return int(value)
