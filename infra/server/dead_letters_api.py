"""The API operations on dead letters, for a directory that the server has open.

=======================  ==========================================================================
``RedriveDeadLetters``   ``ids`` (empty for all): redrive them
``DiscardDeadLetters``   ``ids``, ``reason``: remove them from their queues, kept for 14 days
``RestoreDeadLetters``   ``ids``: put discarded dead letters back
``EditDeadLetter``       ``id``, ``event``: replace its event
=======================  ==========================================================================

Each takes the person's name as ``who``. The response has ``letters``: the ``id`` of each dead
letter, a ``state`` and a ``message``.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from infra.dead_letters.reading import OPERATOR
from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine

if TYPE_CHECKING:
    from concurrent.futures import Future

Answer = dict[str, Any]
Operation = Callable[[Mapping[str, Any]], "Future[Answer]"]

KINDS: Mapping[str, type] = {"ids": list, "who": str, "reason": str, "id": int}
"""Types of the fields of these requests."""

MAX_REASON = 1_000
"""Maximum characters of a reason."""

MAX_NAME = 100
"""Maximum characters of a person's name."""

_LARGEST = (1 << 63) - 1


def letter_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operations on an engine's dead letters, by their names."""

    def redrive(request: Mapping[str, Any]) -> "Future[Answer]":
        ids, who = numbers_in(request, least=0), operator_in(request)

        def run(now: float) -> Answer:
            letters = engine.dead_letters.redrive(ids, who, now)
            redriven = sum(letter["state"] == "running" for letter in letters)
            return {"redriven": redriven, "letters": letters}

        return engine.call(run)

    def discard(request: Mapping[str, Any]) -> "Future[Answer]":
        ids, who = numbers_in(request), operator_in(request)
        reason = (request.get("reason") or "").strip()[:MAX_REASON]
        if not reason:
            raise InvalidRequest("ValidationException", "reason: is missing; say why")
        return engine.call(
            lambda now: {"letters": engine.dead_letters.discard(ids, reason, who, now)}
        )

    def restore(request: Mapping[str, Any]) -> "Future[Answer]":
        ids, who = numbers_in(request), operator_in(request)
        return engine.call(lambda now: {"letters": engine.dead_letters.restore(ids, who, now)})

    def edit(request: Mapping[str, Any]) -> "Future[Answer]":
        [number], who = numbers_in({"ids": [request.get("id")]}), operator_in(request)
        event = request.get("event")

        def change(now: float) -> Answer:
            return {"letters": [engine.dead_letters.edit(number, event, who, now)]}

        return engine.call(change)

    return {
        "Orderflow.RedriveDeadLetters": redrive,
        "Orderflow.DiscardDeadLetters": discard,
        "Orderflow.RestoreDeadLetters": restore,
        "Orderflow.EditDeadLetter": edit,
    }


def numbers_in(request: Mapping[str, Any], least: int = 1) -> list[int]:
    """Return the dead letters that a request names, at least so many."""
    ids = request.get("ids") or []
    if not all(type(number) is int and 0 < number <= _LARGEST for number in ids):
        raise InvalidRequest("SerializationException", "ids is a list of dead letters' numbers")
    if len(ids) < least:
        raise InvalidRequest("ValidationException", "ids: is missing; name dead letters")
    return ids


def operator_in(request: Mapping[str, Any]) -> str:
    """Return the name of the person who asks."""
    return (request.get("who") or OPERATOR)[:MAX_NAME]
