"""The dead letters of this machine: read from the database, changed by its one writer."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import typer

from infra.cli.errors import CommandError
from infra.cli.operator import operator
from infra.dead_letters.reading import Letter, closed_letters, history, letters
from infra.local.clock import Clock
from infra.local.directory.data_directory import DataDirectory
from infra.local.engine.engine import Engine
from infra.local.platform import platform, stack_of
from storage.sqlite.database import Database

Answer = dict[str, Any]

POLL = 0.1
"""Seconds between two looks at what became of a letter."""

DRAIN = 10.0
"""Seconds that functions get to end which were called when the command has its answer."""

WORKERS = 2


class LettersHere:
    """The dead letters in a data directory."""

    def __init__(self, where: DataDirectory) -> None:
        self.where = where
        self.queues = stack_of(where).dead_letter_queues

    def letters(self, queue: str | None = None) -> list[Letter]:
        """Return the open letters of one queue or of all, the oldest first."""
        if queue is not None and queue not in self.queues:
            these = ", ".join(self.queues)
            raise CommandError(f"{queue!r} is no dead-letter queue; these are: {these}")
        return letters(self.where.reader(), [queue] if queue else self.queues)

    def closed(self) -> list[Letter]:
        """Return the letters that were taken out of their queues, the newest last."""
        return closed_letters(self.where.reader())

    def find(self, number: str) -> Letter | None:
        """Return a letter with its history, wherever it is now."""
        reader, ids = self.where.reader(), [_number(number)]
        found = letters(reader, self.queues, ids) or closed_letters(reader, ids)
        return {**found[0], "history": history(reader, ids[0])} if found else None

    def redrive(self, ids: Sequence[str], wait: float) -> Answer:
        """Put letters on their way again; wait so many seconds for what becomes of them."""
        request = {"ids": [_number(one) for one in ids], "who": operator()}
        served = self.where.served_at()
        if served is None:
            return {"letters": self._redriven(request, wait), "served": False}
        answers = self._ask(served, "RedriveDeadLetters", request)["letters"]
        reader, end = self.where.reader(), time.monotonic() + wait
        while _running(answers) and time.monotonic() < end:
            time.sleep(POLL)
            answers = [self._outcome(reader, one) for one in answers]
        return {"letters": answers, "served": True}

    def discard(self, ids: Sequence[str], reason: str) -> list[Answer]:
        """Take letters out of their queues for good."""
        numbers, who = [_number(one) for one in ids], operator()
        return self._done(
            "DiscardDeadLetters",
            {"ids": numbers, "reason": reason, "who": who},
            lambda engine, now: engine.dead_letters.discard(numbers, reason, who, now),
        )

    def restore(self, ids: Sequence[str]) -> list[Answer]:
        """Put discarded letters back into their queues."""
        numbers, who = [_number(one) for one in ids], operator()
        return self._done(
            "RestoreDeadLetters",
            {"ids": numbers, "who": who},
            lambda engine, now: engine.dead_letters.restore(numbers, who, now),
        )

    def edit(self, number: str, event: Any) -> Answer:
        """Give a letter another event."""
        one, who = _number(number), operator()
        [answer] = self._done(
            "EditDeadLetter",
            {"id": one, "event": event, "who": who},
            lambda engine, now: [engine.dead_letters.edit(one, event, who, now)],
        )
        return answer

    def _done(
        self,
        operation: str,
        request: dict[str, Any],
        act: Callable[[Engine, float], list[Answer]],
    ) -> list[Answer]:
        """Have the server do something that has the directory or, without one, do it here."""
        served = self.where.served_at()
        if served is not None:
            answers: list[Answer] = self._ask(served, operation, request)["letters"]
            return answers
        self.where.require_database()
        with platform(self.where, clock=Clock(), workers=0) as engine:
            engine.accept_only = True
            answer = engine.call(lambda now: act(engine, now))
            engine.turn(0)
            return answer.result(0)

    def _ask(self, address: str, operation: str, request: dict[str, Any]) -> Any:
        """Have the server that writes the data directory do it."""
        headers = {"X-Amz-Target": f"Orderflow.{operation}"}
        token = self.where.token()
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        asked = urllib.request.Request(  # noqa: S310 - http, to the address that `serve` wrote
            address + "/", json.dumps(request).encode(), headers
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise CommandError(json.load(error)["message"]) from None
        except OSError as error:
            raise CommandError(f"{address} does not answer: {error}") from None

    def _redriven(self, request: dict[str, Any], wait: float) -> list[Answer]:
        """Open the platform; with a wait, process what is due until each letter's end is known."""
        self.where.require_database()
        ids, who = request["ids"], request["who"]
        with platform(self.where, clock=Clock(), workers=WORKERS if wait else 0) as engine:
            engine.accept_only = not wait
            asked = engine.call(lambda now: engine.dead_letters.redrive(ids, who, now))
            engine.turn(0)
            answers, end = asked.result(0), time.monotonic() + wait
            while _running(answers) and time.monotonic() < end:
                engine.turn(POLL if engine.next_due(schedules=False) > engine.clock.now() else 0)
                answers = [self._outcome(engine.journal.database, one) for one in answers]
            engine.accept_only = True  # what is called is journalled, and nothing is begun
            end = time.monotonic() + (DRAIN if wait else 0.0)
            while not engine.idle and time.monotonic() < end:
                engine.turn(POLL)
            return answers

    def _outcome(self, database: Database, answer: Answer) -> Answer:
        """Return a redriven letter's answer with what has become of it meanwhile."""
        if answer["state"] != "running":
            return answer
        number = answer["id"]
        back = letters(database, self.queues, [number])
        if back:
            return {**answer, **_back(back[0])}
        closed = closed_letters(database, [number])
        if not closed or closed[0]["state"] == "PENDING":
            return answer
        replaced = closed[0]["replaced_by"]
        if replaced is None:
            return {**answer, "state": "done", "message": closed[0]["outcome"]}
        successor = letters(database, self.queues, [replaced])
        if successor:
            return {**answer, **_back(successor[0]), "letter": replaced}
        message = f"letter {replaced} took its place: {closed[0]['outcome']}"
        return {**answer, "state": "back", "message": message, "letter": replaced}


def _back(letter: Letter) -> Answer:
    return {"state": "back", "message": f"back in {letter['queue']}: {letter['reason']}"}


def _running(answers: Sequence[Answer]) -> bool:
    return any(one["state"] == "running" for one in answers)


def _number(given: str) -> int:
    if not given.isascii() or not given.isdecimal() or int(given) >= 1 << 63:
        raise typer.BadParameter(f"{given!r} is no id of this machine's dead letters: a number")
    return int(given)
