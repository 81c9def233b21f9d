"""Operators in a simulation: they handle dead letters and replays at random.

Each performs a script (`tests.simulation.operator_scripts`): a redrive, discard or edit of open
dead letters, a job on a group of them, or a replay of the archive, each with further steps. An
operator waits for dead letters, and repeats a request without an answer. Some requests have a
rival: another operator's request on the same dead letters in the same turn.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.server.dead_letters_api import letter_operations
from infra.server.letter_jobs_api import letter_job_operations
from infra.server.replays_api import ReplaysApi
from storage.sqlite.database import Database
from tests.simulation import edits
from tests.simulation.dice import Dice
from tests.simulation.letters import BY_HAND, Letters, Sent
from tests.simulation.poison import Poison, is_injected

if TYPE_CHECKING:
    from tests.simulation.plan import Action

DELAYS = (0.0, 0.0, 0.3, 3.0, 40.0, 400.0)
"""Seconds between two steps of a script."""

LOOKS, LOOK_AGAIN = 40, 25.0
"""How often an operator looks for dead letters, and the seconds between two looks."""

PATIENCE, TRIES = 60.0, 8
"""Seconds until an undo is repeated that was refused because its job runs, and how often."""

RATES = (None, 0.02, 0.2, 1.0, 10.0)
"""Paces of jobs, in dead letters a second."""

REPLAY_RATES = (None, 0.1, 2.0, 30.0)
UNKNOWN = 999_999
"""The id of no dead letter."""

OPERATIONS: Mapping[str, str] = {
    "redrive": "Orderflow.RedriveDeadLetters",
    "discard": "Orderflow.DiscardDeadLetters",
    "restore": "Orderflow.RestoreDeadLetters",
    "edit": "Orderflow.EditDeadLetter",
    "spoil": "Orderflow.EditDeadLetter",
    "redrive group": "Orderflow.StartLetterJob",
    "discard group": "Orderflow.StartLetterJob",
    "pause": "Orderflow.PauseLetterJob",
    "resume": "Orderflow.ResumeLetterJob",
    "cancel": "Orderflow.CancelLetterJob",
    "cancel undo": "Orderflow.CancelLetterJob",
    "undo": "Orderflow.UndoLetterJob",
    "replay": "Orderflow.StartReplay",
    "pause replay": "Orderflow.PauseReplay",
    "resume replay": "Orderflow.ResumeReplay",
    "cancel replay": "Orderflow.CancelReplay",
}
"""The operation of each step."""


@dataclass(slots=True)
class Port:
    """An engine as the API sees it; a fault may replace the answer of a request by an error."""

    engine: Engine
    poison: Poison
    site: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def call(self, request: Any) -> Future[Any]:
        """Run a request in the next turn."""

        def run(now: float) -> Any:
            answer = request(now)
            error = self.poison.of("request", self.site)
            if error is not None:
                raise error
            return answer

        return self.engine.call(run)


@dataclass(slots=True)
class Operators:
    """The operators of one seed; ``letters`` holds the promises that concern them."""

    dice: Dice
    poison: Poison
    letters: Letters
    sent: int = 0
    looks: dict[int, int] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)

    def send(
        self, engine: Engine, action: "Action", now: float
    ) -> "list[tuple[Action, Future[Any]]] | None":
        """Send the request of a script's next step, with its rival.

        Return each request with its future, or None if there is no dead letter yet.
        """
        body = dict(action.body)
        if "ids" not in body and "replay" not in body["steps"]:
            ids = self._chosen(engine, body["number"])
            if ids is None:
                return None
            body["ids"] = ids
        rival = body.pop("rival", None)
        sent = [self._ask(engine, replace(action, body=body), now)]
        if rival is not None and "ids" in body:
            other = replace(action, body={**body, "steps": [rival], "of": "a rival"})
            sent.append(self._ask(engine, other, now))
            if self.dice.happens(0.5, "rival first", body["number"]):
                sent.reverse()
        return sent

    def look_again(self, action: "Action", now: float) -> float | None:
        """Return when an operator looks for dead letters again; None to give up."""
        number = action.body["number"]
        self.looks[number] = self.looks.get(number, 0) + 1
        return now + LOOK_AGAIN if self.looks[number] < LOOKS else None

    def _chosen(self, engine: Engine, number: int) -> list[int] | None:
        """Return the dead letters that an operator chooses: most are open, some are not."""
        queues = engine.stack.dead_letter_queues
        rows = engine.journal.database.rows(
            f"select id from messages where queue in ({', '.join('?' * len(queues))}) order by id",
            *queues,
        )
        if not rows:
            return None
        found = [row["id"] for row in rows]
        some = [each for each in found if self.dice.happens(0.7, "chosen", number, each)]
        if self.dice.happens(0.2, "stale", number):
            closed = engine.journal.database.rows("select id from closed_letters order by id")
            some += [row["id"] for row in closed[-2:]] + [UNKNOWN]
        return some or found[-1:]

    def _ask(self, engine: Engine, action: "Action", now: float) -> "tuple[Action, Future[Any]]":
        """Send one request in the name of an operator who sends nothing else."""
        body, step = action.body, action.body["steps"][0]
        self.sent += 1
        who = f"operator-{self.sent}"
        store = engine.journal.database
        request = self._request(store, {**body, "who": who}, now)
        self.letters.sent[who] = Sent(who, step, request)
        action = replace(action, body={**body, "who": who})
        port: Any = Port(engine, self.poison, f"operator/{step}")
        try:
            return action, _operations(step, port, store)[OPERATIONS[step]](request)
        except InvalidRequest as error:
            refused: Future[Any] = Future()
            refused.set_exception(error)
            return action, refused

    def _request(self, store: Database, body: Mapping[str, Any], now: float) -> dict[str, Any]:
        step, who = body["steps"][0], body["who"]
        about, site = {"who": who}, ("request", body["number"], len(body["steps"]))
        if step in {"edit", "spoil"}:
            chosen = edits.editable(store, body["ids"])
            if step == "edit":
                event = edits.valid(chosen, who)
                self.letters.corrected(event)
            else:
                event = edits.broken(chosen, self.dice.roll(*site))
            return {**about, "id": chosen["id"], "event": event}
        if step.endswith("group"):
            rate = self.dice.pick(RATES, *site, "rate")
            action = step.partition(" ")[0]
            return {**about, "ids": body["ids"], "action": action, "rate": rate, "reason": who}
        if step == "replay":
            start = now - self.dice.pick((30.0, 400.0, 100_000.0), *site, "range")
            rate = self.dice.pick(REPLAY_RATES, *site, "rate")
            archive = f"archive/{self.letters.archive}"
            fields = {"ReplayName": who, "EventSourceArn": archive, "Rate": rate}
            return {**fields, "EventStartTime": start, "EventEndTime": now + 0.001}
        if step.endswith("replay"):
            return {"ReplayName": body["replay"]}
        if step in {"pause", "resume", "cancel", "undo", "cancel undo"}:
            key = "undone" if step == "cancel undo" else "job"
            return {**about, "id": body.get(key, UNKNOWN)}
        return {**about, "ids": body["ids"], "reason": f"{who} has decided"}

    def answered(
        self, action: "Action", answer: Future[Any], store: Database, now: float
    ) -> "tuple[float, Action] | None":
        """Check an answer; return what follows, with its time."""
        body, error = dict(action.body), answer.exception()
        who, step = body.pop("who"), body["steps"][0]
        if error is not None and not isinstance(error, InvalidRequest):
            if not is_injected(type(error).__name__):
                raise error
            self.letters.refused(store, who)
            return now + LOOK_AGAIN, replace(action, body=body)
        if error is not None:
            self.letters.refused(store, who)
            if step == "undo" and self._tries_again(body, str(error)):
                return now + PATIENCE, replace(action, body=body)
        else:
            self.letters.answered(store, who, answer.result())
            if step.endswith("group"):
                body["job"] = answer.result()["job"]
            elif step == "undo":
                body["undone"] = answer.result()["job"]
            elif step == "replay":
                body["replay"] = who
        rest = body["steps"][1:]
        if not rest:
            return None
        site = ("after", body["number"], len(rest))
        return now + self.dice.pick(DELAYS, *site), replace(action, body={**body, "steps": rest})

    def _tries_again(self, body: Mapping[str, Any], problem: str) -> bool:
        number = body["number"]
        self.tries[number] = self.tries.get(number, 0) + 1
        return "RUNNING" in problem and self.tries[number] <= TRIES


def _operations(step: str, port: Any, store: Database) -> Mapping[str, Any]:
    """Return the operations of the API that has a step."""
    if step.endswith("replay"):
        return ReplaysApi(port, store).operations()
    return letter_operations(port) if step in BY_HAND else letter_job_operations(port)
