"""The API operations on jobs: a redrive or discard of a group of dead letters at a pace.

===================  ==============================================================================
``StartLetterJob``   ``action`` (redrive or discard), ``ids``, ``label``, ``reason``, ``rate`` (dead
                     letters a second; without it, as fast as the engine is)
``PauseLetterJob``   ``id``: hold it; ``ResumeLetterJob`` continues it
``CancelLetterJob``  ``id``: end it; handled dead letters stay handled
``UndoLetterJob``    ``id`` of an ended discard: a job that puts its dead letters back
===================  ==============================================================================

Each takes the person's name as ``who``. The response has the number of the ``job`` and its
``state``.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.engine.letter_jobs import DISCARD, REDRIVE, Wanted
from infra.local.engine.paced_jobs import RUNNING
from infra.server.dead_letters_api import MAX_REASON, numbers_in, operator_in

if TYPE_CHECKING:
    from concurrent.futures import Future

Answer = dict[str, Any]
Request = Mapping[str, Any]
Operation = Callable[[Request], "Future[Answer]"]

FIELD_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("action", "label"), str),
    "rate": (int, float),
}
"""Types of the fields of these requests, apart from those of `infra.server.dead_letters_api`."""

MAX_LABEL = 500


def letter_job_operations(engine: Engine) -> dict[str, Operation]:
    """Return the operations on an engine's jobs, by their names."""

    def start(request: Request) -> "Future[Answer]":
        wanted = _wanted(request)
        return engine.call(lambda now: _answer(engine.letter_jobs.start(wanted, now), RUNNING))

    def undo(request: Request) -> "Future[Answer]":
        number, who = _number(request), operator_in(request)
        return engine.call(lambda now: _answer(engine.letter_jobs.undo(number, who, now), RUNNING))

    def changing(how: str) -> Operation:
        """Return an operation that changes the state of a job; ``how`` is a method's name."""

        def change(request: Request) -> "Future[Answer]":
            number = _number(request)
            method: Callable[[int, float], str] = getattr(engine.letter_jobs, how)
            return engine.call(lambda now: _answer(number, method(number, now)))

        return change

    return {
        "Orderflow.StartLetterJob": start,
        "Orderflow.PauseLetterJob": changing("pause"),
        "Orderflow.ResumeLetterJob": changing("go_on"),
        "Orderflow.CancelLetterJob": changing("cancel"),
        "Orderflow.UndoLetterJob": undo,
    }


def _wanted(request: Request) -> Wanted:
    action, rate = request.get("action") or "", request.get("rate")
    if action not in (REDRIVE, DISCARD):
        problem = f"action: {action[:40]!r} is none of {REDRIVE}, {DISCARD}"
        raise InvalidRequest("ValidationException", problem)
    ids = numbers_in(request)
    reason = (request.get("reason") or "").strip()[:MAX_REASON]
    label = (request.get("label") or "").strip()[:MAX_LABEL] or f"{len(ids):,} dead letters"
    return Wanted(action, ids, label, reason, operator_in(request), rate)


def _number(request: Request) -> int:
    [number] = numbers_in({"ids": [request.get("id")]})
    return number


def _answer(number: int, state: str) -> Answer:
    return {"job": number, "state": state}
