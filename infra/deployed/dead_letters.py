"""Dead letters of a deployed stack, listed, redriven, discarded and edited.

A letter leaves its queue only after something durable has taken its place: its successor, or its
record in the table. A successor's id follows from the letter's, so a crash in between repeats
harmlessly.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from infra.dead_letters.edit import event_in, with_event
from infra.dead_letters.reading import OPERATOR, Letter
from infra.dead_letters.reason import ATTENTION
from infra.deployed.account import translate_errors
from infra.deployed.dead_letter_queues import (
    EDITED,
    HELD,
    LETTER,
    REDEPLOY,
    SINCE,
    Held,
    LetterQueues,
)
from infra.deployed.dead_letter_reasons import logged_reasons
from infra.deployed.dead_letter_records import LetterRecords, told
from infra.deployed.dead_letter_runs import Run, Runs
from infra.deployed.stack import DeployedStack
from infra.deployed.targets import Targets
from infra.errors import NotFound, Refusal
from kernel import clock
from kernel.clock import timestamp
from kernel.errors import OrderflowError

Answer = dict[str, Any]

_FAILURES = (Refusal, OrderflowError)
"""Errors that concern one letter: it stays, and the others go on."""

_UNSEEN = "was not seen; look with `orders dead-letters list`, and again: SQS shows a sample"


class DeadLetters:
    """The dead letters of a stack (see `infra.cli.local_dead_letters.LettersHere`)."""

    def __init__(self, stack: DeployedStack, who: str = OPERATOR, patience: int = 1) -> None:
        self.stack = stack
        self.targets = Targets(stack)
        self.queues = LetterQueues(stack, patience)
        self.records = LetterRecords(stack.table(), clock.now, who)

    def letters(self, queue: str | None = None) -> list[Letter]:
        """Return the letters that SQS shows, of one queue or of all, the oldest first."""
        if queue is not None and queue not in self.queues.names:
            these = ", ".join(self.queues.names)
            raise NotFound(f"{queue!r} is no dead-letter queue; these are: {these}")
        with self.queues.received([queue] if queue else self.queues.names) as held:
            found = [one.letter for one in held.values()]
        for number, reason in logged_reasons(self.stack, found, self.queues.sources).items():
            letter = next(one for one in found if one["id"] == number)
            letter["reason"] = f"{letter['reason']}; {reason}"
        return sorted(found, key=lambda one: str(one["since"]))

    def closed(self) -> list[Letter]:
        """Return the letters that were taken out of their queues, the newest last."""
        return self.records.closed()

    def find(self, number: str) -> Letter | None:
        """Return a letter with its history, wherever it is now."""
        found: Letter | None = next((one for one in self.letters() if one["id"] == number), None)
        if found is None:
            item = self.records.find(number)
            found = told(item) if item and item["state"] != "OPEN" else None
        return found and {**found, "history": self.records.history(number)}

    # ---- redriving

    def redrive(self, ids: Sequence[str] = (), wait: float = 0.0) -> Answer:
        """Send letters on their way again, all if no id is given.

        Of all, those that a queue gave up are moved back to it by SQS itself. A letter that became
        a run stays until its run has taken the order; so many seconds are waited for that.
        """
        moved = [] if ids else [name for name in self.queues.names if name in self.queues.sources]
        looked_at = [name for name in self.queues.names if name not in moved]
        answers: list[Answer] = []
        runs: list[Run] = []
        with self.queues.received(looked_at, HELD + wait) as held:
            for number in dict.fromkeys(ids or held):
                done = self._sent(held, number)
                if isinstance(done, Run):
                    runs.append(done)
                else:
                    answers.append(done)
            if runs:
                self._runs().watch(runs, list(held.values()), wait)
            answers += [self._after(held, run) for run in runs]
        return {"letters": answers, "moving": {name: self.queues.move(name) for name in moved}}

    def _sent(self, held: dict[str, Held], number: str) -> Answer | Run:
        """Send one letter; a letter that is refused stays and holds up no other."""
        one = held.get(number)
        if one is None:
            return _refused(number, f"dead letter {number} {_UNSEEN}")
        try:
            return self._as_run(one) or self._elsewhere(held, one)
        except (AttributeError, KeyError, TypeError, ValueError):
            problem = "it has no way back: send its event again by hand, or discard the letter"
            return _refused(number, problem, one.letter)
        except _FAILURES as error:
            return _refused(number, str(error), one.letter)

    def _as_run(self, held: Held) -> Run | None:
        """Start the run that a letter becomes, if that is its way back."""
        body, attributes = held.letter["body"], held.letter["attributes"]
        if held.letter["queue"] in self.queues.sources:
            return None
        if attributes.get("TARGET_ARN") == self.stack.name("OrderProcessing"):
            given = held.text
        elif held.letter["queue"] == ATTENTION:
            given = json.dumps({"resume": self._resume(body)})
        elif isinstance(body, dict) and body.get("consumer") == "order_processing":
            event = body["event"]
            given = event if isinstance(event, str) else json.dumps(event)
        else:
            return None
        number = held.letter["id"]
        returned = [one for one in self.records.history(number) if one["what"] == "RETURNED"]
        name = f"redrive-{number}" + (f"-{len(returned) + 1}" if returned else "")
        return self._runs().start(held, given, name)

    def _resume(self, body: Mapping[str, Any]) -> Answer:
        """Return what a run is given that takes an order over from one which has ended.

        The run that asked for attention ends with that.
        """
        order_id = body["order_id"]
        ended = self._runs().holder(order_id) or body.get("execution")
        return {"order_id": order_id, **({"after": ended} if ended else {})}

    def _runs(self) -> Runs:
        return Runs(self.stack, self.queues, clock.now)

    def _after(self, held: dict[str, Held], run: Run) -> Answer:
        """Delete the letter of a run that has taken its place; keep any other."""
        answer = run.answer or {}
        try:
            if run.is_stored:
                outcome = answer["message"]
                self.records.note(run.held, "REDRIVEN", state="REDRIVEN", outcome=outcome)
                self._delete(held, run.held)
            elif answer["state"] == "back":
                self.records.note(run.held, "RETURNED", outcome=answer["message"])
        except _FAILURES as error:
            return _refused(run.held.letter["id"], str(error), run.held.letter)
        return _about(run.held.letter) | answer

    def _elsewhere(self, held: dict[str, Held], one: Held) -> Answer:
        """Send a letter to its queue, its target or its function; then delete it."""
        way, goal = self._way_back(one)
        with translate_errors(f"dead letter {one.letter['id']}", REDEPLOY):
            way()
        self.records.note(one, "REDRIVEN", state="REDRIVEN", outcome=f"sent to {goal}")
        self._delete(held, one)
        return _about(one.letter) | {"state": "sent", "message": f"sent to {goal}"}

    def _delete(self, held: dict[str, Held], one: Held) -> None:
        with translate_errors(f"dead letter {one.letter['id']}", REDEPLOY):
            self.queues.delete(one)
        del held[one.letter["id"]]

    def _way_back(self, held: Held) -> tuple[Callable[[], object], str]:
        """Return what puts a letter back where it failed, and where that is."""
        letter, text = held.letter, held.text
        body, attributes = letter["body"], letter["attributes"]
        source = self.queues.sources.get(letter["queue"])
        if source:
            return self._to_queue(source.name, text, letter), source.name
        if "TARGET_ARN" in attributes:
            arn = attributes["TARGET_ARN"]
            return self.targets.at(arn, text, f"redrive-{letter['id']}"), arn
        if "DDBStreamBatchInfo" in body:
            # what the relay gave up is in an outbox still: the reconciler sends it
            reconciler = self.stack.name("ReconcileFunction")
            return partial(self.targets.call, reconciler, "{}"), "the reconciler"
        if "requestPayload" in body:
            function = body["requestContext"]["functionArn"]
            return partial(
                self.targets.call, function, json.dumps(body["requestPayload"])
            ), function
        event, queue = body["event"], self._queue_of(body["consumer"])
        again = event if isinstance(event, str) else json.dumps(event)
        return self._to_queue(queue, again, letter), queue

    def _to_queue(self, queue: str, text: str, letter: Letter) -> Callable[[], object]:
        return partial(self.targets.send, self.stack.name(queue), text, letter["id"])

    def _queue_of(self, consumer: str) -> str:
        template = self.queues.template
        for source in template.consumers:
            if template.functions[source.function].handler.split(".")[-2] == consumer:
                return source.queue
        raise KeyError(consumer)

    # ---- discarding and editing

    def discard(self, ids: Sequence[str], reason: str) -> list[Answer]:
        """Take letters out of their queues for good; the table keeps them for 14 days."""
        answers = []
        with self.queues.received(self.queues.names) as held:
            for number in dict.fromkeys(ids):
                one = held.get(number)
                if one is None:
                    answers.append(_refused(number, f"dead letter {number} {_UNSEEN}"))
                    continue
                try:
                    self.records.note(one, "DISCARDED", state="DISCARDED", reason=reason)
                    self._delete(held, one)
                except _FAILURES as error:
                    answers.append(_refused(number, str(error), one.letter))
                else:
                    answers.append(_about(one.letter) | {"state": "discarded", "message": reason})
        return answers

    def restore(self, ids: Sequence[str]) -> list[Answer]:
        """Send discarded letters to their queues again; each keeps its id."""
        answers = []
        for number in dict.fromkeys(ids):
            item = self.records.find(number)
            if item is None or item["state"] != "DISCARDED":
                state = "is not there" if item is None else f"is {item['state']}"
                answers.append(_refused(number, f"no discarded letter {number}: it {state}"))
                continue
            letter, given = told(item), json.loads(item["given"])
            with translate_errors(f"dead letter {number}", REDEPLOY):
                own = {LETTER: number, SINCE: letter["since"]}
                self.queues.send(letter["queue"], item["text"], given, **own)
            self.records.reopened(number)
            message = f"back in {letter['queue']}"
            answers.append(_about(letter) | {"state": "restored", "message": message})
        return answers

    def edit(self, number: str, event: Mapping[str, Any]) -> Answer:
        """Give a letter another event: send it to its queue so, then delete what it was."""
        with self.queues.received(self.queues.names) as held:
            one = held.get(number)
            if one is None:
                return _refused(number, f"dead letter {number} {_UNSEEN}")
            letter, text = one.letter, json.dumps(with_event(one.letter, event))
            self.records.note(one, "EDITED", before=event_in(letter), after=event)
            own = {LETTER: number, SINCE: letter["since"], EDITED: timestamp(clock.now())}
            with translate_errors(f"dead letter {number}", REDEPLOY):
                self.queues.send(letter["queue"], text, one.attributes, **own)
            self._delete(held, one)
        message = "its event is changed, and keeps its contract"
        return _about(letter) | {"state": "edited", "message": message}


def _about(letter: Mapping[str, Any]) -> Answer:
    return {name: letter.get(name) for name in ("id", "queue", "order_id")}


def _refused(number: str, why: str, letter: Mapping[str, Any] | None = None) -> Answer:
    about = _about(letter) if letter else {"id": number, "queue": None, "order_id": None}
    return about | {"state": "refused", "message": why}
