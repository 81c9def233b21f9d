"""One order: its story in lanes, its runs with the live state graph, its money, and its actions."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from infra.audit.one_order import invariants_of
from infra.console.page import (
    BadFilter,
    Document,
    Download,
    Page,
    Redirect,
    View,
    Visit,
    link,
    order_path,
)
from infra.console.pages import approval, dead_letter
from infra.console.pages.reveal import shown
from infra.errors import InvalidRequest, NotFound
from infra.views.definition_diff import StateDifference, differences
from infra.views.exact_json import Change
from infra.views.local_story import confirmation_mail, story_of
from infra.views.order_lanes import LANES, facts_of, sentence
from infra.views.order_story import OrderStory
from infra.views.personal import masked, masked_change
from infra.views.run_graph import SIGNS, graph
from infra.views.run_story import RunStory, StateVisit, read_run
from infra.views.workflow import state_in
from kernel.events import REQUESTS
from storage.sqlite.database import Database

FIRST, LAST = 14, 26
"""Facts of a longer story that are shown, before all are asked for."""

MAX_EDITABLE = 20
"""Dead letters of an order that are looked at for an event to edit."""

MAX_RUNS = 30
"""Maximum runs that have a tab; the newest ones."""


def shown_order(visit: Visit, database: Database) -> View:
    """Show an order."""
    order_id = visit.path["order_id"]
    story = story_of(database, visit.source.directory, order_id)
    lanes = lanes_of(visit)
    run = _run(visit, database, story)
    facts = facts_of(story, lanes)
    hidden = 0 if visit.filter("all") else max(0, len(facts) - FIRST - LAST)
    reveal = shown(visit, order_id)
    names = {
        **reveal,
        "story": story,
        "said": sentence(story, visit.now),
        "facts": [*facts[:FIRST], *facts[-LAST:]] if hidden else facts,
        "number_of_facts": len(facts),
        "hidden_facts": hidden,
        "first_facts": FIRST,
        "lanes": lanes,
        "all_lanes": LANES,
        "lane_links": {lane: lane_link(visit, lanes, lane) for lane in LANES},
        "here": partial(here, visit),
        "runs": story.runs[-MAX_RUNS:],
        "holds": invariants_of(database, visit.source.stack, story),
        "actions": actions_of(story),
        "editable": dead_letter.editable(visit, database, story.dead_letters[:MAX_EDITABLE]),
        "can_resend": any(each.type in REQUESTS for each in story.events),
        "approval": approval.names_of(story),
        "signs": SIGNS,
        **of_run(visit, run, masks=not reveal["revealed"]),
    }
    return View("order/order.html", order_id, names)


def here(visit: Visit, /, **changed: object) -> str:
    """Return the address of this order with filters changed."""
    kept = {
        name: visit.filter(name)
        for name in ("lanes", "all", "run", "state", "visit", "errors", "shown")
    }
    return link(_path(visit), **{**kept, **changed})


def _path(visit: Visit) -> str:
    return order_path(visit.path["order_id"])


def lanes_of(visit: Visit) -> list[str]:
    """Return the lanes that are shown, of the filter ``lanes``."""
    chosen = [lane for lane in visit.filter("lanes").split(",") if lane]
    unknown = [lane for lane in chosen if lane not in LANES]
    if unknown:
        raise BadFilter(f"lanes {unknown[0][:40]!r} is none of {', '.join(LANES)}")
    return chosen or list(LANES)


def lane_link(visit: Visit, shown: Sequence[str], lane: str) -> str:
    """Return the address that shows or hides a lane."""
    after = [each for each in LANES if (each in shown) != (each == lane)]
    everything = not after or len(after) == len(LANES)
    return here(visit, lanes="" if everything else ",".join(after))


def _run(visit: Visit, database: Database, story: OrderStory) -> RunStory | None:
    """Return the chosen run, or the one that had an effect last."""
    chosen = visit.filter("run")
    if not chosen:
        name = _effective(story)
        return None if name is None else read_run(database, story.order_id, name)
    run = read_run(database, story.order_id, chosen)
    if run is None:
        raise NotFound(f"order {story.order_id} has no run {chosen[:80]!r}")
    return run


def _effective(story: OrderStory) -> str | None:
    """Return the run that claimed the order last; before a claim, the newest."""
    claims = [entry.detail["run"] for entry in story.timeline if "run" in entry.detail]
    names = [run.name for run in story.runs]
    claimed = [str(name) for name in claims if name in names]
    found = claimed or names
    return found[-1] if found else None


def of_run(visit: Visit, run: RunStory | None, *, masks: bool) -> dict[str, Any]:
    """Return the names of a run's graph and of the chosen state."""
    if run is None:
        return {"run": None, "graph": "", "chosen": None, "state": "", "errors": False}
    state, errors = visit.filter("state"), bool(visit.filter("errors"))
    address = partial(_state_address, visit, run)
    until = run.ended or visit.now
    svg = graph(run, address, state, until, errors=errors) if run.definition else ""
    chosen = _chosen(visit, run, state)
    return {
        "run": run,
        "until": until,
        "graph": Markup(svg),  # noqa: S704 - built and escaped by run_graph
        "state": state,
        "errors": errors,
        "chosen": chosen,
        "chosen_changes": _changes(chosen, masks=masks),
        "chosen_json": _documents(chosen, masks=masks),
        "chosen_asl": asl_of(run, state),
        "differences": _differences(visit, run),
    }


