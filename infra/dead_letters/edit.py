"""Putting the event of a dead letter right: its fields by their paths, held to its contract."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from infra.dead_letters.reason import ATTENTION
from infra.errors import Refusal
from kernel.json_text import InvalidJSON, read

ENVELOPE = frozenset(
    {
        *("version", "id", "detail-type", "source", "account", "time", "region", "resources"),
        *("detail", "replay-name"),
    }
)
"""The fields of an event's envelope; any other field is one of its detail."""

_STEP = re.compile(r"(?P<name>[^.\[\]]+)|\[(?P<place>\d+)\]")


class NothingToEdit(Refusal):
    """The letter has no event that could be edited."""


class InvalidEdit(Refusal):
    """The edit cannot be made, or its event breaks its contract; the message names the field."""


def event_in(letter: Mapping[str, Any]) -> Any:
    """Return the event of a letter, or its text where that is no JSON.

    Raises
    ------
    NothingToEdit
        The letter has no event.
    """
    body = letter["body"]
    if letter["queue"] == ATTENTION:
        raise NothingToEdit(
            f"dead letter {letter['id']} is about an order and has no event: correct what its"
            " reason says, then redrive it"
        )
    if isinstance(body, dict) and "consumer" in body and "event" in body:
        return body["event"]
    if isinstance(body, str) or (isinstance(body, dict) and "detail-type" in body):
        return body
    raise NothingToEdit(
        f"dead letter {letter['id']} has no event: redrive it, or discard it with a reason"
    )


def with_event(letter: Mapping[str, Any], event: Mapping[str, Any]) -> Any:
    """Return the body of a letter with another event.

    Fields of the envelope that the event leaves out stay as they were.
    """
    body, before = letter["body"], event_in(letter)
    kept = before if isinstance(before, dict) else {}
    whole = {name: value for name, value in kept.items() if name in ENVELOPE} | dict(event)
    if isinstance(body, dict) and "consumer" in body:
        return {**body, "event": whole}
    return whole


def checked(event: object) -> Mapping[str, Any]:
    """Return an event that keeps its contract.

    Raises
    ------
    InvalidEdit
        It does not; the message names the field.
    """
    from kernel.errors import InvalidEvent
    from kernel.events import parse  # pydantic: only an edit waits for it

    if not isinstance(event, Mapping):
        raise InvalidEdit("an event is a JSON object with source, detail-type and detail")
    try:
        parse(event)
    except InvalidEvent as error:
        raise InvalidEdit(f"the event would still break its contract: {error}") from None
    return event


def edited(event: Any, changes: Sequence[str], removed: Sequence[str]) -> Any:
    """Return an event with some fields set, each by ``path=value``, and others removed.

    A path is such as ``detail.items[0].quantity``; ``currency`` is ``detail.currency``. A value is
    JSON or, where it is none, text.

    Raises
    ------
    InvalidEdit
        A path leads nowhere, or the event is no JSON object.
    """
    if not isinstance(event, dict):
        raise InvalidEdit(
            "the event is no JSON object, so it has no fields: send a whole one with --file"
        )
    changed = deepcopy(event)
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise InvalidEdit(f"--set {change}: is not of the form FIELD=VALUE")
        *way, last = _steps(path)
        _put(_holder(changed, way, path), last, _value(text), path)
    for path in removed:
        *way, last = _steps(path)
        holder = _holder(changed, way, path)
        try:
            del holder[last]
        except (KeyError, IndexError, TypeError):
            raise InvalidEdit(f"--unset {path}: there is no such field") from None
    return changed


def _value(text: str) -> Any:
    try:
        return read(text)
    except InvalidJSON:
        return text


def _steps(path: str) -> list[str | int]:
    steps = list(_parsed(path))
    if not steps:
        raise InvalidEdit(f"{path!r} is no field: name one such as detail.items[0].quantity")
    return steps if steps[0] in ENVELOPE else ["detail", *steps]


def _parsed(path: str) -> Iterator[str | int]:
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise InvalidEdit(f"{path!r} is no field: name one such as detail.items[0].quantity")
        yield step["name"] if step["place"] is None else int(step["place"])
        at = step.end()
        if at < len(path) and path[at] == ".":
            at += 1


def _holder(event: Any, way: Sequence[str | int], path: str) -> Any:
    """Return the object or list that has the last step of a path; objects are made on the way."""
    holder = event
    for step in way:
        if isinstance(holder, dict) and isinstance(step, str):
            holder = holder.setdefault(step, {})
        elif isinstance(holder, list) and isinstance(step, int) and step < len(holder):
            holder = holder[step]
        else:
            raise InvalidEdit(f"{path}: there is no {step!r} in the event")
    return holder


def _put(holder: Any, last: str | int, value: Any, path: str) -> None:
    named = isinstance(holder, dict) and isinstance(last, str)
    placed = isinstance(holder, list) and isinstance(last, int)
    if placed and last == len(holder):
        holder.append(value)
    elif named or (placed and int(last) < len(holder)):
        holder[last] = value
    else:
        raise InvalidEdit(f"{path}: there is no {last!r} in the event")
