"""Operations on a data directory's dead letters: by its server or, without one, by this process."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import typer

from infra.cli.local_operations import ask
from infra.errors import NotFound
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform, stack_of
from infra.views.dead_letter import DeadLetter
from infra.views.local_dead_letters import (
    closed_dead_letters,
    find_dead_letter,
    open_dead_letters,
)
from storage.sqlite.database import Database

Answer = dict[str, Any]

POLL = 0.1
"""Seconds between two reads of a redriven dead letter."""

DRAIN = 10.0
"""Seconds that running functions get to end once the command has its answers."""

WORKERS = 2


class LocalDeadLetters:
    """The dead letters of a data directory; ``who`` is the user that operations are logged for."""

    def __init__(self, where: DataDirectory, who: str) -> None:
        self.where = where
        self.who = who
        self.stack = stack_of(where)
        self.queues = self.stack.dead_letter_queues

    def open(self, queue: str | None = None) -> list[DeadLetter]:
        """Return the open dead letters of one queue or of all, the oldest first."""
        if queue is not None and queue not in self.queues:
            known = ", ".join(self.queues)
            raise NotFound(f"{queue!r} is no dead-letter queue; these are: {known}")
        return open_dead_letters(self.where.reader(), [queue] if queue else self.queues)

    def closed(self) -> list[DeadLetter]:
        """Return the closed dead letters, the newest last."""
        return closed_dead_letters(self.where.reader())

    def find(self, number: str) -> DeadLetter | None:
        """Return an open or closed dead letter with its history."""
        return find_dead_letter(self.where.reader(), self.queues, number_of(number))

    def redrive(self, ids: Sequence[str], wait: float) -> Answer:
        """Redrive dead letters; wait so many seconds for their outcomes."""
        numbers = [number_of(text) for text in ids]
        address = self.where.served_at()
        if address is None:
            return {"letters": self._redrive_here(numbers, wait), "served": False}
        request = {"ids": numbers, "who": self.who}
        answers = ask(self.where, address, "RedriveDeadLetters", request)["letters"]
        reader, end = self.where.reader(), time.monotonic() + wait
        while _any_running(answers) and time.monotonic() < end:
            time.sleep(POLL)
            answers = [self._with_outcome(reader, answer) for answer in answers]
        return {"letters": answers, "served": True}

    def discard(self, ids: Sequence[str], reason: str) -> list[Answer]:
        """Remove dead letters from their queues for good."""
        numbers = [number_of(text) for text in ids]
        return self._operate(
            "DiscardDeadLetters",
            {"ids": numbers, "reason": reason},
            lambda engine, now: engine.dead_letters.discard(numbers, reason, self.who, now),
        )

    def restore(self, ids: Sequence[str]) -> list[Answer]:
        """Put discarded or expired dead letters back into their queues."""
        numbers = [number_of(text) for text in ids]
        return self._operate(
            "RestoreDeadLetters",
            {"ids": numbers},
            lambda engine, now: engine.dead_letters.restore(numbers, self.who, now),
        )

    def edit(self, text: str, event: Any) -> Answer:
        """Replace the event of a dead letter."""
        number = number_of(text)
        [answer] = self._operate(
            "EditDeadLetter",
            {"id": number, "event": event},
            lambda engine, now: [engine.dead_letters.edit(number, event, self.who, now)],
        )
        return answer

    def _operate(
        self,
        operation: str,
        request: dict[str, Any],
        act: Callable[[Engine, float], list[Answer]],
    ) -> list[Answer]:
        """Send an operation to the directory's server or, without one, run it here."""
        address = self.where.served_at()
        if address is not None:
            outcome = ask(self.where, address, operation, {**request, "who": self.who})
            answers: list[Answer] = outcome["letters"]
            return answers
        self.where.require_database()
        with platform(self.where, clock=Clock(), workers=0) as engine:
            engine.accept_only = True
            answer = engine.call(lambda now: act(engine, now))
            engine.turn(0)
            return answer.result(0)

    def _redrive_here(self, numbers: Sequence[int], wait: float) -> list[Answer]:
        """Open the platform; with a wait, process due work until each outcome is known."""
        self.where.require_database()
        with platform(self.where, clock=Clock(), workers=WORKERS if wait else 0) as engine:
            engine.accept_only = not wait
            call = engine.call(lambda now: engine.dead_letters.redrive(numbers, self.who, now))
            engine.turn(0)
            answers, end = call.result(0), time.monotonic() + wait
            while _any_running(answers) and time.monotonic() < end:
                engine.turn(POLL if engine.next_due(schedules=False) > engine.clock.now() else 0)
                database = engine.journal.database
                answers = [self._with_outcome(database, answer) for answer in answers]
            engine.accept_only = True  # running functions may end; their calls are only journalled
            end = time.monotonic() + (DRAIN if wait else 0.0)
            while not engine.idle and time.monotonic() < end:
                engine.turn(POLL)
            return answers

    def _with_outcome(self, database: Database, answer: Answer) -> Answer:
        """Return the answer about a redriven dead letter with its outcome so far."""
        if answer["state"] != "running":
            return answer
        number = answer["id"]
        returned = open_dead_letters(database, self.queues, [number])
        if returned:
            return {**answer, **_back(returned[0])}
        closed = closed_dead_letters(database, [number])
        closing = closed[0].closing if closed else None
        if closing is None or closing.state == "PENDING":
            return answer
        replacement = closing.replaced_by
        if replacement is None:
            return {**answer, "state": "done", "message": closing.outcome}
        successor = open_dead_letters(database, self.queues, [replacement])
        if successor:
            return {**answer, **_back(successor[0]), "letter": replacement}
        message = f"letter {replacement} replaced it: {closing.outcome}"
        return {**answer, "state": "back", "message": message, "letter": replacement}


def _back(dead_letter: DeadLetter) -> Answer:
    return {"state": "back", "message": f"back in {dead_letter.queue}: {dead_letter.reason}"}


def _any_running(answers: Sequence[Answer]) -> bool:
    return any(answer["state"] == "running" for answer in answers)


def number_of(text: str) -> int:
    """Return the number of a dead letter, or raise `BadParameter`."""
    if not text.isascii() or not text.isdecimal() or int(text) >= 1 << 63:
        raise typer.BadParameter(f"{text!r} is no id of a local dead letter: it must be a number")
    return int(text)
