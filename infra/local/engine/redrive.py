"""The way back of a dead letter: its successor, stored in the turn that removes the letter."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from infra.dead_letters.router import ToOrder, ToQueue, ToRun, ToTarget, UnknownConsumer, route
from infra.errors import InvalidRequest
from infra.local.engine.bus import Bus
from infra.local.engine.executions import Executions
from infra.local.engine.integrations import TaskError
from infra.local.engine.queues import Queues

Letter = Mapping[str, Any]

_SCANNED = 500
"""Events that one scan of the journal looks for."""


class Successor(NamedTuple):
    """The successor of a letter: ``kind`` is execution, message or delivery."""

    kind: str
    name: str


class WaysBack:
    """The ways back of dead letters; ``machine`` is the one that `Order Created` starts."""

    def __init__(self, bus: Bus, queues: Queues, executions: Executions, machine: str) -> None:
        self.stack = bus.stack
        self.bus = bus
        self.queues = queues
        self.executions = executions
        self.machine = machine
        self._events: dict[str, int] = {}

    def prepare(self, letters: Sequence[Letter]) -> None:
        """Look up the events of the letters that go back to a target: the journal has no index."""
        ids = [
            letter["body"]["id"]
            for letter in letters
            if "TARGET" in letter["attributes"]
            and isinstance(letter["body"], dict)
            and isinstance(letter["body"].get("id"), str)
        ]
        for first in range(0, len(ids), _SCANNED):
            some = ids[first : first + _SCANNED]
            marks = ", ".join("?" * len(some))
            rows = self.bus.journal.database.rows(
                f"select id, seq from events where id in ({marks})", *some
            )
            self._events |= {row["id"]: row["seq"] for row in rows}

    def take(self, letter: Letter, number: int, now: float) -> Successor:
        """Put a letter's successor where the letter failed: queue, target, consumer, or a run.

        ``number`` counts the redrives of this letter, from 1.

        Raises
        ------
        InvalidRequest
            The letter has no destination.
        """
        try:
            return self._take(letter, number, now)
        except TaskError as error:
            raise InvalidRequest("ResourceConflictException", str(error)) from None
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            problem = "it has no destination: send its event again by hand, or discard the letter"
            raise InvalidRequest("ResourceNotFoundException", problem) from None

    def _take(self, letter: Letter, number: int, now: float) -> Successor:
        attributes, body = letter["attributes"], letter["body"]
        source, target = attributes.get("SOURCE_QUEUE"), attributes.get("TARGET")
        try:
            way = route(self.stack, letter["queue"], body, source=source, target=target)
        except UnknownConsumer as error:
            raise _gone(f"consumer {error.consumer}") from None
        if isinstance(way, ToQueue):
            text = self._text(letter) if way.text is None else way.text
            return self._send(way.queue, text, now)
        if isinstance(way, ToTarget):
            return self._deliver(way.target, letter, now)
        if isinstance(way, ToOrder):
            return self._resume(way.order_id, letter, number, now)
        if isinstance(way, ToRun):
            return self._start(_name("redrive", letter["id"], number), way.event, now)
        raise KeyError(type(way).__name__)  # only AWS has these destinations

    def _send(self, queue: str, text: str, now: float) -> Successor:
        if queue not in self.stack.queues:
            raise _gone(f"queue {queue}")
        return Successor("message", str(self.queues.put(queue, text, {}, now)))

    def _text(self, letter: Letter) -> str:
        """Return a letter's body as it was sent: numbers that were read may lose digits."""
        query = "select body from messages where id = ?"
        row = self.bus.journal.database.row(query, letter["id"])
        assert row is not None
        return str(row["body"])

    def _deliver(self, target: str, letter: Letter, now: float) -> Successor:
        if target not in self.bus.targets:
            raise _gone(f"target {target}")
        changed = "EDITED" in letter["attributes"]
        seq = None if changed else self._events.get(letter["body"]["id"])
        number = self.bus.deliver_again(target, self._text(letter), seq, now)
        return Successor("delivery", str(number))

    def _resume(self, order_id: str, letter: Letter, number: int, now: float) -> Successor:
        """Start a run that takes the order over from a run that has ended."""
        ended = self._ended_holder(order_id)
        resume = {"order_id": order_id, **({"after": ended} if ended else {})}
        name = _name(f"{order_id[:48]}-redrive", letter["id"], number)
        return self._start(name, {"resume": resume}, now)

    def _ended_holder(self, order_id: str) -> str | None:
        """Return the run that holds an order although it has ended, or is not there at all."""
        database = self.bus.journal.database
        row = database.row(
            "select lease_owner from orders where order_id = ? and lease_owner is not null"
            " and not exists (select 1 from executions where machine = ? and name = lease_owner"
            " and status = 'RUNNING')",
            order_id,
            self.machine,
        )
        return None if row is None else str(row["lease_owner"])

    def _start(self, name: str, body: Any, now: float) -> Successor:
        self.executions.start(self.machine, name, body, now)
        return Successor("execution", name)


def _name(head: str, letter: int, number: int) -> str:
    """Return the name of a run; a letter that came back gets another one each time."""
    return f"{head}-{letter}" if number == 1 else f"{head}-{letter}-{number}"


def _gone(what: str) -> InvalidRequest:
    problem = f"the template has no {what}: send its event again by hand, or discard the letter"
    return InvalidRequest("ResourceNotFoundException", problem)
