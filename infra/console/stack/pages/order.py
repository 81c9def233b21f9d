"""One order of a stack: its story in lanes, its invariants, its money, and its actions."""

from dataclasses import replace
from functools import partial
from typing import Any

from markupsafe import Markup

from infra.audit.one_order import Hold, holds_of_record
from infra.console.page import Feature, Redirect, View, Visit
from infra.console.pages import approval
from infra.console.pages import order as shared
from infra.console.stack.source import StackSource, WholeStory
from infra.errors import AWSError, NotFound
from infra.views.inferred_run import infer
from infra.views.order_lanes import LANES, facts_of, sentence
from infra.views.run_graph import SIGNS, graph


def _order(visit: Visit, source: StackSource) -> View:
    order_id = visit.path["order_id"]
    whole = source.whole_story(order_id)
    story, lanes = whole.story, shared.lanes_of(visit)
    facts = facts_of(story, lanes)
    hidden = 0 if visit.filter("all") else max(0, len(facts) - shared.FIRST - shared.LAST)
    names: dict[str, Any] = {
        "story": story,
        "said": sentence(story, visit.now),
        "facts": [*facts[: shared.FIRST], *facts[-shared.LAST :]] if hidden else facts,
        "number_of_facts": len(facts),
        "hidden_facts": hidden,
        "first_facts": shared.FIRST,
        "lanes": lanes,
        "all_lanes": LANES,
        "lane_links": {lane: shared.lane_link(visit, lanes, lane) for lane in LANES},
        "here": partial(shared.here, visit),
        "runs": story.runs[-shared.MAX_RUNS :],
        **_of_run(visit, source, whole),
        "holds": _holds(whole),
        "actions": shared.actions_of(story),
        "revealed": False,
        "editable": [each.id for each in story.dead_letters if source.is_editable(str(each.id))],
        "can_resend": False,
        "approval": approval.names_of(story),
        "signs": SIGNS,
    }
    return View("order/order.html", order_id, names)


def _of_run(visit: Visit, source: StackSource, whole: WholeStory) -> dict[str, Any]:
    """Return the names of the chosen run's graph, as the order's timeline tells it."""
    runs = whole.story.runs
    wanted = visit.filter("run")
    chosen = next((run for run in reversed(runs) if run.name == wanted or not wanted), None)
    if wanted and chosen is None:
        raise NotFound(f"order {whole.story.order_id} has no run {wanted[:80]!r}")
    names: dict[str, Any] = {"drawn": None, "graph": "", "state": visit.filter("state")}
    names |= {"run": None, "run_note": source.missing[Feature.STATES]}
    if chosen is None:
        return names
    try:
        if chosen.status is not None:  # AWS keeps its history
            exact = shared.of_run(visit, source.run(chosen), masks=True)
            return {**exact, "run_note": ""}
        definition = source.definition()
    except AWSError as error:
        return {**names, "drawn": chosen, "problem": str(error)}
    inferred = infer(whole.story, chosen, definition, "EXPRESS")
    if inferred is None:
        return names
    errors = bool(visit.filter("errors"))

    def address(state: str) -> str:
        return f"{shared.here(visit, run=chosen.name, state=state, visit='')}#run"

    svg = graph(inferred.story, address, names["state"], visit.now, errors=errors)
    return {
        **names,
        "drawn": chosen,
        "graph": Markup(svg),  # noqa: S704 - built and escaped by run_graph
        "errors": errors,
        "entries": inferred.entries.get(names["state"], ()),
        "asl": shared.asl_of(inferred.story, names["state"]),
    }


def _holds(whole: WholeStory) -> list[Hold]:
    if whole.record is None:
        return []
    return holds_of_record(whole.record, whole.charge, whole.shipment, whole.story)


def _confirm(visit: Visit, source: StackSource) -> View | Redirect:
    """Ask before a decision is recorded."""
    return approval.confirm(visit, source.whole_story(visit.path["order_id"]).story)


APPROVAL = replace(approval.PAGE, gets={"/orders/{order_id:path}/decision": _confirm})


_ACTIONS = ("cancel", "retry", "note")

PAGE = replace(
    shared.PAGE,
    gets={"/orders/{order_id:path}": _order},
    posts={
        path: shared.PAGE.posts[path]
        for path in (f"/orders/{{order_id:path}}/{action}" for action in _ACTIONS)
    },
)
