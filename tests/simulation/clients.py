"""Clients: each performs the actions of the plan, and repeats them until an acknowledgement."""

import json
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any

from infra.errors import InvalidRequest
from infra.local.engine.engine import Engine
from infra.local.workers.invocations import Result
from inventory.model import Receipt
from inventory.store import SQLiteInventory
from storage.sqlite.database import Database
from tests.simulation import approvals, operators, redrives
from tests.simulation.http_request import http_request
from tests.simulation.model import Model, promise
from tests.simulation.operator_scripts import OPERATE
from tests.simulation.plan import Action
from tests.simulation.poison import Poison, is_injected
from tests.simulation.workers import Crash

PATIENCE = 5.0
"""Seconds after which a client without an answer retries."""

FINAL = range(200, 500)

RIVALS_NUMBER = 10_000
"""Added to the number of a script for that of its rival's request."""


class Clients:
    """The clients of one platform; ``actions`` are numbered, with times relative to ``begin``."""

    def __init__(
        self,
        actions: Sequence[tuple[int, Action]],
        begin: float,
        model: Model,
        poison: Poison,
        staff: operators.Operators,
    ) -> None:
        self.poison = poison
        self.operators = staff
        self._due = [
            (begin + action.at, number, action) for number, action in actions if not action.when
        ]
        heapify(self._due)
        self._watching = [(number, action) for number, action in actions if action.when]
        self._pending: list[tuple[int, Action, Future[Any]]] = []
        self.model = model
        self.last = max((at for at, _, _ in self._due), default=begin)

    def next_at(self) -> float:
        """Return the time of the next action."""
        return self._due[0][0] if self._due else float("inf")

    @property
    def done(self) -> bool:
        """Whether no action and no answer is pending."""
        return not self._due and not self._pending

    def watch(self, order_id: str, where: str, now: float) -> None:
        """Schedule the actions that wait for an order to reach a milestone."""
        for entry in [
            (number, action)
            for number, action in self._watching
            if (action.order_id, action.when) == (order_id, where)
        ]:
            self._watching.remove(entry)
            heappush(self._due, (now + entry[1].at, *entry))

    def next(self, now: float) -> tuple[int, Action] | None:
        """Return the next action that is due, or None."""
        if not self._due or self._due[0][0] > now:
            return None
        _, number, action = heappop(self._due)
        return number, action

    def send(self, engine: Engine, number: int, action: Action, now: float) -> None:
        """Put an event, or call the HTTP API; `listen` takes the answer."""
        answer: Future[Any]
        if action.do == OPERATE:
            self._operate(engine, number, action, now)
            return
        if action.do == "decide":
            store = engine.journal.database
            answer = approvals.decide(engine, store, action.order_id, action.body)
            self._pending.append((number, action, answer))
            return
        if action.do in {redrives.STOP, redrives.REDRIVE}:
            self._pending.append((number, action, redrives.send(engine, action)))
            return
        self.model.sent(action)
        if action.do == "http":
            sent = action.body
            request = http_request(sent["method"], sent["path"], json.dumps(sent["body"]))
            answer = engine.call_function("OrdersApiFunction", request)
        else:
            entry = {
                "EventBusName": "orders-bus",
                "Source": action.body["source"],
                "DetailType": action.body["detail-type"],
                "Detail": json.dumps(action.body["detail"]),
            }
            answer = engine.call(partial(self._put, engine, action.order_id, entry))
        self._pending.append((number, action, answer))

    def _operate(self, engine: Engine, number: int, action: Action, now: float) -> None:
        sent = self.operators.send(engine, action, now)
        if sent is not None:
            for each, answer in sent:
                own = number + RIVALS_NUMBER * ("of" in each.body)
                self._pending.append((own, each, answer))
        elif (at := self.operators.look_again(action, now)) is not None:
            heappush(self._due, (at, number, action))

    def _put(self, engine: Engine, order_id: str, entry: Any, now: float) -> Any:
        """Put an entry, as the port does; a fault may replace the answer by an error."""
        answer = engine.bus.put([entry], now)
        error = self.poison.of("request", f"put/{order_id}")
        if error is not None:
            raise error
        return answer

    def receive(self, store: Database, action: Action, now: float) -> bool:
        """Receive stock, as the command does; raise Crash if the receipt was not committed."""
        digest, units = action.body["digest"], action.body["units"]
        try:
            SQLiteInventory(store).receive(Receipt(digest, units), now)
        except Crash:
            if not store.row("select 1 from receipts where digest = ?", digest):
                raise
        self.model.arrives(digest, units)
        return True

    def listen(self, store: Database, now: float) -> None:
        """Take the available answers."""
        for entry in [entry for entry in self._pending if entry[2].done()]:
            self._pending.remove(entry)
            number, action, answer = entry
            if action.do in {redrives.STOP, redrives.REDRIVE, OPERATE}:
                follows = (
                    self.operators.answered(action, answer, store, now)
                    if action.do == OPERATE
                    else redrives.answered(action, answer, now)
                )
                if follows is not None:
                    heappush(self._due, (follows[0], number, follows[1]))
                continue
            refused = answer.exception()
            if isinstance(refused, InvalidRequest) and action.do == "decide":
                continue  # an operator's decision, refused by a rule
            if refused is not None and not is_injected(type(refused).__name__):
                raise refused
            if refused is not None or not self._is_final(action, answer.result()):
                heappush(self._due, (now + PATIENCE, number, action))

    def disconnected(self, now: float) -> None:
        """Schedule retries of all pending requests after a crash."""
        for number, action, _ in self._pending:
            heappush(self._due, (now + PATIENCE, number, action))
        self._pending.clear()

    def again(self, number: int, action: Action, now: float) -> None:
        """Schedule the retry of an action."""
        heappush(self._due, (now + PATIENCE, number, action))

    def _is_final(self, action: Action, answer: Any) -> bool:
        """Record an acknowledgement; return whether the answer is final."""
        if action.do == "put":
            [entry] = answer["Entries"]
            if entry.get("ErrorCode") == "InternalFailure":
                return False
            promise("end", "EventId" in entry, f"{action} was refused: {entry}")
            self.model.acknowledge(action, entry["EventId"])
            return True
        if action.do == "decide" and action.body["way"] == "operator":
            self.model.decided(action)
            return True
        result: Result = answer
        if result.error is not None or not isinstance(result.payload, dict):
            return False  # the port answers with 500
        if result.payload.get("statusCode") not in FINAL:
            return False
        if result.payload["statusCode"] in (200, 201, 202):
            if action.do == "decide":
                self.model.decided(action)
            else:
                self.model.acknowledge(action, "")
        return True
