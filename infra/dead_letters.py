"""Dead letters: what waits in a queue that nobody consumes, why, and its way back."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine import Engine
from infra.local.execution_rows import order_of
from infra.local.integrations import TaskError
from shared.clock import timestamp
from shared.sqlite import Database

Letter = dict[str, Any]


def letters(database: Database, queues: Sequence[str], ids: Sequence[int] = ()) -> list[Letter]:
    """Return the dead letters in these queues, or those of them with these ids, oldest first."""
    marks = ", ".join("?" * len(queues))
    rows = database.rows(
        f"select * from messages where queue in ({marks}) order by id",
        *queues,
    )
    return [_letter(row) for row in rows if not ids or row["id"] in ids]


def _letter(row: Any) -> Letter:
    attributes = json.loads(row["attributes"])
    try:
        body = json.loads(row["body"])
    except ValueError:
        body = row["body"]
    held: Mapping[str, Any] = body if isinstance(body, dict) else {}
    event = held.get("event", body)
    return {
        "id": row["id"],
        "queue": row["queue"],
        "since": timestamp(row["sent_at"]),
        "reason": _reason(held.get("reason"), attributes),
        "order_id": order_of(held) or order_of(event),
        "from": held.get("consumer") or attributes.get("TARGET") or attributes.get("SOURCE_QUEUE"),
        "attributes": attributes,
        "body": body,
    }


def _reason(reason: object, attributes: Mapping[str, str]) -> str:
    if isinstance(reason, dict):
        return own_reason(reason)
    if "ERROR_CODE" in attributes:
        return f"{attributes['ERROR_CODE']}: {attributes['ERROR_MESSAGE']}"
    parts = [attributes.get(key) for key in ("REASON", "ERROR")]
    return "; ".join(part for part in parts if part) or "unknown"


def own_reason(reason: Mapping[str, Any]) -> str:
    """Return what the platform says of a letter that it put aside itself."""
    return f"{reason.get('error')}: {reason.get('message') or _message(reason.get('cause'))}"


def _message(cause: object) -> str:
    try:
        return str(json.loads(str(cause))["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return str(cause)


def redrive(engine: Engine, ids: Sequence[int], now: float) -> int:
    """Send dead letters on their way again; return how many. All of them, if no id is given.

    Raises
    ------
    InvalidRequest
        An id is no dead letter's, or a letter has no way back; nothing is sent then.
    """
    queues = engine.stack.dead_letter_queues
    found = letters(engine.journal.database, queues, ids)
    missing = sorted(set(ids) - {letter["id"] for letter in found})
    if missing:
        raise InvalidRequest("ResourceNotFoundException", f"there is no dead letter {missing[0]}")
    ways = [_way_back(engine, letter) for letter in found]
    for letter, way in zip(found, ways, strict=True):
        engine.quarantine.release(letter["order_id"])
        way(now)
        engine.journal.batch.add("delete from messages where id = ?", letter["id"])
    engine.journal.batch.durable = True
    return len(found)


def _way_back(engine: Engine, letter: Letter) -> Callable[[float], object]:
    """Return what puts a letter back where it failed: queue, target, consumer, or a new run.

    All are found before the first is taken, so that a letter without one leaves nothing half done.
    """
    try:
        return _found(engine, letter)
    except (KeyError, TypeError, ValueError):
        problem = f"dead letter {letter['id']} has no way back; send its event again by hand"
        raise InvalidRequest("ResourceNotFoundException", problem) from None


def _found(engine: Engine, letter: Letter) -> Callable[[float], object]:
    attributes, body, number = letter["attributes"], letter["body"], letter["id"]
    text = body if isinstance(body, str) else json.dumps(body)
    if "SOURCE_QUEUE" in attributes:
        return partial(engine.queues.send, attributes["SOURCE_QUEUE"], text, {})
    if "TARGET" in attributes:
        engine.bus.sequence_of(text)
        return partial(engine.bus.deliver_again, attributes["TARGET"], text)
    if letter["queue"] == "AttentionQueue":
        resume = {"resume": {"order_id": body["order_id"]}}
        return partial(_start, engine, f"{body['order_id'][:48]}-redrive-{number}", resume)
    event = body["event"]
    if body["consumer"] == "order_processing":
        return partial(_start, engine, f"redrive-{number}", event)
    again = event if isinstance(event, str) else json.dumps(event)
    return partial(engine.queues.send, _queue_of(engine, body["consumer"]), again, {})


def _start(engine: Engine, name: str, body: Any, now: float) -> None:
    try:
        engine.executions.start(engine.order_processing, name, body, now)
    except TaskError as error:
        raise InvalidRequest("ResourceConflictException", str(error)) from None


def _queue_of(engine: Engine, consumer: str) -> str:
    for source in engine.stack.consumers:
        if engine.stack.functions[source.function].handler.split(".")[-2] == consumer:
            return source.queue
    raise InvalidRequest("ResourceNotFoundException", f"{consumer} consumes no queue")
