"""Event patterns as the EventBridge User Guide describes them, written without the product's code.

Every choice of one element of each list is tried, however long that takes. Source: "Comparison
operators for use in event patterns"; for the order of conditions, README of aws/event-ruler.
"""

import ipaddress
import itertools
import re
from collections.abc import Iterator
from typing import Any

Place = dict[int, int]
Values = list[tuple[str, Any, Place]]


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Return whether an event matches a pattern."""
    values = list(_values(event, "", {}, itertools.count()))
    return any(_hold(sorted(rule.items()), values, {}) for rule in _rules(pattern, ""))


def _rules(pattern: dict[str, Any], prefix: str) -> list[dict[str, list[Any]]]:
    """Return the rules of a pattern, its ``$or`` multiplied out."""
    rules: list[dict[str, list[Any]]] = [{}]
    for key, wanted in pattern.items():
        if key == "$or":
            branches = [rule for branch in wanted for rule in _rules(branch, prefix)]
        elif isinstance(wanted, dict):
            branches = _rules(wanted, f"{prefix}{key}.")
        else:
            branches = [{prefix + key: wanted}]
        rules = [{**rule, **branch} for rule in rules for branch in branches]
    return rules


def _values(value: Any, name: str, place: Place, lists: Iterator[int]) -> Iterator[Any]:
    """Yield each plain value with its field's name and its elements of lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, f"{name}.{key}" if name else key, place, lists)
    elif isinstance(value, list):
        number = next(lists)
        for index, inner in enumerate(value):
            inside = {**place, number: index} if isinstance(inner, (dict, list)) else place
            yield from _values(inner, name, inside, lists)
    else:
        yield name, value, place


def _hold(conditions: list[tuple[str, list[Any]]], values: Values, chosen: Place) -> bool:
    if not conditions:
        return True
    (name, wanted), *others = conditions
    here = [
        (value, place)
        for its_name, value, place in values
        if its_name == name and all(chosen.get(at, index) == index for at, index in place.items())
    ]
    if not here:
        return {"exists": False} in wanted and _hold(others, values, chosen)
    return any(
        _hold(others, values, {**chosen, **place})
        for value, place in here
        if any(_accepts(test, value) for test in wanted)
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _equals(wanted: Any, value: Any) -> bool:
    if _is_number(wanted) or _is_number(value):
        return _is_number(wanted) and _is_number(value) and bool(wanted == value)
    if isinstance(wanted, str) and isinstance(value, str) and _address(wanted):
        return bool(_address(wanted) == _address(value))
    return type(wanted) is type(value) and bool(wanted == value)


def _address(text: str) -> Any:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _accepts(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, dict):
        return _equals(wanted, value)
    [(name, operand)] = wanted.items()
    if name == "exists":
        return bool(operand)
    if name == "anything-but":
        return not _excluded(operand, value)
    if name == "numeric":
        return _is_number(value) and _in_range(operand, value)
    return isinstance(value, str) and _text_accepts(name, operand, value)


def _excluded(operand: Any, value: Any) -> bool:
    if isinstance(operand, dict):
        [(name, texts)] = operand.items()
        tests = [{name: text} for text in (texts if isinstance(texts, list) else [texts])]
        return any(_accepts(test, value) for test in tests)
    values = operand if isinstance(operand, list) else [operand]
    return any(type(one) is str is type(value) and one == value for one in values) or any(
        _is_number(one) and _equals(one, value) for one in values
    )


def _in_range(operand: list[Any], value: float) -> bool:
    pairs = zip(operand[::2], operand[1::2], strict=True)
    compared = {"=": (0,), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}
    return all((value > bound) - (value < bound) in compared[sign] for sign, bound in pairs)


def _text_accepts(name: str, operand: Any, value: str) -> bool:
    if isinstance(operand, dict):
        operand, value = operand["equals-ignore-case"].lower(), value.lower()
    if name == "equals-ignore-case":
        return bool(operand.lower() == value.lower())
    if name == "cidr":
        address = _address(value)
        network = ipaddress.ip_network(operand, strict=False)
        return address is not None and address.version == network.version and address in network
    plain = re.escape(operand)
    expressions = {
        "prefix": f"{plain}.*",
        "suffix": f".*{plain}",
        "exactly": plain,
        "wildcard": ".*".join(re.escape(part) for part in operand.split("*")),
    }
    return re.fullmatch(expressions[name], value, re.DOTALL) is not None
