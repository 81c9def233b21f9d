"""Redrive: stores the successor of a dead letter, in the turn that closes the dead letter."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from infra.dead_letters.router import ToOrder, ToQueue, ToRun, ToTarget, UnknownConsumer, route
from infra.errors import InvalidRequest
from infra.local.engine.engine_parts import EngineParts
from infra.local.engine.integrations import TaskError
from infra.local.orderflow import Profile

Letter = Mapping[str, Any]

_SCANNED = 500
"""Maximum number of events that one scan of the journal looks for."""


class Successor(NamedTuple):
    """The successor of a dead letter: ``kind`` is execution, message or delivery."""

    kind: str
    name: str


class Redrive:
    """One redrive of some dead letters: each goes back to the place where it failed."""

    def __init__(self, parts: EngineParts, profile: Profile) -> None:
        self.stack = parts.stack
        self.bus = parts.bus
        self.queues = parts.queues
        self.executions = parts.executions
        self.profile = profile
        self._events: dict[str, int] = {}

    def prepare(self, letters: Sequence[Letter]) -> None:
        """Look up the events of dead letters of targets, in few scans: their id has no index."""
        ids = [
            letter["body"]["id"]
            for letter in letters
            if "TARGET" in letter["attributes"]
            and isinstance(letter["body"], dict)
            and isinstance(letter["body"].get("id"), str)
        ]
        for first in range(0, len(ids), _SCANNED):
            scanned = ids[first : first + _SCANNED]
            marks = ", ".join("?" * len(scanned))
            rows = self.bus.journal.database.rows(
                f"select id, seq from events where id in ({marks})", *scanned
            )
            self._events |= {row["id"]: row["seq"] for row in rows}

    def send(self, letter: Letter, number: int, now: float) -> Successor:
        """Store the successor of a dead letter: a message, a delivery or a run.

        ``number`` counts the redrives of this dead letter, from 1.

        Raises
        ------
        InvalidRequest
            The dead letter cannot be redriven.
        """
        try:
            return self._successor(letter, number, now)
        except TaskError as error:
            raise InvalidRequest("ResourceConflictException", str(error)) from None
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            problem = "it has no destination: send its event again by hand, or discard it"
            raise InvalidRequest("ResourceNotFoundException", problem) from None

    def _successor(self, letter: Letter, number: int, now: float) -> Successor:
        attributes, body = letter["attributes"], letter["body"]
        source, target = attributes.get("SOURCE_QUEUE"), attributes.get("TARGET")
        try:
            destination = route(self.stack, letter["queue"], body, source=source, target=target)
        except UnknownConsumer as error:
            raise _missing(f"consumer {error.consumer}") from None
        if isinstance(destination, ToQueue):
            text = self._text(letter) if destination.text is None else destination.text
            return self._send_message(destination.queue, text, now)
        if isinstance(destination, ToTarget):
            return self._deliver(destination.target, letter, now)
        if isinstance(destination, ToOrder):
            return self._resume(destination.order_id, letter, number, now)
        if isinstance(destination, ToRun):
            return self._start(_name("redrive", letter["id"], number), destination.event, now)
        raise KeyError(type(destination).__name__)  # only AWS has these destinations

    def _send_message(self, queue: str, text: str, now: float) -> Successor:
        if queue not in self.stack.queues:
            raise _missing(f"queue {queue}")
        return Successor("message", str(self.queues.put(queue, text, {}, now)))

    def _text(self, letter: Letter) -> str:
        """Return a dead letter's body as it was sent: parsed numbers may have lost digits."""
        query = "select body from messages where id = ?"
        row = self.bus.journal.database.row(query, letter["id"])
        assert row is not None
        return str(row["body"])

    def _deliver(self, target: str, letter: Letter, now: float) -> Successor:
        if target not in self.bus.targets:
            raise _missing(f"target {target}")
        changed = "EDITED" in letter["attributes"]
        seq = None if changed else self._events.get(letter["body"]["id"])
        number = self.bus.deliver_again(target, self._text(letter), seq, now)
        return Successor("delivery", str(number))

    def _resume(self, order_id: str, letter: Letter, number: int, now: float) -> Successor:
        """Start a run that takes over the order's lease from a run that has ended."""
        ended = self._ended_holder(order_id)
        resume = {"order_id": order_id, **({"after": ended} if ended else {})}
        name = _name(f"{order_id[:48]}-redrive", letter["id"], number)
        return self._start(name, {"resume": resume}, now)

    def _ended_holder(self, order_id: str) -> str | None:
        """Return the run that holds an order's lease although it has ended or does not exist."""
        database = self.bus.journal.database
        row = database.row(
            "select lease_owner from orders where order_id = ? and lease_owner is not null"
            " and not exists (select 1 from executions where machine = ? and name = lease_owner"
            " and status = 'RUNNING')",
            order_id,
            self.profile.order_machine,
        )
        return None if row is None else str(row["lease_owner"])

    def _start(self, name: str, body: Any, now: float) -> Successor:
        self.executions.start(self.profile.order_machine, name, body, now)
        return Successor("execution", name)


def _name(head: str, letter: int, number: int) -> str:
    """Return the name of a run, which is unique for each redrive of a dead letter."""
    return f"{head}-{letter}" if number == 1 else f"{head}-{letter}-{number}"


def _missing(resource: str) -> InvalidRequest:
    problem = f"the template has no {resource}: send its event again by hand, or discard it"
    return InvalidRequest("ResourceNotFoundException", problem)
