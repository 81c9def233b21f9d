"""Fields of requests: texts, numbers, ARNs and pages, checked as AWS checks them."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar
from zlib import crc32

from infra.errors import InvalidRequest
from infra.local.template.loader import ACCOUNT, REGION

Request = Mapping[str, Any]
Answer = dict[str, Any]
Operation = Callable[[Request], Answer | Future[Answer]]
T = TypeVar("T")

MAX_INTEGER = (1 << 63) - 1
"""Maximum of an integer field, which SQLite can compare."""

_ARN = re.compile(r"arn:aws[\w-]*:([\w-]+):([\w-]*):(\d*):([\w-]+)[:/](.+)")
_TOKEN = re.compile(r"([0-9a-f]{8})-(\d{1,18})")


def text_of(request: Request, field: str) -> str:
    """Return a required text."""
    value = request.get(field)
    if not isinstance(value, str) or not value:
        raise InvalidRequest("ValidationException", f"{field} is missing; send it as text.")
    return value


def time_of(request: Request, field: str) -> float:
    """Return a required time, in epoch seconds."""
    value = request.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest("ValidationException", f"{field} is missing; send epoch seconds.")
    return float(value)


def number_in(text: str) -> int | None:
    """Return the integer in a text, or None if it has none that SQLite can compare."""
    if not text.isdecimal() or len(text) > len(str(MAX_INTEGER)) or int(text) > MAX_INTEGER:
        return None
    return int(text)


def violated(field: str, value: object, constraint: str) -> InvalidRequest:
    """Return the error of a field that AWS's validation refuses."""
    message = f"1 validation error detected: Value '{value}' at '{field}' failed to satisfy"
    return InvalidRequest("ValidationException", f"{message} constraint: {constraint}")


def choice_of(request: Request, field: str, allowed: Collection[str]) -> str | None:
    """Return an optional text that is one of a few."""
    value = request.get(field)
    if value is not None and value not in allowed:
        names = ", ".join(allowed)
        raise violated(field, value, f"Member must satisfy enum value set: [{names}]")
    return value


def within(request: Request, field: str, default: int, least: int, most: int) -> int:
    """Return an optional number within bounds."""
    value = request.get(field)
    if value is None:
        return default
    if type(value) is not int:
        raise InvalidRequest("SerializationException", f"{field} is of another type")
    if not least <= value <= most:
        bound = f"greater than or equal to {least}" if value < least else None
        bound = bound or f"less than or equal to {most}"
        raise violated(field, value, f"Member must have value {bound}")
    return value


def states_name(reference: str, kinds: Sequence[str]) -> tuple[str, str]:
    """Return the kind and the name in an ARN of Step Functions, of this account and region.

    The name is empty if the ARN is of another account or region, which have nothing here.

    Raises
    ------
    InvalidRequest
        The text is no ARN, or names a resource of another kind.
    """
    arn = _ARN.fullmatch(reference)
    if arn is None:
        raise InvalidRequest("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {reference[:256]}'")
    service, region, account, kind, name = arn.groups()
    if service != "states" or kind not in kinds:
        problem = f"Resource type not valid in this context: {kind}"
        raise InvalidRequest("InvalidArn", f"Invalid Arn: '{problem}'")
    return kind, name if (region, account) == (REGION, ACCOUNT) else ""


class Pages:
    """Pages of one list: a token is valid for a request with the same ``identity``."""

    def __init__(self, request: Request, identity: object, field: str = "nextToken") -> None:
        self._mark = f"{crc32(repr(identity).encode()):08x}"
        self._field = field
        token = request.get(field)
        self.position: int | None = None
        if token is None:
            return
        match = _TOKEN.fullmatch(token) if isinstance(token, str) else None
        if match is None or match[1] != self._mark:
            raise InvalidRequest("InvalidToken", f"Invalid Token: '{str(token)[:80]}'")
        self.position = int(match[2])

    def token(self, position: int) -> str:
        """Return the token of the page that begins at a position."""
        return f"{self._mark}-{position}"

    def page(self, items: Sequence[T], size: int, name: str) -> Answer:
        """Return a page of a list that is in memory, with the token of the next page."""
        first = self.position or 0
        answer: Answer = {name: list(items[first : first + size])}
        if first + size < len(items):
            answer[self._field] = self.token(first + size)
        return answer
