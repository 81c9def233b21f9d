"""An order's story on one axis of time in seven lanes, and in one sentence.

==========  ===================================================================
lane        facts
==========  ===================================================================
bus         events that the bus has journalled
workflow    runs, and the steps of the order's record
ledger      charges and refunds
stock       reserved, committed, released and restocked units
shipment    the parcel
mail        the confirmation
person      operators' actions, and the review of an order of high value
==========  ===================================================================
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from infra.views.order_story import OrderStory, TimelineEntry
from kernel.money import text

LANES = ("bus", "workflow", "ledger", "stock", "shipment", "mail", "person")

GAP = 5.0
"""Seconds without a fact above which the axis is compressed."""

_LANE_OF = (
    ("CHARGE", "ledger"),
    ("STOCK_", "stock"),
    ("SHIPMENT_", "shipment"),
    ("CONFIRMATION_", "mail"),
    ("HIGH_VALUE_", "person"),
    ("REVIEW_", "person"),
    ("APPROV", "person"),
    ("REJECTED", "person"),
)
"""Lanes of a timeline entry, by the beginning of its name; any other is of the workflow."""

_NEXT = {
    "RECEIVED": "its stock is reserved next",
    "RESERVED": "it is charged next",
    "CHARGED": "it is shipped next",
    "AWAITING_APPROVAL": "a person decides about its high value",
}
"""The next step of an order, by its status."""

_BAD = ("FAILED", "CHARGE_DECLINED", "COMPENSATING")
_GOOD = ("COMPLETED", "CHARGED", "SHIPMENT_CREATED", "STOCK_COMMITTED", "CONFIRMATION_SENT")


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact at a time (ISO text); ``tone`` is good, bad, wait or empty.

    ``gap`` are the seconds without a fact before it, if these are more than `GAP`.
    """

    at: str
    lane: str
    title: str
    detail: str
    tone: str = ""
    raw: Mapping[str, Any] | None = None
    link: str = ""
    gap: float | None = None


def facts_of(story: OrderStory, lanes: Sequence[str] = LANES) -> list[Fact]:
    """Return the facts of these lanes, the oldest first."""
    ordered = sorted(
        (fact for fact in _facts(story) if fact.lane in lanes),
        key=lambda fact: (fact.at, LANES.index(fact.lane)),
    )
    times = [fact.at for fact in ordered]
    gaps = [0.0, *(_seconds(*pair) for pair in pairwise(times))]
    return [
        replace(fact, gap=gap) if gap > GAP else fact
        for fact, gap in zip(ordered, gaps, strict=False)
    ]


def _facts(story: OrderStory) -> Iterator[Fact]:
    currency = story.facts.currency if story.facts else ""
    for event in story.events:
        raw = {"id": event.id, "event_id": event.event_id}
        yield Fact(event.arrived_at, "bus", event.type, "", "", raw, f"event:{event.id}")
    for entry in story.timeline:
        if not entry.what.endswith("_BY_OPERATOR"):  # the action itself is a fact of the person
            yield _of_entry(entry, currency)
    for run in story.runs:
        took = "" if run.seconds is None else f"took {run.seconds:g} s"
        status = "" if run.status in (None, "SUCCEEDED") else str(run.status).lower()
        detail = ", ".join(part for part in (status, run.error or "", took) if part)
        bad = "bad" if run.status in ("FAILED", "TIMED_OUT", "ABORTED") else ""
        title = f"Run of {run.machine}"
        yield Fact(run.started_at, "workflow", title, detail, bad, None, f"run:{run.name}")
    for action in story.actions:
        detail = f"{action.actor}: {action.reason}" if action.reason else action.actor
        refused = action.result == "REFUSED"
        detail += f" (refused: {action.problem})" if refused else ""
        yield Fact(action.at, "person", action.action.capitalize(), detail, "bad" * refused)


