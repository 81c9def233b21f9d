"""The promises about dead letters and operators at any moment, derived from the letters' log.

A dead letter is open or closed, never neither; each change of it has one record, by the operator
who asked, by a job or by the platform; a refused request changes nothing; a redrive has exactly one
successor, with the event as it was edited last.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.local.orderflow import ATTENTION_QUEUE
from storage.sqlite.database import Database
from tests.simulation.model import Wanted, promise
from tests.simulation.paced import Paced

OPERATOR = "operator: "
"""The beginning of the names of the operators' effects in the counts of a seed."""

OPEN, PENDING, DISCARDED, DONE, REPLACED = "open", "PENDING", "DISCARDED", "DONE", "REPLACED"
EXPIRED = "EXPIRED"
MOVES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "REDRIVEN": ((OPEN,), PENDING),
    "DISCARDED": ((OPEN,), DISCARDED),
    "RESTORED": ((DISCARDED, EXPIRED), OPEN),
    "EDITED": ((OPEN,), OPEN),
    "CLOSED": ((OPEN,), DONE),
    "RETURNED": ((PENDING,), OPEN),
    "DONE": ((PENDING,), DONE),
    "REPLACED": ((PENDING,), REPLACED),
}
"""The steps of a dead letter's log: the states before each, and the state after it."""

RECORD: Mapping[str, str] = {
    "running": "REDRIVEN",
    "discarded": "DISCARDED",
    "restored": "RESTORED",
    "edited": "EDITED",
}
"""The step that each answer of an operation promises."""

BY_HAND = {"redrive", "discard", "restore", "edit", "spoil"}
"""The steps of operators that handle dead letters themselves, without a job."""

_LOG = "select id, letter, at, who, what, detail from letter_log where id > ? order by id"
RUN = "execution"
"""The kind of a successor that opens an order."""

_TEXT: Mapping[str, str] = {
    "message": "select body from messages where id = ?",
    "delivery": "select envelope from deliveries join events on seq = event_seq where"
    " deliveries.id = ?",
    RUN: "select input from executions where name = ? order by id desc",
}
"""The content of a successor, by its kind."""


@dataclass(slots=True)
class Sent:
    """A request that an operator sent; each request has its own operator's name."""

    who: str
    step: str
    request: Mapping[str, Any]


