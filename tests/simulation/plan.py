"""The clients' actions in a seed: orders of every kind, changes, cancellations, stock, outages."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.simulation import approvals, operator_scripts, redrives
from tests.simulation.dice import Dice

TEA, MUG, VASE, GHOST = "TEA", "MUG", "VASE", "GHOST"
"""SKUs: many units, a few, none yet, and unknown to the stock."""

CLIENT_SECONDS = 90.0
"""Seconds in which clients start new actions."""

KINDS: Mapping[str, tuple[float, Mapping[str, Any]]] = {
    "plain": (3, {}),
    "without mail": (1, {"email": None}),
    "bouncing": (0.5, {"email": "ada@bounce.example"}),
    "high value": (1, {"items": [(TEA, 80, 12.5)]}),
    "last mugs": (3, {"items": [(MUG, 2, 5.0)]}),
    "two lines": (1, {"items": [(TEA, 1, 7.5), (VASE, 1, 5.0)]}),
    "late stock": (1.5, {"items": [(VASE, 1, 30.0)]}),
    "nobody stocks it": (0.5, {"items": [(GHOST, 1, 3.0)]}),
    "declined": (1, {"payment_token": "tok_decline"}),
    "times out": (1, {"payment_token": "tok_timeout"}),
    "answer lost": (1.5, {"payment_token": "tok_lose_answer"}),
    "unavailable": (1, {"payment_token": "tok_unavailable_5"}),
    "never available": (0.4, {"payment_token": "tok_unavailable"}),
    "carrier refuses once": (0.7, {"street": "SANDBOX FAIL 1"}),
    "carrier refuses": (1.5, {"street": "SANDBOX FAIL"}),
    "refund fails": (1, {"street": "SANDBOX FAIL", "payment_token": "tok_refund_fails_5"}),
    "never refunded": (0.2, {"street": "SANDBOX FAIL", "payment_token": "tok_refund_fails"}),
    "invalid": (0.7, {"total": 1.0}),
    "newer schema": (0.3, {"schema_version": "2.0"}),
}
"""Orders by kind: weight, and differences from a plain order's event."""

NEVER_ENDS = "tok_refund_fails"
"""The token of a charge that cannot be refunded: its order waits for a person."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action of a client, or an external event.

    ``do`` is put, http, decide, receive, stop run, redrive run, operate, jump, crash, redrive, sink
    away or sink back. ``at`` is in seconds from the beginning; with ``when``, from the time when
    the order reaches that milestone.
    """

    at: float
    do: str
    order_id: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    valid: bool = True
    when: str = ""

    def __str__(self) -> str:
        if self.do == "put":
            return f"put {self.body['detail-type']} {_short(self.body['detail'])}"
        if self.do == "http":
            return f"{self.body['method']} {self.body['path']} {_short(self.body['body'])}"
        return f"{self.do} {json.dumps(self.body) if self.body else ''}"


MILESTONES = ("RESERVED", "PENDING", "PENDING", "CHARGED", "COMMITTED", "WAITING", "COMPENSATING")
"""States of an order for which clients wait."""


def plan(seed: int) -> list[Action]:
    """Return the actions of a seed in order of time."""
    dice = Dice(seed)
    actions = [_receive(0.0, {TEA: 1000, MUG: 3, VASE: 0}, "first")]
    for number in range(4 + int(dice.roll("orders") * 5)):
        actions += _order(dice, f"S-{number}")
    actions += _strays(dice)
    actions += _surroundings(dice)
    actions += _operators(dice)
    return sorted(actions, key=lambda action: action.at)


