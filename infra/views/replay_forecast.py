"""The forecast of a replay: for each event the rules, targets, its effect on the order, analytics.

The use cases of the orders decide about the effect, on a copy (`infra.views.forecast_store`). A
forecast is that of the moment: an order that a run holds now may have ended when the event comes.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from analytics.columns import EXTERNAL
from infra.local.template.stack import Rule, Stack, Target
from infra.patterns import TooComplexEvent, explain
from infra.views.forecast_store import ForecastStore
from kernel import json_text
from kernel.errors import (
    DuplicateOrder,
    InvalidEvent,
    OrderConflict,
    OrderNotFound,
)
from kernel.events import REQUESTS, Detail, Event, OrderCancelled, OrderCreated, parse
from orders import change_requests, usecases
from orders.early_requests import RETENTION
from orders.usecases import Policy, Ports
from storage.sqlite.database import Database

NEW, RESUMES, DUPLICATE, CONFLICT = "new", "resumes", "duplicate", "conflict"
CHANGES, CANCELS, REPEATED, LATE = "changes", "cancels", "repeated", "too late"
EARLY, REFUSED, HELD, FACT = "early", "refused", "held", "fact"

COUNTED, AGAIN, OUTSIDE = "counted", "counted before", "not counted"


@dataclass(frozen=True, slots=True)
class RuleForecast:
    """A rule's verdict on an event: whether it matches, or each condition that failed.

    ``is_near``: source and detail type match, so another value of the detail is the reason.
    """

    rule: str
    matches: bool
    failed: tuple[str, ...] = ()
    is_near: bool = False


@dataclass(frozen=True, slots=True)
class Forecast:
    """The effect of an event.

    ``effect`` is one of the words of this module, ``because`` its reason in a sentence.
    ``targets`` has the input of each target, by the target's key, and ``analytics`` is its
    effect on the analysts' view ``order_events``.
    """

    type: str
    order_id: str
    rules: tuple[RuleForecast, ...]
    targets: Mapping[str, str]
    effect: str
    because: str
    analytics: str

    def to_json(self) -> dict[str, Any]:
        """Return the forecast for a command's JSON document."""
        return asdict(self)