@dataclass(slots=True)
class Letters:
    """The dead letters observed so far."""

    wanted: dict[str, Wanted]
    """The orders that clients and corrected events ask for, by their ids: the model's."""
    queues: Sequence[str] = ()
    archive: str = ""
    sent: dict[str, Sent] = field(default_factory=dict)
    effects: Counter[str] = field(default_factory=Counter)
    """How often each operation took effect, for the report of the mix."""
    paced: Paced = field(default_factory=Paced)
    places: dict[int, str] = field(default_factory=dict)
    bodies: dict[int, str] = field(default_factory=dict)
    steps: dict[str, dict[int, list[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    """The steps of each operator's own request in the log of each dead letter."""
    marks: dict[int, str] = field(default_factory=dict)
    """The mark that the last edit has put into a dead letter."""
    mended: dict[int, str] = field(default_factory=dict)
    """The orders of the dead letters whose event was corrected, by their numbers."""
    runs: set[int] = field(default_factory=set)
    """The dead letters whose successor is a run; other consumers open no order."""
    discarded_by: dict[int, int | None] = field(default_factory=dict)
    successors: set[str] = field(default_factory=set)
    log: int = 0

    def watch(self, store: Database, *, jobs: bool) -> None:
        """Check the dead letters if their log has grown, or if jobs or replays are active."""
        row = store.row("select max(id) from letter_log")
        if jobs or (row is not None and (row[0] or 0) != self.log):
            self.check(store)

    def check(self, store: Database) -> None:
        """Check every dead letter, job and replay against its log."""
        opened = self._open(store)
        closed = {row["id"]: row for row in store.rows("select * from closed_letters")}
        edited = set()
        for row in store.rows(_LOG, self.log):
            self._move(store, row, opened, closed)
            self.log = row["id"]
            if row["what"] == "EDITED":
                edited.add(row["letter"])
        for letter in opened:
            self.places.setdefault(letter, OPEN)
        for letter, place in self.places.items():
            self._placed(letter, place, opened.get(letter), closed.get(letter))
        for letter, row in (closed | opened).items():
            same = self.bodies.get(letter, row["body"]) == row["body"]
            by_rule = letter in edited or row["queue"] == ATTENTION_QUEUE
            message = f"the content of dead letter {letter} changed without a record"
            promise("letters", same or by_rule, message)
            self.bodies[letter] = row["body"]
        self.paced.check(store)

    def _open(self, store: Database) -> dict[int, Any]:
        marks = ", ".join("?" * len(self.queues))
        query = f"select id, queue, body, attributes from messages where queue in ({marks})"
        return {row["id"]: row for row in store.rows(query, *self.queues)}

    def _move(
        self, store: Database, row: Any, opened: Mapping[int, Any], closed: Mapping[int, Any]
    ) -> None:
        """Take an entry of a dead letter's log."""
        letter, what, detail = row["letter"], row["what"], json.loads(row["detail"])
        before = self.places.get(letter, OPEN)
        allowed, self.places[letter] = MOVES[what]
        again = before != OPEN and self._is_open_again(letter, opened, closed)
        message = f"dead letter {letter} is {before}, and then {what} by {row['who']}"
        promise("letters", before in allowed or again, message)
        job = detail.get("job")
        if job is not None:
            self._of_job(job, row, letter)
        elif row["who"] in self.sent:
            self.steps[row["who"]][letter].append(what)
            self.effects[what.lower()] += 1
        if what == "DISCARDED":
            self.discarded_by[letter] = job
            promise("letters", job or detail["reason"], f"{letter} is discarded without a reason")
        elif what == "REDRIVEN":
            self._redriven(store, letter, detail["successor"])
        elif what == "EDITED":
            self._edited(letter, detail["after"], row["who"], opened)

    def _is_open_again(
        self, letter: int, opened: Mapping[int, Any], closed: Mapping[int, Any]
    ) -> bool:
        """Return whether a request for attention may have reopened a dead letter in that turn."""
        row = opened.get(letter) or closed.get(letter)
        return row is not None and row["queue"] == ATTENTION_QUEUE

    def _of_job(self, job: int, row: Any, letter: int) -> None:
        self.paced.done(job, letter, row["at"])
        undone = self.paced.undoes.get(job)
        if row["what"] == "RESTORED" and undone is not None:
            by = self.discarded_by.get(letter)
            message = f"job {job} restores {letter} as of job {undone}, and {by} has discarded it"
            promise("letters", by == undone, message)

    def _redriven(self, store: Database, letter: int, successor: str) -> None:
        """Check that a redriven dead letter has one successor, in the same transaction."""
        message = f"dead letter {letter} and another one have the successor {successor}"
        promise("letters", successor not in self.successors, message)
        self.successors.add(successor)
        kind, _, name = successor.partition(" ")
        if kind == RUN:
            self.runs.add(letter)
        row = store.row(_TEXT[kind], name)
        promise("letters", row is not None, f"the successor of {letter}, {successor}, is missing")
        mark = self.marks.get(letter, "")
        is_current = row is None or "resume" in row[0] or mark in row[0]
        promise("letters", is_current, f"{successor} of {letter} lacks the edit by {mark}")

    def _edited(self, letter: int, event: Any, who: str, opened: Mapping[int, Any]) -> None:
        if letter in opened and '"EDITED"' in opened[letter]["attributes"]:
            body = json.loads(opened[letter]["body"])
            now = body["event"] if "consumer" in body else body
            changed = {name for name in event if now.get(name) != event[name]}
            promise("letters", not changed, f"{letter} was edited by {who}, and lacks {changed}")
        else:
            promise("letters", letter not in opened, f"{letter} was edited, and is as before")
        if event.get("detail-type") == "Order Created":
            self.mended[letter] = event["detail"]["order_id"]
        self.marks[letter] = f"{who} " if f"{who} " in json.dumps(event) else ""

    def _placed(self, letter: int, place: str, opened: Any, closed: Any) -> None:
        """Check that a dead letter is where its log says, and nowhere else."""
        state = closed["state"] if closed is not None else "gone"
        found = OPEN if opened is not None else state
        if found == OPEN and opened["queue"] == ATTENTION_QUEUE and state == PENDING:
            return  # the platform has asked for attention again in the turn of the redrive
        if found == EXPIRED:
            self.places[letter] = EXPIRED
            return
        message = f"dead letter {letter} is {found}, and {place} by its log"
        promise("letters", found == place, message)
        both = opened is not None and closed is not None
        promise("letters", not both, f"dead letter {letter} is open and {state}")

    # requests of operators

    def corrected(self, event: Any) -> None:
        """Record the order that a corrected event asks for."""
        if not isinstance(event, dict):
            return
        detail = event.get("detail")
        if event.get("detail-type") != "Order Created" or not isinstance(detail, dict):
            return
        units: Counter[str] = Counter()
        for item in detail["items"]:
            units[item["sku"]] += item["quantity"]
        total, token = round(detail["total"] * 100), detail.get("payment_token")
        wanted = Wanted(total, units, token, detail.get("email"))
        self.wanted.setdefault(detail["order_id"], wanted)

    def answered(self, store: Database, who: str, answer: Mapping[str, Any]) -> None:
        """Check that an acknowledged request is recorded once, and its refused part never."""
        self.check(store)
        sent = self.sent[who]
        if sent.step not in BY_HAND:
            self.paced.answered(store, sent.step, sent.request, answer, self.effects)
            return
        recorded = self.steps.get(who, {})
        for letter in answer["letters"]:
            is_refused = letter["state"] == "refused"
            steps = recorded.get(letter["id"], [])
            wanted = [] if is_refused else [RECORD[letter["state"]]]
            message = f"{sent.step} of {letter['id']} by {who} is {letter['state']}"
            promise("letters", steps == wanted, f"{message}, and recorded as {steps}")
            self.effects[f"refused {sent.step}"] += is_refused
            promise("letters", sent.step != "spoil" or is_refused, f"{message}: it was no event")

    def refused(self, store: Database, who: str) -> None:
        """Check that a refused request has changed nothing."""
        self.check(store)
        step = self.sent[who].step
        promise("letters", not self.steps.get(who), f"{step} by {who} is refused, and recorded")
        for table, column in (("letter_jobs", "who"), ("replays", "name")):
            row = store.row(f"select 1 from {table} where {column} = ?", who)
            promise("letters", row is None, f"{step} by {who} is refused, and in {table}")
        self.effects[f"refused {step}"] += 1

    def shares(self) -> dict[str, int]:
        """Return the operations that took effect, each once, for the shares of seeds."""
        return {f"{OPERATOR}{what}": 1 for what, times in self.effects.items() if times}

    # the end

    def left(self, store: Database) -> None:
        """Check the settled state."""
        self.check(store)
        for who, letters in self.steps.items():
            twice = [letter for letter, steps in letters.items() if len(steps) > 1]
            promise("letters", not twice, f"{self.sent[who]} handled {twice} twice")
        query = "select id, outcome from closed_letters where state = 'DISCARDED'"
        for row in store.rows(query):
            message = f"dead letter {row['id']} is discarded without a reason or a record"
            promise("letters", row["outcome"] and row["id"] in self.discarded_by, message)
        self._arrived(store)
        self.paced.left(store, self.effects)

    def _arrived(self, store: Database) -> None:
        """Check that each order exists whose corrected event was redriven with success."""
        for letter, order_id in self.mended.items():
            if letter in self.runs and self.places[letter] == DONE:
                row = store.row("select 1 from orders where order_id = ?", order_id)
                message = f"the redrive of {letter} has succeeded, and there is no {order_id}"
                promise("letters", row is not None, message)
                self.effects["mended order"] += 1