def _state_address(visit: Visit, run: RunStory, state: str) -> str:
    return f"{here(visit, run=run.name, state=state, visit='')}#state"


def _chosen(visit: Visit, run: RunStory, state: str) -> StateVisit | None:
    visits = [each for each in run.visits if each.state == state]
    number = visit.filter("visit")
    wanted = [each for each in visits if str(each.number) == number]
    found = wanted or visits[-1:]
    return found[0] if found else None


def _changes(chosen: StateVisit | None, *, masks: bool) -> list[Change]:
    found = chosen.changes() if chosen else []
    return [masked_change(each) for each in found] if masks else found


def _documents(chosen: StateVisit | None, *, masks: bool) -> dict[str, Any]:
    """Return the input and the output of a state's visit."""
    if chosen is None:
        return {}
    found = {"Input": chosen.input, **({"Output": chosen.output} if chosen.exited else {})}
    return {name: masked(value) for name, value in found.items()} if masks else found


def _differences(visit: Visit, run: RunStory) -> list[StateDifference]:
    """Return the differences of today's definition from that of the run."""
    machine = visit.source.stack.state_machines.get(run.machine)
    if machine is None:
        return []
    return differences(run.definition, run.definition_id, machine.definition)


def asl_of(run: RunStory, state: str) -> Any:
    """Return the definition of a state; None if it cannot be read."""
    try:
        return state_in(run.definition, state)[0] if state else None
    except Exception:  # noqa: BLE001 - the definition of an older version
        return None


def actions_of(story: OrderStory) -> list[str]:
    """Return the actions that the order's status allows."""
    if story.facts is None:
        return []
    if story.status in ("COMPLETED", "FAILED", "CANCELLED"):
        return ["note"]
    can_run = story.status != "AWAITING_APPROVAL"
    return ["cancel", *["retry"] * can_run, "note"]


async def act(operation: str, done: str, visit: Visit, form: Mapping[str, str]) -> Redirect:
    """Run an operation on the order, and return to it with the result or the refusal."""
    order_id = visit.path["order_id"]
    request = {"order_id": order_id, "reason": form.get("reason", ""), "who": visit.visitor.name}
    try:
        await visit.source.operate(operation, request)
    except InvalidRequest as refusal:
        return Redirect(link(_path(visit)), f"Refused: {refusal}", "bad")
    return Redirect(link(_path(visit)), done)


def _mail(visit: Visit, _: Database) -> Document:
    """Show the confirmation mail in a frame that runs and loads nothing."""
    from email import message_from_bytes, policy  # imports the parser of all headers

    _require_shown(visit)
    content = confirmation_mail(visit.source.directory, visit.path["order_id"])
    message = message_from_bytes(content, policy=policy.default)
    body = message.get_body(("html", "plain"))
    text = "" if body is None else body.get_content()
    if body is not None and body.get_content_subtype() == "html":
        return Document(text)
    return Document(text, "text/plain; charset=utf-8")


def _require_shown(visit: Visit) -> None:
    """Return if the personal data of the order is shown to the visitor, or raise `BadFilter`."""
    if not shown(visit, visit.path["order_id"])["revealed"]:
        raise BadFilter("a mail has personal data: show it on the page of the order first")


def _mail_file(visit: Visit, _: Database) -> Download:
    _require_shown(visit)
    order_id = visit.path["order_id"]
    content = confirmation_mail(visit.source.directory, order_id)
    return Download(f"{order_id}.eml", "message/rfc822", content)


PAGE = Page(
    name="order",
    title="",
    gets={
        "/orders/{order_id:path}": shown_order,
        "/orders/{order_id:path}/mail": _mail,
        "/orders/{order_id:path}/mail.eml": _mail_file,
    },
    posts={
        "/orders/{order_id:path}/cancel": partial(
            act, "Orderflow.CancelOrder", "Cancellation requested: a run carries it out"
        ),
        "/orders/{order_id:path}/retry": partial(
            act, "Orderflow.RetryOrder", "A run starts now; the order keeps its waits"
        ),
        "/orders/{order_id:path}/note": partial(act, "Orderflow.NoteOrder", "Note added"),
    },
    within="orders",
)