def _of_entry(entry: TimelineEntry, currency: str) -> Fact:
    lane = next((lane for start, lane in _LANE_OF if entry.what.startswith(start)), "workflow")
    tone = "bad" if entry.what in _BAD else "good" if entry.what in _GOOD else ""
    tone = "wait" if entry.what == "WAITING" else tone
    title = entry.what.replace("_", " ").capitalize()
    said = {name: value for name, value in entry.detail.items() if name != "run"}
    detail = ", ".join(_said(name, value, currency) for name, value in said.items())
    raw = {"what": entry.what, "epoch": entry.epoch, "detail": dict(entry.detail)}
    run = entry.detail.get("run")
    return Fact(entry.at, lane, title, detail, tone, raw, f"run:{run}" if run else "")


def _said(name: str, value: Any, currency: str) -> str:
    if name in ("amount", "threshold") and isinstance(value, int | float):
        return f"{name} {text(round(value * 100), currency)} {currency}"
    return str(value) if name in ("message", "reason") else f"{name.replace('_', ' ')} {value}"


def sentence(story: OrderStory, now: float) -> str:
    """Return the outcome or the present state of an order, in one sentence."""
    facts = story.facts
    if facts is None:
        return "Its events opened no order: see the dead letters, and the events below."
    match story.status:
        case "COMPLETED":
            number = story.shipment.tracking_number if story.shipment else None
            mail = "its confirmation was sent" if story.mail else "no confirmation was sent yet"
            return f"Completed: paid and shipped{f' as {number}' if number else ''}; {mail}."
        case "FAILED" | "CANCELLED":
            failure = facts.failure
            why = f"{failure.reason}: {failure.message}" if failure and failure.message else (
                failure.reason if failure else "no reason was recorded"
            )  # fmt: skip
            word = story.status.capitalize()
            return f"{word}: {why}; {_money(story)}{_units(story)}."
        case "WAITING" | "AWAITING_APPROVAL":
            return _waits(story, now)
        case "COMPENSATING":
            return f"It is being undone: {_money(story)}{_units(story)}."
        case _:
            doing = _NEXT.get(story.status, "")
            asked = "; its cancellation is requested" if facts.cancel_requested else ""
            status = story.status.replace("_", " ").capitalize()
            return f"{status}{f': {doing}' if doing else ''}{asked}."


def _money(story: OrderStory) -> str:
    statuses = {payment.status for payment in story.payments}
    if "REFUNDED" in statuses:
        return "the payment was refunded"
    if "CHARGED" in statuses:
        return "the payment is still charged"
    return "nothing was charged"


def _units(story: OrderStory) -> str:
    facts = story.facts
    state = facts.reservation if facts else None
    words = {
        "RELEASED": "; its units went back to stock",
        "RESTOCKED": "; its units went back to stock",
        "RESERVED": "; its units are still reserved",
    }
    return words.get(state or "", "")


def _waits_for_decision(story: OrderStory) -> str:
    asked = [each for each in story.timeline if each.what == "APPROVAL_REQUESTED"]
    until = str(asked[-1].detail.get("until") or "") if asked else ""
    by = f" by {until[:16].replace('T', ' ')} UTC" if until else ""
    return f"Waits for a decision: approve or reject it{by}; nothing was charged{_units(story)}."


def _waits(story: OrderStory, now: float) -> str:
    if story.status == "AWAITING_APPROVAL":
        return _waits_for_decision(story)
    facts = story.facts
    last = next((each for each in reversed(story.timeline) if each.what == "WAITING"), None)
    why = last.detail.get("message") or last.detail.get("reason") if last else None
    at = story.resume_at
    when = ""
    if at is not None:
        minutes = max(0.0, at - now) / 60
        when = f"; it is tried again in {minutes:.0f} min" if minutes >= 1 else "; tried again now"
    tries = f", wait {facts.attempts} of 12" if facts and facts.attempts else ""
    return f"Waits: {why or 'for its next run'}{tries}{when}."


def _seconds(before: str, after: str) -> float:
    first, second = (datetime.fromisoformat(each) for each in (before, after))
    return (second - first).total_seconds()
