"""Operations on a deployed stack's dead letters: list, redrive, discard, restore and edit.

A dead letter is deleted only after its replacement is durable: its successor, or its record in the
table. A successor's id is derived from the dead letter's, so a repeat after a crash is harmless.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from infra.dead_letters.edit import event_in, with_event
from infra.dead_letters.reading import OPERATOR
from infra.dead_letters.router import (
    Route,
    ToFunction,
    ToOrder,
    ToQueue,
    ToReconciler,
    ToRun,
    ToTarget,
    in_words,
    route,
)
from infra.deployed.account import translate_errors
from infra.deployed.bounds import Bounds, TimeLimit
from infra.deployed.dead_letter_queues import (
    EDITED,
    LETTER,
    REDEPLOY,
    SINCE,
    VISIBILITY_TIMEOUT,
    DeadLetterQueues,
    Received,
)
from infra.deployed.dead_letter_reasons import logged_reasons
from infra.deployed.dead_letter_records import DeadLetterRecords, closed_dead_letter
from infra.deployed.dead_letter_runs import UNREAD, Run, Runs
from infra.deployed.stack import DeployedStack
from infra.deployed.targets import Targets
from infra.errors import NotFound, Refusal
from infra.views.dead_letter import DeadLetter
from kernel import clock
from kernel.clock import timestamp
from kernel.errors import OrderflowError

Answer = dict[str, Any]

_FAILURES = (Refusal, OrderflowError)
"""Errors that concern one dead letter: it stays, and the others are processed."""

_UNSEEN = "was not received: SQS shows a sample; try again, or see `orders dead-letters list`"


_NOT_BEGUN = "was not begun: the time of one action is over; do the same for the others again"

BEGIN = 0.5
"""The share of its time in which a redrive begins dead letters; the rest is for their runs."""


class DeployedDeadLetters:
    """The dead letters of a stack, with the operations of `LocalDeadLetters`.

    ``bounds`` are those of one operation, whose time begins now.
    """

    def __init__(
        self,
        stack: DeployedStack,
        who: str = OPERATOR,
        patience: int = 1,
        bounds: Bounds | None = None,
    ) -> None:
        bounds = bounds or Bounds()
        self.stack = stack
        self.targets = Targets(stack)
        self.queues = DeadLetterQueues(stack, patience, bounds)
        self.limit = TimeLimit(bounds.seconds)
        self.records = DeadLetterRecords(stack.table(), clock.now, who)

    def open(self, queue: str | None = None) -> list[DeadLetter]:
        """Return the dead letters that SQS shows, of one queue or of all, the oldest first."""
        if queue is not None and queue not in self.queues.names:
            known = ", ".join(self.queues.names)
            raise NotFound(f"{queue!r} is no dead-letter queue; these are: {known}")
        with self.queues.received([queue] if queue else self.queues.names) as received:
            shown = [item.dead_letter for item in received.values()]
        logged = logged_reasons(self.stack, shown, self.queues.sources, self.limit)
        explained = [
            replace(item, reason=f"{item.reason}; {logged[str(item.id)]}")
            if str(item.id) in logged
            else item
            for item in shown
        ]
        return sorted(explained, key=lambda item: item.since)

    def closed(self) -> list[DeadLetter]:
        """Return the closed dead letters, the newest last."""
        return self.records.closed()

    def find(self, number: str) -> DeadLetter | None:
        """Return an open or closed dead letter with its history."""
        match = next((item for item in self.open() if item.id == number), None)
        if match is None:
            item = self.records.find(number)
            match = closed_dead_letter(item) if item and item["state"] != "OPEN" else None
        return match and replace(match, history=self.records.history(number))

    # ---- redrive

    def redrive(self, ids: Sequence[str] = (), wait: float = 0.0) -> Answer:
        """Redrive dead letters, all if no id is given.

        With all, SQS itself moves messages back to the queues that gave them up. A dead letter that
        is replaced by a run stays until its run has claimed the order, for which ``wait`` seconds
        are waited.
        """
        moved = [] if ids else [name for name in self.queues.names if name in self.queues.sources]
        queues = [name for name in self.queues.names if name not in moved]
        answers: list[Answer] = []
        runs: list[Run] = []
        with self.queues.received(queues, VISIBILITY_TIMEOUT + wait) as received:
            for number in dict.fromkeys(ids or received):
                result = self._redrive(received, number)
                if isinstance(result, Run):
                    runs.append(result)
                else:
                    answers.append(result)
            if runs:
                self._runs().watch(runs, list(received.values()), wait)
            answers += [self._close(received, run) for run in runs]
        return {"letters": answers, "moving": {name: self.queues.move(name) for name in moved}}

    def _redrive(self, received: dict[str, Received], number: str) -> Answer | Run:
        """Redrive one dead letter; a refused one stays and does not affect the others."""
        item = received.get(number)
        if item is None:
            return _refused(number, f"dead letter {number} {_UNSEEN}")
        if self.limit.is_over(BEGIN):
            return _refused(number, _NOT_BEGUN, item.dead_letter)
        try:
            way = self._route(item)
            run_input = self._run_input(way, item)
            if run_input is not None:
                return self._runs().start(item, run_input, self._run_name(number))
            return self._call(received, item, *self._call_of(way, item))
        except (AttributeError, KeyError, TypeError, ValueError):
            problem = "it has no destination: send its event again by hand, or discard it"
            return _refused(number, problem, item.dead_letter)
        except _FAILURES as error:
            return _refused(number, str(error), item.dead_letter)

    def _route(self, item: Received) -> Route:
        return self._way(item.dead_letter)

    def _way(self, dead_letter: DeadLetter) -> Route:
        source = self.queues.sources.get(dead_letter.queue)
        return route(
            self.queues.template,
            dead_letter.queue,
            dead_letter.body,
            source=source.name if source else None,
            target=dead_letter.attributes.get("TARGET_ARN"),
        )

    def destination_of(self, dead_letter: DeadLetter) -> str | None:
        """Return the destination of a dead letter in words; None if it has none."""
        try:
            return in_words(self._way(dead_letter))
        except (AttributeError, KeyError, TypeError, ValueError, *_FAILURES):
            return None

    def _run_input(self, way: Route, item: Received) -> str | None:
        """Return the input of the run that replaces a dead letter, or None for another route."""
        if isinstance(way, ToTarget) and way.target == self.stack.name("OrderProcessing"):
            return item.text
        if isinstance(way, ToOrder):
            ended = self._runs().ended_holder(way.order_id) or way.execution
            resume = {"order_id": way.order_id, **({"after": ended} if ended else {})}
            return json.dumps({"resume": resume})
        if isinstance(way, ToRun):
            return way.event if isinstance(way.event, str) else json.dumps(way.event)
        return None

    def _run_name(self, number: str) -> str:
        """Return the name of a run; each return of the dead letter changes it."""
        returns = [entry for entry in self.records.history(number) if entry.what == "RETURNED"]
        return f"redrive-{number}" + (f"-{len(returns) + 1}" if returns else "")

    def _runs(self) -> Runs:
        return Runs(self.stack, self.queues, clock.now, limit=self.limit)

    def _close(self, received: dict[str, Received], run: Run) -> Answer:
        """Delete the dead letter of a run that has replaced it; keep any other."""
        answer = run.answer or {}
        if self.limit.is_over():  # the next redrive finds the run by its name
            return _about(run.received.dead_letter) | UNREAD
        try:
            if run.is_stored:
                outcome = answer["message"]
                self.records.add(run.received, "REDRIVEN", state="REDRIVEN", outcome=outcome)
                self._delete(received, run.received)
            elif answer["state"] == "back":
                self.records.add(run.received, "RETURNED", outcome=answer["message"])
        except _FAILURES as error:
            return _refused(str(run.received.dead_letter.id), str(error), run.received.dead_letter)
        return _about(run.received.dead_letter) | answer

    def _call(
        self, received: dict[str, Received], item: Received, call: Callable[[], object], goal: str
    ) -> Answer:
        """Send a dead letter to its queue, target or function; then delete it."""
        with translate_errors(f"dead letter {item.dead_letter.id}", REDEPLOY):
            call()
        self.records.add(item, "REDRIVEN", state="REDRIVEN", outcome=f"sent to {goal}")
        self._delete(received, item)
        return _about(item.dead_letter) | {"state": "sent", "message": f"sent to {goal}"}

    def _delete(self, received: dict[str, Received], item: Received) -> None:
        with translate_errors(f"dead letter {item.dead_letter.id}", REDEPLOY):
            self.queues.delete(item)
        del received[str(item.dead_letter.id)]

    def _call_of(self, way: Route, item: Received) -> tuple[Callable[[], object], str]:
        """Return the call that redrives a dead letter, and its destination."""
        number, text = str(item.dead_letter.id), item.text
        if isinstance(way, ToQueue):
            text = text if way.text is None else way.text
            queue = self.stack.name(way.queue)
            return partial(self.targets.send, queue, text, number), way.queue
        if isinstance(way, ToTarget):
            return self.targets.call_of(way.target, text, f"redrive-{number}"), way.target
        if isinstance(way, ToReconciler):
            # the outbox still has the messages that the relay gave up
            reconciler = self.stack.name("ReconcileFunction")
            return partial(self.targets.invoke, reconciler, "{}"), "the reconciler"
        assert isinstance(way, ToFunction)
        payload = json.dumps(way.payload)
        return partial(self.targets.invoke, way.function, payload), way.function

    # ---- discard, restore and edit

    def discard(self, ids: Sequence[str], reason: str) -> list[Answer]:
        """Delete dead letters from their queues; the table keeps them for 14 days."""
        answers = []
        with self.queues.received(self.queues.names) as received:
            for number in dict.fromkeys(ids):
                item = received.get(number)
                if item is None:
                    answers.append(_refused(number, f"dead letter {number} {_UNSEEN}"))
                    continue
                if self.limit.is_over():
                    answers.append(_refused(number, _NOT_BEGUN, item.dead_letter))
                    continue
                try:
                    self.records.add(item, "DISCARDED", state="DISCARDED", reason=reason)
                    self._delete(received, item)
                except _FAILURES as error:
                    answers.append(_refused(number, str(error), item.dead_letter))
                else:
                    about = _about(item.dead_letter)
                    answers.append(about | {"state": "discarded", "message": reason})
        return answers

    def restore(self, ids: Sequence[str]) -> list[Answer]:
        """Send discarded dead letters to their queues again; each keeps its id."""
        answers = []
        for number in dict.fromkeys(ids):
            if self.limit.is_over():
                answers.append(_refused(number, _NOT_BEGUN))
                continue
            item = self.records.find(number)
            if item is None or item["state"] != "DISCARDED":
                state = "does not exist" if item is None else f"is {item['state']}"
                answers.append(_refused(number, f"no discarded letter {number}: it {state}"))
                continue
            dead_letter, attributes = closed_dead_letter(item), json.loads(item["given"])
            with translate_errors(f"dead letter {number}", REDEPLOY):
                own = {LETTER: number, SINCE: dead_letter.since}
                self.queues.send(dead_letter.queue, item["text"], attributes, **own)
            self.records.reopen(number)
            message = f"back in {dead_letter.queue}"
            answers.append(_about(dead_letter) | {"state": "restored", "message": message})
        return answers

    def edit(self, number: str, event: Mapping[str, Any]) -> Answer:
        """Replace the event of a dead letter: send the edited copy, then delete the original."""
        with self.queues.received(self.queues.names) as received:
            item = received.get(number)
            if item is None:
                return _refused(number, f"dead letter {number} {_UNSEEN}")
            dead_letter = item.dead_letter
            content = dead_letter.to_json()
            text = json.dumps(with_event(content, event))
            self.records.add(item, "EDITED", before=event_in(content), after=event)
            own = {LETTER: number, SINCE: dead_letter.since, EDITED: timestamp(clock.now())}
            with translate_errors(f"dead letter {number}", REDEPLOY):
                self.queues.send(dead_letter.queue, text, item.attributes, **own)
            self._delete(received, item)
        message = "its event is changed, and keeps its contract"
        return _about(dead_letter) | {"state": "edited", "message": message}


def _about(dead_letter: DeadLetter) -> Answer:
    return {"id": dead_letter.id, "queue": dead_letter.queue, "order_id": dead_letter.order_id}


def _refused(number: str, reason: str, dead_letter: DeadLetter | None = None) -> Answer:
    about = _about(dead_letter) if dead_letter else {"id": number, "queue": None, "order_id": None}
    return about | {"state": "refused", "message": reason}
