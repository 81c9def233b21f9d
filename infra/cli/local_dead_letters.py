"""Operations on a data directory's dead letters: by its server or, without one, by this process."""

import time
from collections.abc import Sequence
from typing import Any

import typer

from infra.cli.local_operations import POLL, ask, opened, operate_by, operate_in, process
from infra.cli.operator import operator
from infra.errors import NotFound
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.server.dead_letters_api import letter_operations
from infra.views.dead_letter import DeadLetter
from infra.views.local_dead_letters import (
    closed_dead_letters,
    find_dead_letter,
    open_dead_letters,
)
from storage.sqlite.database import Database

Answer = dict[str, Any]

REDRIVE = "RedriveDeadLetters"


class LocalDeadLetters:
    """The dead letters of a data directory."""

    def __init__(self, where: DataDirectory) -> None:
        self.where = where
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
        request = {"ids": numbers, "who": operator()}
        if address is None:
            return {"letters": self._redrive_here(request, wait), "served": False}
        answers = ask(self.where, address, REDRIVE, request)["letters"]
        reader, end = self.where.reader(), time.monotonic() + wait
        while _any_running(answers) and time.monotonic() < end:
            time.sleep(POLL)
            answers = [self._with_outcome(reader, answer) for answer in answers]
        return {"letters": answers, "served": True}

    def discard(self, ids: Sequence[str], reason: str) -> list[Answer]:
        """Remove dead letters from their queues for good."""
        numbers = [number_of(text) for text in ids]
        return self._operate("DiscardDeadLetters", {"ids": numbers, "reason": reason})

    def restore(self, ids: Sequence[str]) -> list[Answer]:
        """Put discarded or expired dead letters back into their queues."""
        return self._operate("RestoreDeadLetters", {"ids": [number_of(text) for text in ids]})

    def edit(self, text: str, event: Any) -> Answer:
        """Replace the event of a dead letter."""
        [answer] = self._operate("EditDeadLetter", {"id": number_of(text), "event": event})
        return answer

    def _operate(self, name: str, request: dict[str, Any]) -> list[Answer]:
        """Send an operation to the directory's server or, without one, run it here."""
        answer, _ = operate_by(letter_operations, self.where, name, request)
        answers: list[Answer] = answer["letters"]
        return answers

    def _redrive_here(self, request: dict[str, Any], wait: float) -> list[Answer]:
        """Open the platform; with a wait, process due work until each outcome is known."""
        with opened(self.where, wait) as engine:
            operations = letter_operations(engine)
            answers: list[Answer] = operate_in(engine, operations, REDRIVE, request)["letters"]

            def is_running() -> bool:
                database = engine.journal.database
                answers[:] = [self._with_outcome(database, answer) for answer in answers]
                return _any_running(answers)

            process(engine, is_running, wait)
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