def _order(dice: Dice, order_id: str) -> Iterator[Action]:
    """Yield an order's event, and the further actions of its clients."""
    at = dice.roll(order_id, "at") * CLIENT_SECONDS / 2
    kind = _kind(dice, order_id)
    detail = _detail(order_id, _changed(dice, order_id, kind))
    if dice.happens(0.7, order_id, "metadata"):
        version = KINDS[kind][1].get("schema_version", "1.0")
        detail["metadata"] = {"event_id": f"{order_id}-created", "schema_version": version}
    valid = kind not in {"invalid", "newer schema"}
    if kind == "newer schema":
        detail["metadata"] = {"schema_version": "2.0"}
    if valid and dice.happens(0.2, order_id, "http"):
        body = {key: value for key, value in detail.items() if key != "metadata"}
        yield _http(at, order_id, "POST", "/orders", body)
        return (yield from _changes(dice, order_id, at))
    yield _put(at, order_id, "Order Created", detail, valid=valid)
    if dice.happens(0.2, order_id, "again"):
        later = dice.pick((0.0, 0.01, 1.0, 40.0, 7_200.0, 95_000.0), order_id, "again at")
        yield _put(at + later, order_id, "Order Created", detail, valid=valid)
    if not valid:
        return
    if dice.happens(0.15, order_id, "retried"):
        retried = {**detail, "metadata": {"event_id": f"{order_id}-retried"}}
        later = dice.pick((0.0, 0.3, 5.0, 600.0), order_id, "retried at")
        yield _put(at + later, order_id, "Order Created", retried)
    if dice.happens(0.1, order_id, "conflict"):
        other = {**detail, "customer_id": "C-2", "metadata": {"event_id": f"{order_id}-other"}}
        later = dice.pick((0.0, 0.2, 30.0), order_id, "conflict at")
        yield _put(at + later, order_id, "Order Created", other)
    yield from _changes(dice, order_id, at)


def _changes(dice: Dice, order_id: str, at: float) -> Iterator[Action]:
    """Yield requests to change or cancel an order, at any point of its life."""
    yield from _decisions(dice, order_id, at)
    if dice.happens(0.2, order_id, "amended"):
        moment, when = _moment(dice, at, order_id, "amended at")
        address = {"name": "B", "street": "2 Mill Lane", "city": "C", "country": "Y"}
        if dice.happens(0.3, order_id, "amended", "http"):
            body = {"shipping_address": address}
            request = _http(moment, order_id, "PATCH", f"/orders/{order_id}", body)
        else:
            detail = _request(order_id, "updated", shipping_address=address)
            request = _put(moment, order_id, "Order Updated", detail)
        yield replace(request, when=when)
    for attempt in range(2):
        if not dice.happens((0.4, 0.1)[attempt], order_id, "cancelled", attempt):
            continue
        moment, when = _moment(dice, at, order_id, "cancelled at", attempt)
        if dice.happens(0.3, order_id, "cancelled", attempt, "http"):
            request = _http(moment, order_id, "POST", f"/orders/{order_id}/cancel", {})
        else:
            detail = _request(order_id, f"cancelled-{attempt}", reason="changed my mind")
            request = _put(moment, order_id, "Order Cancelled", detail)
        yield replace(request, when=when)


def _changed(dice: Dice, order_id: str, kind: str) -> Mapping[str, Any]:
    """Return the differences of a kind; with approvals, half of the orders are of high value."""
    changes = KINDS[kind][1]
    if not approvals.seconds(dice) or not dice.happens(approvals.DEAR, order_id, "dear"):
        return changes
    return {**changes, "items": KINDS["high value"][1]["items"]}


def _decisions(dice: Dice, order_id: str, at: float) -> Iterator[Action]:
    """Yield decisions about an order, and the cancellation of an order that waits for one."""
    if not approvals.seconds(dice):
        return
    for moment, when, body in approvals.decisions(dice, order_id, at):
        yield Action(moment, "decide", order_id, body, when=when)
    if dice.happens(0.2, order_id, "cancelled waiting"):
        detail = _request(order_id, "cancelled-waiting", reason="too slow")
        moment = dice.pick(approvals.MOMENTS, order_id, "cancelled waiting at")
        request = _put(moment, order_id, "Order Cancelled", detail)
        yield replace(request, when="AWAITING_APPROVAL")


def _moment(dice: Dice, at: float, *site: object) -> tuple[float, str]:
    """Return a time in an order's life: relative to a milestone, or to the beginning."""
    if dice.happens(0.5, *site, "when"):
        when = dice.pick(MILESTONES, *site, "where")
        return dice.pick((0.0, 0.0, 0.1, 0.3, 3.0), *site, "after"), when
    spread = dice.pick((-1.0, 0.5, 1.0, 15.0, 15.0, 60.0, 700.0), *site, "spread")
    return max(0.0, at + dice.roll(*site) * spread), ""


def _strays(dice: Dice) -> Iterator[Action]:
    """Yield events without order, and events that break their contract."""
    if dice.happens(0.1, "unknown type"):
        yield _put(3.0, "X-1", "Order Teleported", _request("X-1", "teleported"), valid=False)
    if dice.happens(0.1, "no order"):
        yield _put(4.0, "X-2", "Order Cancelled", _request("X-2", "cancelled-0"))
    if dice.happens(0.15, "bad request"):
        detail = {**_request("S-0", "bad"), "timestamp": "yesterday"}
        yield _put(5.0, "S-0", "Order Cancelled", detail, valid=False)


