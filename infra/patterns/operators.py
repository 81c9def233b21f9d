"""The operators of event patterns: each is compiled once to a test of a value.

An operator consumes the tokens after its name, up to its closing brace, and raises InvalidPattern
at the first wrong token, with EventBridge's message.

Source: "Comparison operators for use in event patterns" in the EventBridge User Guide; for details
that it omits, the open source matcher aws/event-ruler.
"""

import ipaddress
import operator
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from infra.patterns.numbers import Incomparable, is_comparable, number_of
from infra.patterns.tokens import InvalidPattern, Token, Tokens, take, until

Test: TypeAlias = Callable[[object], bool]
StringTest: TypeAlias = Callable[[str], bool]
Address: TypeAlias = tuple[int, int]  # IP version, the address as a number


class Condition(NamedTuple):
    """The accepted values of one field; ``may_be_absent`` if the field is optional.

    ``text`` is the condition's JSON, a list of literals and expressions. ``wildcards`` are the
    texts of its wildcards, whose complexity is limited.
    """

    accepts: Test
    may_be_absent: bool
    text: str
    wildcards: tuple[str, ...] = ()


ONE_KEY = "Only one key allowed in match expression"
TOO_MANY = "Too many elements in numeric expression"


def expression(tokens: Tokens, wildcards: list[str]) -> Test:
    """Compile an object in a list of accepted values, such as ``{"prefix": "EU-"}``.

    The texts of its wildcards are added to ``wildcards``.
    """
    name = take(tokens, "name", "Match expression name not found")
    match name:
        case "prefix" | "suffix":
            test = _affix(tokens, name)
        case "exactly" | "equals-ignore-case" | "wildcard":
            noun = "exact" if name == "exactly" else name
            text = take(tokens, "string", f"{noun} match pattern must be a string")
            test = _on_strings(_string_test(name, text))
            wildcards += [text] if name == "wildcard" else []
        case "exists":
            test = _exists(next(tokens))
        case "cidr":
            test = _cidr(take(tokens, "string", "prefix match pattern must be a string"))
        case "numeric":
            test = _numeric(tokens)
        case "anything-but":
            test = _anything_but(tokens, wildcards)
        case _:
            raise InvalidPattern(f"Unrecognized match type {name}")
    take(tokens, "}", TOO_MANY if name in {"numeric", "anything-but"} else ONE_KEY)
    return test


def one_of(literals: Iterable[object]) -> Test:
    """Return the test for equality with one of these JSON values."""
    # In Python True equals 1 and False equals 0; in JSON they differ.
    constants = {literal for literal in literals if _is_constant(literal)}
    others = {literal for literal in literals if not _is_constant(literal)}
    if not constants and all(isinstance(literal, str) for literal in others):
        return others.__contains__  # most conditions: no text equals a value that is no text
    return lambda value: value in (constants if _is_constant(value) else others)


def _is_constant(value: object) -> bool:
    return value is None or value is True or value is False


def is_absent(_value: object) -> bool:
    """Return False: the test of ``{"exists": false}``, which no value passes."""
    return False


def _is_present(_value: object) -> bool:
    return True


def _exists(wanted: Token) -> Test:
    if wanted.kind != "constant" or wanted.text == "null":
        raise InvalidPattern("exists match pattern must be either true or false.")
    return _is_present if wanted.text == "true" else is_absent


def _on_strings(test: StringTest) -> Test:
    return lambda value: isinstance(value, str) and test(value)


def _string_test(name: str, text: str) -> StringTest:
    match name:
        case "prefix":
            return lambda value: value.startswith(text)
        case "suffix":
            return lambda value: value.endswith(text)
        case "wildcard":
            return _wildcard(text)
        case "equals-ignore-case":
            lowered = text.lower()
            return lambda value: value.lower() == lowered
        case _:
            return lambda value: value == text


def _affix(tokens: Tokens, name: str) -> Test:
    kind, text = next(tokens)
    if kind == "string":
        return _on_strings(_string_test(name, text))
    if kind != "{":
        raise InvalidPattern(f"{name} match pattern must be a string")
    inner = take(tokens, "name", f"{name.capitalize()} expression name not found")
    if inner != "equals-ignore-case":
        raise InvalidPattern(f"Unsupported {name} pattern: {inner}")
    text = take(tokens, "string", "equals-ignore-case match pattern must be a string")
    take(tokens, "}", ONE_KEY)
    test = _string_test(name, text.lower())
    return _on_strings(lambda value: test(value.lower()))


def _wildcard(text: str) -> StringTest:
    parts = [""]
    for piece in re.finditer(r"\*+|\\[*\\]?|[^*\\]+", text):
        plain = piece.group()
        where = f"at pos {len(text[: piece.start()].encode()) + 1}"  # in bytes, from the open quote
        if plain == "\\":
            raise InvalidPattern(f"Invalid escape character {where}")
        if plain.startswith("**"):
            raise InvalidPattern(f"Consecutive wildcard characters {where}")
        if plain == "*":
            parts.append("")
        else:
            parts[-1] += plain.removeprefix("\\")
    return _has_in_order(parts)


def _has_in_order(parts: list[str]) -> StringTest:
    first, *rest = parts
    if not rest:
        return lambda value: value == first
    *middle, last = rest

    def test(value: str) -> bool:
        at, end = len(first), len(value) - len(last)
        if at > end or not value.startswith(first) or not value.endswith(last):
            return False
        for part in middle:
            at = value.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return test


