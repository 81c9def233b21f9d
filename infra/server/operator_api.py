"""The API operations of an operator on orders, reviews and stock, recorded in `operator_actions`.

====================   =============================================================================
``CancelOrder``        ``order_id``, ``reason``: request the cancellation
``RetryOrder``         ``order_id``, ``reason`` (optional): start a run now
``ApproveOrder``       ``order_id``, ``reason`` (optional): approve an order of high value
``RejectOrder``        ``order_id``, ``reason``: reject it, so that it fails uncharged
``RedriveExecution``   ``order_id``, ``execution`` (machine:name), ``reason`` (optional): redrive it
``NoteOrder``          ``order_id``, ``reason``: add the text to the order's timeline
``CloseReview``        ``order_id``, ``reason``: close the review of a high-value order
``ResendEvent``        a request of an order once more: `infra.server.resend`
``RevealData``         ``subject``, ``reason`` (optional): record that a person sees its data
``ReceiveStock``       ``units`` by SKU, ``digest``, ``earlier``, ``reason``: receive them once
``AdjustStock``        ``sku``, ``change``, ``key``, ``reason``: correct the stock of a SKU once
====================   =============================================================================

Each takes the person's name as ``who``. The response has the ``subject``, its fields ``before`` and
``after``, and the ``action``'s number.
"""

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from high_value.store import SQLiteReviews
from infra.dead_letters.reading import OPERATOR
from infra.errors import InvalidRequest
from infra.local.engine import operator_actions
from infra.local.engine.engine import Engine
from infra.local.engine.execution_redrive import redrive_execution
from infra.local.engine.execution_rows import redrives_of
from infra.local.engine.operator_actions import DONE, REFUSED, Action
from infra.server.machines_api import named_execution, no_execution
from infra.server.resend import FIELD_TYPES as RESEND_TYPES
from infra.server.resend import resend
from infra.server.rules_api import subscription_operations
from inventory.model import Adjustment, Receipt
from inventory.store import SQLiteInventory
from kernel.clock import timestamp
from kernel.errors import OrderflowError
from kernel.order_record import MAX_TEXT, Entry, OrderRecord
from kernel.order_status import Approval
from orders import approvals, operator_requests
from orders.store import SQLiteOrders
from orders.usecases import Policy, Ports
from storage.sqlite.database import Database

if TYPE_CHECKING:
    from concurrent.futures import Future

Answer = dict[str, Any]
Request = Mapping[str, Any]
Act = Callable[[Request, float], Mapping[str, Any]]

FIELD_TYPES: Mapping[str, type] = {
    **dict.fromkeys(("order_id", "sku", "key", "digest", "execution", "subject"), str),
    **RESEND_TYPES,
    "units": dict,
    "earlier": list,
    "change": int,
}
"""Types of the fields of these requests, apart from ``who`` and ``reason``."""

MAX_NAME, MAX_KEY = 100, 200
"""Maximum characters of a person's name, and of an id."""

MAX_UNITS = 1_000_000_000