def _surroundings(dice: Dice) -> Iterator[Action]:
    """Yield late stock, clock jumps, crashes, redrives and outages of the sink."""
    if dice.happens(0.6, "stock"):
        at = dice.roll("stock at") * dice.pick((30.0, 900.0), "stock spread")
        for twice in range(1 + dice.happens(0.4, "stock twice")):
            yield _receive(at + twice * 2, {MUG: 2, VASE: 5}, "second")
    for number in range(2):
        if dice.happens(0.2, "jump", number):
            seconds = dice.pick((20.0, 400.0, 1_500.0, 90_000.0), "jump by", number)
            at = dice.roll("jump at", number) * CLIENT_SECONDS
            yield Action(at, "jump", body={"seconds": seconds})
        if dice.happens(0.25, "crash", number):
            at = dice.roll("crash at", number) * CLIENT_SECONDS / 2
            moment = dice.pick(("before", "before", "after"), "crash moment", number)
            yield Action(at, "crash", body={"moment": moment})
    for number in range(3):
        if dice.happens(0.3, "redrive", number):
            spread = dice.pick((CLIENT_SECONDS, 1_000.0, 4_000.0), "redrive spread", number)
            yield Action(dice.roll("redrive at", number) * spread, "redrive")
    for at, body in redrives.stops(dice):
        yield Action(at, redrives.STOP, body=body)
    if dice.happens(0.3, "sink"):
        away = dice.roll("sink away") * CLIENT_SECONDS
        yield Action(away, "sink away")
        yield Action(away + 300.0, "sink back")


def _operators(dice: Dice) -> Iterator[Action]:
    """Yield the operators' scripts, and events that become dead letters in any case."""
    for at, order_id in operator_scripts.refused(dice):
        detail = _detail(order_id, KINDS["invalid"][1])
        yield _put(at, order_id, "Order Created", detail, valid=False)
    for at, body in operator_scripts.scripts(dice):
        yield Action(at, operator_scripts.OPERATE, body=body)


def _kind(dice: Dice, order_id: str) -> str:
    rest = dice.roll(order_id, "kind") * sum(weight for weight, _ in KINDS.values())
    for kind, (weight, _) in KINDS.items():
        rest -= weight
        if rest < 0:
            return kind
    raise AssertionError(rest)


def _detail(order_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    lines = changes.get("items", [(TEA, 1, 12.5)])
    detail = {
        "order_id": order_id,
        "customer_id": "C-1",
        "currency": "USD",
        "items": [{"sku": sku, "quantity": n, "unit_price": price} for sku, n, price in lines],
        "total": changes.get("total", sum(n * price for _, n, price in lines)),
        "timestamp": "2026-01-31T12:00:00Z",
        "email": changes.get("email", "ada@example.com"),
        "payment_token": changes.get("payment_token"),
        "shipping_address": {
            "name": "A",
            "street": changes.get("street", "1 Mill Lane"),
            "city": "C",
            "country": "Y",
        },
    }
    return {name: value for name, value in detail.items() if value is not None}


def _request(order_id: str, event_id: str, **fields: Any) -> dict[str, Any]:
    metadata = {"event_id": f"{order_id}-{event_id}"}
    timestamp = "2026-01-31T12:05:00Z"
    return {"order_id": order_id, "timestamp": timestamp, "metadata": metadata, **fields}


def _put(
    at: float, order_id: str, name: str, detail: Mapping[str, Any], *, valid: bool = True
) -> Action:
    event = {"source": "orders.service", "detail-type": name, "detail": detail}
    return Action(at, "put", order_id, event, valid)


def _http(at: float, order_id: str, method: str, path: str, body: Mapping[str, Any]) -> Action:
    return Action(at, "http", order_id, {"method": method, "path": path, "body": body})


def _receive(at: float, units: Mapping[str, int], digest: str) -> Action:
    return Action(at, "receive", body={"digest": digest, "units": units})


def _short(detail: Mapping[str, Any]) -> str:
    """Return what tells an event from others in a story."""
    shown = {"order_id": detail.get("order_id")}
    plain = _detail("", {})
    for name in ("items", "total", "payment_token", "customer_id", "email", "metadata"):
        if detail.get(name) not in (None, plain.get(name)):
            shown[name] = detail[name]
    street = (detail.get("shipping_address") or {}).get("street", "1 Mill Lane")
    if street != "1 Mill Lane":
        shown["street"] = street
    return json.dumps(shown)
