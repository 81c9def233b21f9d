"""Correction of a dead letter's event: fields are set by path, and the contract is checked."""

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
"""The fields of an event's envelope; any other field belongs to its detail."""

_STEP = re.compile(r"(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]")


class NothingToEdit(Refusal):
    """The dead letter has no event."""


class InvalidEdit(Refusal):
    """The edit is impossible, or its event breaks its contract; the message names the field."""


def event_in(dead_letter: Mapping[str, Any]) -> Any:
    """Return the event of a dead letter, or its text if that is no JSON.

    Raises
    ------
    NothingToEdit
        The dead letter has no event.
    """
    body = dead_letter["body"]
    if dead_letter["queue"] == ATTENTION:
        raise NothingToEdit(
            f"dead letter {dead_letter['id']} is about an order and has no event: fix the cause"
            " in its reason, then redrive it"
        )
    if isinstance(body, dict) and "consumer" in body and "event" in body:
        return body["event"]
    if isinstance(body, str) or (isinstance(body, dict) and "detail-type" in body):
        return body
    raise NothingToEdit(
        f"dead letter {dead_letter['id']} has no event: redrive it, or discard it with a reason"
    )


def with_event(dead_letter: Mapping[str, Any], event: Mapping[str, Any]) -> Any:
    """Return the body of a dead letter with another event.

    Envelope fields that the new event lacks are kept.
    """
    body, before = dead_letter["body"], event_in(dead_letter)
    original = before if isinstance(before, dict) else {}
    envelope = {name: value for name, value in original.items() if name in ENVELOPE}
    complete = envelope | dict(event)
    if isinstance(body, dict) and "consumer" in body:
        return {**body, "event": complete}
    return complete


def require_contract(event: object) -> Mapping[str, Any]:
    """Return an event if it keeps its contract.

    Raises
    ------
    InvalidEdit
        It breaks its contract; the message names the field.
    """
    from kernel.errors import InvalidEvent
    from kernel.events import parse  # imports pydantic, which only an edit needs

    if not isinstance(event, Mapping):
        raise InvalidEdit("an event is a JSON object with source, detail-type and detail")
    try:
        parse(event)
    except InvalidEvent as error:
        raise InvalidEdit(f"the event would still break its contract: {error}") from None
    return event


def edit_fields(event: Any, changes: Sequence[str], removed: Sequence[str]) -> Any:
    """Return an event with fields set, each by ``path=value``, and others removed.

    An example of a path is ``detail.items[0].quantity``; ``currency`` means ``detail.currency``. A
    value is JSON; anything else is text.

    Raises
    ------
    InvalidEdit
        A path does not exist, or the event is no JSON object.
    """
    if not isinstance(event, dict):
        raise InvalidEdit(
            "the event is no JSON object, so it has no fields: replace it with --file"
        )
    changed = deepcopy(event)
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise InvalidEdit(f"--set {change}: is not of the form FIELD=VALUE")
        *parents, last = _steps(path)
        _put(_container(changed, parents, path), last, _value(text), path)
    for path in removed:
        *parents, last = _steps(path)
        container = _container(changed, parents, path)
        try:
            del container[last]
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
        yield step["name"] if step["index"] is None else int(step["index"])
        at = step.end()
        if at < len(path) and path[at] == ".":
            at += 1


def _container(event: Any, parents: Sequence[str | int], path: str) -> Any:
    """Return the object or list that holds the last step of a path; missing objects are created."""
    container = event
    for step in parents:
        if isinstance(container, dict) and isinstance(step, str):
            container = container.setdefault(step, {})
        elif isinstance(container, list) and isinstance(step, int) and step < len(container):
            container = container[step]
        else:
            raise InvalidEdit(f"{path}: there is no {step!r} in the event")
    return container


def _put(container: Any, last: str | int, value: Any, path: str) -> None:
    is_member = isinstance(container, dict) and isinstance(last, str)
    is_element = isinstance(container, list) and isinstance(last, int)
    if is_element and last == len(container):
        container.append(value)
    elif is_member or (is_element and int(last) < len(container)):
        container[last] = value
    else:
        raise InvalidEdit(f"{path}: there is no {last!r} in the event")
