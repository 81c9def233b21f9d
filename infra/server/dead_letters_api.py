"""Operations on dead letters, of the server that has the directory open.

=======================  ==========================================================================
``RedriveDeadLetters``   ``ids`` (none for all): put them on their way again
``DiscardDeadLetters``   ``ids``, ``reason``: take them out of their queues, kept for 14 days
``RestoreDeadLetters``   ``ids``: put discarded ones back
``EditDeadLetter``       ``id``, ``event``: give it another event
=======================  ==========================================================================

Each takes the name of the person as ``who``. It answers ``letters``: for each its ``id``, a
``state`` and a ``message``.
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

MAX_TEXT = 1_000
"""Characters of a reason; of a name, a tenth."""

_LARGEST = (1 << 63) - 1


def letter_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operations on an engine's dead letters, by their names."""

    def redrive(request: Mapping[str, Any]) -> "Future[Answer]":
        ids, who = _ids(request, least=0), _who(request)

        def run(now: float) -> Answer:
            done = engine.dead_letters.redrive(ids, who, now)
            return {"redriven": sum(one["state"] == "running" for one in done), "letters": done}

        return engine.call(run)

    def discard(request: Mapping[str, Any]) -> "Future[Answer]":
        ids, who, reason = _ids(request), _who(request), (request.get("reason") or "").strip()
        if not reason:
            raise InvalidRequest("ValidationException", "reason: is missing; say why")
        kept = reason[:MAX_TEXT]
        return engine.call(
            lambda now: {"letters": engine.dead_letters.discard(ids, kept, who, now)}
        )

    def restore(request: Mapping[str, Any]) -> "Future[Answer]":
        ids, who = _ids(request), _who(request)
        return engine.call(lambda now: {"letters": engine.dead_letters.restore(ids, who, now)})

    def edit(request: Mapping[str, Any]) -> "Future[Answer]":
        [number], who = _ids({"ids": [request.get("id")]}), _who(request)
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


def _ids(request: Mapping[str, Any], least: int = 1) -> list[int]:
    ids = request.get("ids") or []
    if not all(type(number) is int and 0 < number <= _LARGEST for number in ids):
        raise InvalidRequest("SerializationException", "ids is a list of dead letters' numbers")
    if len(ids) < least:
        raise InvalidRequest("ValidationException", "ids: is missing; name dead letters")
    return ids


def _who(request: Mapping[str, Any]) -> str:
    return (request.get("who") or OPERATOR)[: MAX_TEXT // 10]
