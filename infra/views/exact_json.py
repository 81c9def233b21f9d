"""JSON for a person: indented, its numbers as they were written, and the changes between two.

A number is never read and printed again: ``1.10`` stays ``1.10``, and an integer of 30 digits keeps
its digits.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kernel.json_text import MAX_CARRIED, InvalidJSON, is_too_deep

MAX_CHARACTERS = 500_000
"""Characters of JSON that are indented; a longer text is shown as stored."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number of JSON, by its text."""

    text: str


def read_exact(text: str) -> Any:
    """Parse JSON; its numbers become `Number`.

    Raises
    ------
    InvalidJSON
        The text is not JSON, or is nested too deep.
    """
    if is_too_deep(text, MAX_CARRIED):
        raise InvalidJSON(f"is nested deeper than {MAX_CARRIED} levels")
    try:
        return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=Number)
    except json.JSONDecodeError as error:
        raise InvalidJSON(str(error), error) from None


def indented(text: str) -> str:
    """Return JSON text indented by two spaces; a text that is no JSON is unchanged."""
    if len(text) > MAX_CHARACTERS:
        return text
    try:
        value = read_exact(text)
    except InvalidJSON:
        return text
    return write_exact(value)


def write_exact(value: Any) -> str:
    """Return a value of `read_exact` as indented JSON text."""
    return "".join(_pieces(value, "\n"))


def _pieces(value: Any, line: str) -> Iterator[str]:
    match value:
        case Number():
            yield value.text
        case dict() if value:
            opening = "{"
            for name, member in value.items():
                yield f"{opening}{line}  {json.dumps(name, ensure_ascii=False)}: "
                yield from _pieces(member, f"{line}  ")
                opening = ","
            yield f"{line}}}"
        case list() if value:
            opening = "["
            for element in value:
                yield f"{opening}{line}  "
                yield from _pieces(element, f"{line}  ")
                opening = ","
            yield f"{line}]"
        case _:
            yield json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Change:
    """A changed field: its path, and its JSON text before and after; None if it is absent."""

    path: str
    before: str | None
    after: str | None


def changes(before: Any, after: Any, path: str = "") -> list[Change]:
    """Return the fields that differ between two values of `read_exact`."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = dict.fromkeys([*before, *after])
        parts = [_member(before, after, name, f"{path}.{name}" if path else name) for name in names]
        return [change for part in parts for change in part]
    if isinstance(before, list) and isinstance(after, list):
        found: list[Change] = []
        for at in range(max(len(before), len(after))):
            old, new = ({0: each[at]} if at < len(each) else {} for each in (before, after))
            found += _member(old, new, 0, f"{path}[{at}]")
        return found
    if before == after:
        return []
    return [Change(path or "the event", write_exact(before), write_exact(after))]


def _member(before: dict[Any, Any], after: dict[Any, Any], name: Any, path: str) -> list[Change]:
    if name not in after:
        return [Change(path, write_exact(before[name]), None)]
    if name not in before:
        return [Change(path, None, write_exact(after[name]))]
    return changes(before[name], after[name], path)
