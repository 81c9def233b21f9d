"""The decision on an order of high value: its page asks before anything is recorded."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from infra.console.page import BadFilter, Page, Redirect, View, Visit, link, order_path
from infra.errors import InvalidRequest
from infra.views.local_story import story_of
from infra.views.order_story import OrderStory
from kernel.order_record import MAX_TEXT
from kernel.order_status import Status
from storage.sqlite.database import Database


class Decision(NamedTuple):
    """A decision: its operation, its result, and its effect on the order."""

    operation: str
    done: str
    effect: str


DECISIONS: Mapping[str, Decision] = {
    "approve": Decision(
        "Orderflow.ApproveOrder",
        "Approved: the order is charged and shipped",
        "The order is charged, and then shipped.",
    ),
    "reject": Decision(
        "Orderflow.RejectOrder",
        "Rejected: the order fails uncharged, and its units go back",
        "The order fails and is not charged. Its units go back to stock, and the customer's"
        " event has the reason.",
    ),
}


def names_of(story: OrderStory) -> dict[str, Any] | None:
    """Return the names of an open decision for a template; None if nothing is to be decided."""
    if story.status != Status.AWAITING_APPROVAL:
        return None
    asked = [each for each in story.timeline if each.what == "APPROVAL_REQUESTED"]
    until = asked[-1].detail.get("until") if asked else None
    return {"until": until, "path": f"{order_path(story.order_id)}/decision", "longest": MAX_TEXT}


def _confirm(visit: Visit, database: Database) -> View | Redirect:
    """Ask before a decision is recorded; it changes nothing."""
    return confirm(visit, story_of(database, visit.source.directory, visit.path["order_id"]))


def confirm(visit: Visit, story: OrderStory) -> View | Redirect:
    """Return the page that asks before a decision about an order is recorded."""
    opened = names_of(story)
    if opened is None:
        return Redirect(link(order_path(story.order_id)))
    verb = _verb(visit.filter("decision"))
    names = {
        "story": story,
        "verb": verb,
        "decision": DECISIONS[verb],
        "other": next(each for each in DECISIONS if each != verb),
        "reason": visit.filter("reason")[:MAX_TEXT],
        "opened": opened,
    }
    return View("order/decision.html", f"{verb.capitalize()} {story.order_id}?", names)


async def _decide(visit: Visit, form: Mapping[str, str]) -> Redirect:
    """Record a decision, and return to the order with the result or the refusal."""
    order_id, decision = visit.path["order_id"], DECISIONS[_verb(form.get("decision", ""))]
    request = {"order_id": order_id, "reason": form.get("reason", ""), "who": visit.visitor.name}
    try:
        await visit.source.operate(decision.operation, request)
    except InvalidRequest as refusal:
        return Redirect(link(order_path(order_id)), f"Refused: {refusal}", "bad")
    return Redirect(link(order_path(order_id)), decision.done)


def _verb(text: str) -> str:
    if text not in DECISIONS:
        raise BadFilter(f"decision {text[:40]!r} is none of {', '.join(DECISIONS)}")
    return text


PAGE = Page(
    name="approval",
    title="",
    gets={"/orders/{order_id:path}/decision": _confirm},
    posts={"/orders/{order_id:path}/decision": _decide},
    within="orders",
)