class Forecaster:
    """Forecasts the events of a replay in their order.

    Parameters
    ----------
    stack
        The template: its rules and consumers.
    store
        Copies of the orders.
    real
        The data directory's database, or None if it has none.
    now
        The time in epoch seconds.
    from_archive
        Whether the events are those of the archive, whose facts are the platform's own.
    """

    def __init__(
        self,
        stack: Stack,
        store: ForecastStore,
        real: Database | None,
        now: float,
        *,
        from_archive: bool = False,
    ) -> None:
        self.stack = stack
        self.store = store
        self.real = real
        self.from_archive = from_archive
        self.ports = Ports(store, lambda: now, Policy())
        self.totals = {name: Counter[str]() for name in ("type", "rule", "effect", "analytics")}
        self._number = 0
        self._functions = {each.queue: each.function for each in stack.consumers}

    def forecast(
        self, event: Event[Detail], envelope: Mapping[str, Any], *, explained: bool = True
    ) -> Forecast:
        """Return the effect of an event after those before it.

        Only with ``explained`` does a rule that does not match have its failed conditions.
        """
        self._number += 1
        verdict = _explained if explained else _verdict
        rules = tuple(verdict(rule, envelope) for rule in self.stack.rules)
        order_id = event.detail.order_id
        effect, because = self._effect(event, envelope)
        result = Forecast(
            event.name,
            order_id,
            rules,
            {
                target.key: self._gets(target, order_id, effect)
                for rule, verdict in zip(self.stack.rules, rules, strict=True)
                if verdict.matches
                for target in rule.targets
            },
            effect,
            because,
            self._analytics(event, envelope),
        )
        self._count(result)
        return result

    def _count(self, result: Forecast) -> None:
        self.totals["type"][result.type] += 1
        self.totals["rule"].update(each.rule for each in result.rules if each.matches)
        self.totals["effect"][result.effect] += 1
        self.totals["analytics"][result.analytics] += 1

    def _effect(self, event: Event[Detail], envelope: Mapping[str, Any]) -> tuple[str, str]:
        """Return the effect of an event on its order, and the reason."""
        if event.name not in REQUESTS:
            return FACT, "the platform states its own facts, so no order is changed"
        before = self.store.begin(event.detail.order_id)
        sent = {"id": f"forecast-{self._number}", **envelope}
        if isinstance(event.detail, OrderCreated):
            if self._is_held(event.detail.order_id):
                return HELD, f"order {event.detail.order_id} is held; its dead letter says why"
            return self._claimed(sent, known=before is not None)
        return self._requested(event, sent, known=before is not None)

    def _claimed(self, envelope: Mapping[str, Any], *, known: bool) -> tuple[str, str]:
        try:
            usecases.claim(envelope, f"forecast-{self._number}", self.ports)
        except OrderConflict as error:
            return CONFLICT, str(error)
        except DuplicateOrder as error:
            return DUPLICATE, str(error)
        return (RESUMES, "a run continues the order") if known else (NEW, "a run begins it")

    def _requested(
        self, event: Event[Detail], envelope: Mapping[str, Any], *, known: bool
    ) -> tuple[str, str]:
        try:
            change_requests.apply_request(envelope, self.ports)
        except OrderNotFound as error:
            return REFUSED, str(error)
        if not known:
            hours = f"{RETENTION / 3600:.0f} hours"
            return EARLY, f"the order does not exist: the request waits for it for {hours}"
        done = {entry.what: entry for entry in self.store.entries}
        if "CANCEL_REQUESTED" in done:
            return CANCELS, "the cancellation is requested, and refused if the shipment is first"
        if "CHANGED" in done:
            return CHANGES, f"changes {', '.join(map(str, _fields(done['CHANGED'].detail)))}"
        for late in ("CANCEL_REFUSED", "CHANGE_IGNORED"):
            if late in done:
                return LATE, str(done[late].detail.get("reason", ""))
        what = "was requested before" if event.name == OrderCancelled.name else "changes nothing"
        return REPEATED, f"the request {what}"

    def _is_held(self, order_id: str) -> bool:
        if self.real is None:
            return False
        query = "select 1 from quarantined_orders where order_id = ? and held"
        return self.real.row(query, order_id) is not None

    def _gets(self, target: Target, order_id: str, effect: str) -> str:
        """Return the input of a target, in words."""
        if target.kind == "stream":
            return "a record, which becomes a row of order_events_raw"
        if target.kind == "machine":
            return (
                f"an execution, which ends at once ({effect})"
                if effect
                in (
                    DUPLICATE,
                    CONFLICT,
                )
                else "an execution"
            )
        function = self._functions.get(target.name)
        reads = f" for {function}" if function else ""
        review = ""
        if function == "FlagHighValueFunction" and self.store.has_review(order_id):
            review = ", which has a review already"
        return f"a message{reads}{review}"

    def _analytics(self, event: Event[Detail], envelope: Mapping[str, Any]) -> str:
        """Return whether the view ``order_events`` has the event once more."""
        is_external = envelope.get("origin") == EXTERNAL or not self.from_archive
        if event.name in self.stack.own_facts and is_external:
            return OUTSIDE
        key = _key(event)
        if not self.store.counts(key):
            return AGAIN
        return AGAIN if self._is_archived(event, key) else COUNTED

    def _is_archived(self, event: Event[Detail], key: bytes) -> bool:
        if self.from_archive:
            return True
        if self.real is None:
            return False
        rows = self.real.rows(
            "select envelope from events where order_id = ? and detail_type = ? and archived",
            event.detail.order_id,
            event.name,
        )
        for row in rows:
            with suppress(InvalidEvent):
                if _key(parse(json_text.parse(row["envelope"]))) == key:
                    return True
        return False


def _verdict(rule: Rule, envelope: Mapping[str, Any]) -> RuleForecast:
    try:
        return RuleForecast(rule.name, rule.pattern.matches(envelope))
    except TooComplexEvent as error:
        return RuleForecast(rule.name, matches=False, failed=(str(error),))


def _explained(rule: Rule, envelope: Mapping[str, Any]) -> RuleForecast:
    try:
        verdict = explain(rule.pattern, envelope)
    except TooComplexEvent as error:
        return RuleForecast(rule.name, matches=False, failed=(str(error),))
    failed = tuple(f"{each.field} wants {each.wanted}, has {each.found}" for each in verdict.failed)
    fields = {each.field for each in verdict.failed}
    is_near = not verdict.matches and fields.isdisjoint(("source", "detail-type"))
    return RuleForecast(rule.name, verdict.matches, failed, is_near)


def _fields(detail: Mapping[str, object]) -> list[object]:
    fields = detail.get("fields")
    return list(fields) if isinstance(fields, list) else []


def _key(event: Event[Detail]) -> bytes:
    """Return the digest of the values by which the view recognizes an event again."""
    text = f"{event.event_id}\0{event.name}\0{event.detail.order_id}"
    return sha256(text.encode()).digest()[:16]
