"""The approval of high-value orders in a simulation: its decisions, and its promises.

Some seeds turn it on. Decisions come by each way (an operator's command, the HTTP API, the link in
the reviewer's mail) at random times, twice or never.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any
from urllib.parse import urlencode

from infra.local.engine.engine import Engine
from infra.server.operator_api import OperatorApi
from kernel.approval import link_code
from storage.sqlite.database import Database
from tests.simulation.dice import Dice
from tests.simulation.http_request import http_request

WAITS = (0, 0, 0, 900, 3_600)
"""Seconds that an order waits for a decision; 0 turns approvals off. A seed picks one."""

DEAR = 0.5
"""Probability that an order of a seed with approvals is of high value."""

THRESHOLD = 100_000
"""The threshold of the template, in hundredths."""

WAYS = ("operator", "http", "link")
VERBS = {"approve": "APPROVED", "reject": "REJECTED"}
REASONS = {"ApprovalRejected", "ApprovalExpired"}
DECIDED = {"APPROVED", "REJECTED", "EXPIRED"}
MOMENTS = (0.0, 0.0, 0.05, 0.3, 3.0, 60.0, 600.0, 3_000.0)
"""Seconds after the beginning of the wait at which a client decides or cancels."""

SPREADS = (1.0, 15.0, 700.0, 4_000.0)
"""Seconds from an order's event within which a client decides, whether it waits or not."""


def seconds(dice: Dice) -> int:
    """Return for how long an order of a seed waits for a decision; 0 without approvals."""
    return int(dice.pick(WAITS, "approval"))


def parameters(dice: Dice) -> dict[str, str]:
    """Return the template's parameters of a seed."""
    wait = seconds(dice)
    if not wait:
        return {}
    reviewer = dice.pick(("boss@example.com", "boss@example.com", ""), "reviewer")
    return {
        "HighValueApproval": "on",
        "ApprovalSeconds": str(wait),
        "ApprovalReviewer": reviewer,
        "PublicUrl": "https://shop.example",
    }


def decisions(dice: Dice, order_id: str, at: float) -> Iterator[tuple[float, str, dict[str, Any]]]:
    """Yield the decisions about an order: the time, the milestone and the request of each."""
    for number, chance in enumerate((0.8, 0.35, 0.2)):
        site = (order_id, "decision", number)
        if not dice.happens(chance, *site):
            continue
        verb = "approve" if dice.happens(0.6, *site, "verb") else "reject"
        body = {"verb": verb, "way": dice.pick(WAYS, *site, "way")}
        if dice.happens(0.7, *site, "when"):
            yield dice.pick(MOMENTS, *site, "after"), "AWAITING_APPROVAL", body
        else:
            yield at + dice.roll(*site) * dice.pick(SPREADS, *site, "spread"), "", body


def decide(engine: Engine, store: Database, order_id: str, body: Mapping[str, str]) -> Future[Any]:
    """Send a decision; the future has the answer of its way."""
    verb, way = body["verb"], body["way"]
    if way == "operator":
        operation = OperatorApi(engine).operations()[f"Orderflow.{verb.title()}Order"]
        return operation({"order_id": order_id, "who": "ada", "reason": "simulated"})
    if way == "http":
        return engine.call_function(
            "OrdersApiFunction", _post(f"/orders/{order_id}/{verb}", '{"reason": "simulated"}')
        )
    row = store.row("select approval_token from orders where order_id = ?", order_id)
    code = link_code(order_id, row[0]) if row and row[0] else "of another wait"
    form = urlencode({"decision": verb, "code": code})
    return engine.call_function("OrdersApiFunction", _post(f"/approvals/{order_id}", form))


_post = partial(http_request, "POST", sub="ada")


class Approvals:
    """The approvals observed so far; ``is_on`` is whether the seed has turned them on."""

    def __init__(self) -> None:
        self.is_on = False
        self.acknowledged: dict[str, str] = {}
        self._seen: dict[str, str | None] = {}

    def acknowledge(self, order_id: str, verb: str) -> str:
        """Record that a decision was accepted; return a problem, or an empty text."""
        decision = VERBS[verb]
        known = self.acknowledged.setdefault(order_id, decision)
        return "" if known == decision else f"{order_id}: {decision} after {known} was accepted"

    def problem(self, store: Database, sandbox: Database) -> str:
        """Return the broken promise of the present state, or an empty text."""
        if not self.is_on:
            return ""
        paid = {row[0] for row in sandbox.connection.execute(_CHARGED)}
        for order_id, total, approval, charge in store.connection.execute(_ORDERS):
            before = self._seen.get(order_id)
            if approval != before:
                self._seen[order_id] = approval
                if before in DECIDED or (approval in DECIDED and before != "PENDING"):
                    return f"{order_id}: {approval} after {before}"
            wanted = self.acknowledged.get(order_id)
            if wanted is not None and approval != wanted:
                return f"{order_id}: {approval}, although {wanted} was acknowledged"
            charged = charge is not None or order_id in paid
            if charged and total >= THRESHOLD and approval != "APPROVED":
                return f"{order_id} of {total} is charged, and {approval}"
        return ""

    def left(self, store: Database) -> str:
        """Return the broken promise of a settled state, or an empty text."""
        for row in store.rows(_DECISIONS):
            if row["decisions"] > 1:
                return f"{row['order_id']} has {row['decisions']} decisions"
        for row in store.rows("select order_id, failure, approval from orders"):
            if row["failure"] in REASONS and row["approval"] not in DECIDED - {"APPROVED"}:
                return f"{row['order_id']}: {row['failure']} and {row['approval']}"
        waiting = store.row("select order_id from orders where approval_token is not null")
        return f"{waiting[0]} has ended, and a task waits for its token" if waiting else ""


_CHARGED = "select order_id from gateway_charges where status in ('CHARGED', 'REFUNDED')"
_ORDERS = (
    "select o.order_id, o.total, o.approval, c.status from orders o"
    " left join charges c using (order_id)"
)
_DECISIONS = (
    "select order_id, count(*) as decisions from timeline"
    " where what in ('APPROVED', 'REJECTED') group by order_id"
)