class OperatorApi:
    """The operations on one engine; each runs in a turn of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def database(self) -> Database:
        """The data directory's database."""
        return self.engine.journal.database

    @cached_property
    def orders(self) -> SQLiteOrders:
        """The orders' store; like the others opened by the first operation, in the engine."""
        return SQLiteOrders(self.database)

    @cached_property
    def stock(self) -> SQLiteInventory:
        """The inventory's store."""
        return SQLiteInventory(self.database)

    @cached_property
    def reviews(self) -> SQLiteReviews:
        """The reviews' store."""
        return SQLiteReviews(self.database)

    def operations(self) -> "dict[str, Callable[[Request], Future[Answer]]]":
        """Return the operations by their names."""
        return {
            "Orderflow.CancelOrder": self._operation("cancel", "order_id", self._cancel),
            "Orderflow.RetryOrder": self._operation("retry", "order_id", self._retry, why=False),
            "Orderflow.ApproveOrder": self._operation(
                "approve", "order_id", partial(self._decide, Approval.APPROVED), why=False
            ),
            "Orderflow.RejectOrder": self._operation(
                "reject", "order_id", partial(self._decide, Approval.REJECTED)
            ),
            "Orderflow.NoteOrder": self._operation("note", "order_id", self._note),
            "Orderflow.RedriveExecution": self._operation(
                "redrive execution", "order_id", self._redrive, why=False
            ),
            "Orderflow.CloseReview": self._operation("close review", "order_id", self._close),
            "Orderflow.ReceiveStock": self._operation("receive", "digest", self._receive),
            "Orderflow.AdjustStock": self._operation("adjust", "sku", self._adjust),
            "Orderflow.ResendEvent": self._operation(
                "resend", "order_id", partial(resend, self.engine), why=False
            ),
            "Orderflow.RevealData": self._operation("reveal", "subject", _reveal, why=False),
            **subscription_operations(self.engine),
        }

    def _operation(
        self, verb: str, subject: str, act: Act, *, why: bool = True
    ) -> "Callable[[Request], Future[Answer]]":
        """Return an operation that records its action, before and after it."""

        def operate(request: Request) -> "Future[Answer]":
            name = _required(request, subject)
            reason = (request.get("reason") or "").strip()[:MAX_TEXT]
            if why and not reason:
                raise InvalidRequest("ValidationException", "reason: is missing; say why")
            action = Action((request.get("who") or OPERATOR)[:MAX_NAME], verb, name, reason)
            return self.engine.call(lambda now: self._run(action, act, request, now))

        return operate

    def _run(self, action: Action, act: Act, request: Request, now: float) -> Answer:
        before = self._state(action)
        number = operator_actions.begin(self.database, action, before, now)
        try:
            details = act({**request, "who": action.actor, "reason": action.reason}, now)
        except (OrderflowError, InvalidRequest) as error:
            operator_actions.end(self.database, number, {"problem": str(error)}, REFUSED)
            if isinstance(error, InvalidRequest):
                raise
            raise InvalidRequest(type(error).__name__, str(error)) from None
        self.engine.outbox.is_due = True
        self.engine.journal.batch.durable = True
        after = {**self._state(action), **details}
        operator_actions.end(self.database, number, after, DONE)
        return {"action": number, "subject": action.subject, "before": before, "after": after}

    def _state(self, action: Action) -> dict[str, Any]:
        """Return the fields of an action's subject that it may change."""
        if action.action == "adjust":
            stock = self.stock.stock({action.subject: 0}).get(action.subject)
            return {} if stock is None else stock._asdict()
        if action.action in ("receive", "reveal"):
            return {}
        record = self.orders.find(action.subject)
        state = {} if record is None else _of_order(record)
        if action.action == "close review":
            state["review"] = self.reviews.status(action.subject)
        return state

    def _ports(self, now: float) -> Ports:
        return Ports(self.orders, lambda: now, Policy())

    def _cancel(self, request: Request, now: float) -> Mapping[str, Any]:
        order_id, who, why = request["order_id"], request["who"], request["reason"]
        operator_requests.cancel(order_id, who, why, self._ports(now))
        return {}

    def _decide(self, decision: Approval, request: Request, now: float) -> Mapping[str, Any]:
        order_id, who, why = request["order_id"], request["who"], request["reason"]
        approvals.decide(order_id, decision, who, why, self._ports(now))
        return {}

    def _retry(self, request: Request, now: float) -> Mapping[str, Any]:
        order_id, who, why = request["order_id"], request["who"], request["reason"]
        operator_requests.retry(order_id, who, why, self._ports(now))
        return {}

    def _redrive(self, request: Request, now: float) -> Mapping[str, Any]:
        row = named_execution(self.database, request.get("execution") or "")
        if row is None:
            raise no_execution(str(request.get("execution")))
        at = redrive_execution(self.engine.executions, row, None, now)
        count, _ = redrives_of(self.database, row["id"])
        return {"execution": row["name"], "redrive_count": count + 1, "redriven_at": at}

    def _note(self, request: Request, now: float) -> Mapping[str, Any]:
        order_id, who, why = request["order_id"], request["who"], request["reason"]
        operator_requests.note(order_id, who, why, self._ports(now))
        return {}

    def _close(self, request: Request, now: float) -> Mapping[str, Any]:
        detail = {"by": request["who"], "reason": request["reason"]}
        self.reviews.close(request["order_id"], Entry("REVIEW_CLOSED", now, detail))
        return {}

    def _receive(self, request: Request, now: float) -> Mapping[str, Any]:
        earlier = request.get("earlier") or []
        if not all(isinstance(digest, str) for digest in earlier):
            raise InvalidRequest("SerializationException", "earlier is a list of digests")
        receipt = Receipt(request["digest"], _units(request.get("units")), tuple(earlier))
        known_since = self.stock.received_at(receipt)
        is_new = self.stock.receive(receipt, now)
        since = "" if known_since is None else timestamp(known_since)
        return {"received": is_new, "units": sum(receipt.units.values()), "since": since}

    def _adjust(self, request: Request, now: float) -> Mapping[str, Any]:
        change = request.get("change")
        if change is None or abs(change) > MAX_UNITS:
            problem = f"change: send a whole number up to {MAX_UNITS}"
            raise InvalidRequest("ValidationException", problem)
        self.stock.adjust(Adjustment(request["sku"], change, _required(request, "key")), now)
        return {}


def _reveal(request: Request, now: float) -> Mapping[str, Any]:  # noqa: ARG001 - of `Act`
    """Change nothing: the console shows the data after its row is stored."""
    return {}


def _of_order(record: OrderRecord) -> dict[str, Any]:
    state: dict[str, Any] = {"status": str(record.status)}
    if record.approval is not None:
        state["approval"] = str(record.approval)
    return {**state, "cancel_requested": record.cancel_requested, "attempts": record.attempts}


def _required(request: Request, field: str) -> str:
    text = request.get(field)
    if not isinstance(text, str) or not 0 < len(text) <= MAX_KEY:
        problem = f"{field}: send a text of 1 to {MAX_KEY} characters"
        raise InvalidRequest("ValidationException", problem)
    return text


def _units(units: Any) -> dict[str, int]:
    """Return the units by SKU of a request, checked."""
    if not isinstance(units, dict) or not units:
        raise InvalidRequest("ValidationException", "units: is missing; send units by SKU")
    for sku, number in units.items():
        if not sku or type(number) is not int or not 0 <= number <= MAX_UNITS:
            problem = f"units: {sku[:80]!r} needs a whole number from 0 to {MAX_UNITS}"
            raise InvalidRequest("ValidationException", problem)
    return units