_NO_STRING = {  # operators allowed in anything-but, and the error if the value is no string
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "wildcard": "wildcard match pattern must be a string",
    "equals-ignore-case": "Inside anything-but/equals-ignore-case list,"
    " number|start|null|boolean is not supported.",
}


def _anything_but(tokens: Tokens, wildcards: list[str]) -> Test:
    token = next(tokens)
    name = None
    if token.kind == "{":
        name = take(tokens, "name", "Anything-But expression name not found")
        if name not in _NO_STRING:
            raise InvalidPattern(f"Unsupported anything-but pattern: {name}")
        token = next(tokens)
    if token.kind not in {"[", "string", "number"}:
        raise InvalidPattern(
            "Value of anything-but must be an array or single string/number value."
        )
    values = list(until(tokens, "]")) if token.kind == "[" else [token]
    if name is None:
        excluded = one_of(_excluded_literals(values))
    else:
        excluded = _excluded_strings(name, values)
        wildcards += [text for _, text in values] if name == "wildcard" else []
        take(tokens, "}", TOO_MANY)
    return lambda value: not excluded(value)


def _excluded_literals(values: list[Token]) -> list[object]:
    kinds = {kind for kind, _ in values}
    if not kinds <= {"string", "number"}:
        raise InvalidPattern("Inside anything but list, start|null|boolean is not supported.")
    if len(kinds) != 1:
        raise InvalidPattern(
            "Inside anything but list, either all values are number or string,"
            " mixed type is not supported"
        )
    return [text if kind == "string" else _number(text) for kind, text in values]


def _excluded_strings(name: str, values: list[Token]) -> Test:
    if not values or any(kind != "string" for kind, _ in values):
        raise InvalidPattern(_NO_STRING[name])
    if name in {"prefix", "suffix"} and any(not text for _, text in values):
        raise InvalidPattern("Null prefix/suffix not allowed")
    tests = [_string_test(name, text) for _, text in values]
    return _on_strings(lambda value: any(test(value) for test in tests))


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _numeric(tokens: Tokens) -> Test:
    take(tokens, "[", "Value of numeric must be an array.")
    kind, sign = next(tokens)
    if kind != "string":
        raise InvalidPattern(f"Invalid member in numeric match: {sign}")
    if sign not in _COMPARISONS:
        raise InvalidPattern(f"Unrecognized numeric range operator: {sign}")
    noun = "equals" if sign == "=" else sign
    bound = _number(take(tokens, "number", f"Value of {noun} must be numeric"))
    test = _on_numbers(sign, bound)
    kind, upper = next(tokens)
    if kind == "]":
        return test
    if sign not in {">", ">="}:
        raise InvalidPattern(TOO_MANY)
    if kind != "string":
        raise InvalidPattern(f"Bad value in numeric range: {upper}")
    if upper not in {"<", "<="}:
        raise InvalidPattern(f"Bad numeric range operator: {upper}")
    top = _number(take(tokens, "number", f"Value of {upper} must be numeric"))
    take(tokens, "]", "Too many terms in numeric range expression")
    if bound >= top:
        raise InvalidPattern("Bottom must be less than top")
    below = _on_numbers(upper, top)
    return lambda value: test(value) and below(value)


def _on_numbers(sign: str, bound: float) -> Test:
    compare = _COMPARISONS[sign]
    return lambda value: is_comparable(value) and compare(value, bound)  # type: ignore[arg-type]


def _number(text: str) -> float:
    number = number_of(text)
    if isinstance(number, Incomparable):
        raise InvalidPattern(f"Cannot compare number : {text}")
    return number


_IP = re.compile(r"[0-9]+(?:\.[0-9]+){3}|(?=.*:)[0-9a-fA-F:]+")
_IP_BITS = {4: 32, 6: 128}


def ip_address(text: str) -> Test | None:
    """Return the test for equality with an IP address in any notation; None if it is no address."""
    address = _address(text)
    return None if address is None else _between(address, address)


def _address(text: str) -> Address | None:
    if not _IP.fullmatch(text):
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.version, int(address)


def _between(low: Address, high: Address) -> Test:
    def test(value: str) -> bool:
        address = _address(value)
        return address is not None and low <= address <= high

    return _on_strings(test)


def _cidr(text: str) -> Test:
    ip, *mask = text.rstrip("/").split("/")
    if len(mask) != 1:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    if not re.fullmatch("[+-]?[0-9]{1,9}", mask[0]):
        raise InvalidPattern("Malformed CIDR, mask bits must be an integer")
    bits = int(mask[0])
    if bits < 0:
        raise InvalidPattern("Malformed CIDR, mask bits must not be negative")
    low = _address(ip)
    if low is None:
        flaw = "Invalid" if _IP.fullmatch(ip) else "Nonstandard"
        raise InvalidPattern(f"{flaw} IP address: {ip}")
    version, number = low
    if bits >= _IP_BITS[version]:
        raise InvalidPattern(f"IPv{version} mask bits must be < {_IP_BITS[version]}")
    # Bits after the mask do not count (CIDR.java in event-ruler since 2026, its issue 89).
    host = (1 << _IP_BITS[version] - bits) - 1
    return _between((version, number & ~host), (version, number | host))
