"""Send a request of an order again, or a copy of it as a new order, after a dry run."""

import secrets
from collections.abc import Mapping
from typing import Any

from infra.console.page import BadFilter, Page, Redirect, View, Visit, link, order_path
from infra.console.pages.dead_letter import number_of
from infra.console.pages.reveal import shown
from infra.errors import InvalidRequest, NotFound
from infra.views.exact_json import indented
from infra.views.personal import masked_text
from infra.views.requests import SentRequest, forecast_of, requests_of
from storage.sqlite.database import Database

WAYS = ("again", "copy")


def _ask(visit: Visit, database: Database) -> View:
    """Show the requests of an order, and the effect of sending one again."""
    order_id = visit.path["order_id"]
    found = requests_of(database, order_id)
    if not found:
        raise NotFound(f"the journal has no request of order {order_id[:80]!r}")
    chosen = _chosen(visit, found)
    forecast, problem = forecast_of(database, visit.source.stack, chosen, visit.now)
    reveal = shown(visit, order_id)
    names = {
        **reveal,
        "order_id": order_id,
        "path": order_path(order_id),
        "found": found,
        "chosen": chosen,
        "text": (indented if reveal["revealed"] else masked_text)(chosen.envelope),
        "forecast": forecast,
        "problem": problem,
        "fresh": f"COPY-{secrets.token_hex(3).upper()}",
    }
    return View("order/resend.html", f"Send a request of {order_id} again", names)


def _chosen(visit: Visit, found: list[SentRequest]) -> SentRequest:
    """Return the request of the filter ``seq``, or the one that opened the order."""
    if visit.filter("seq"):
        number = number_of(visit.filter("seq"))
        wanted = [each for each in found if each.seq == number]
        if not wanted:
            raise BadFilter(f"seq: {number} is none of the order's requests; choose one below")
        return wanted[0]
    created = [each for each in found if each.type == "Order Created"]
    return (created or found)[0]


async def _send(visit: Visit, form: Mapping[str, str]) -> Redirect:
    """Send the request, and go to its order."""
    order_id, way = visit.path["order_id"], form.get("way", "")
    if way not in WAYS:
        raise BadFilter(f"way: {way[:40]!r} is none of {', '.join(WAYS)}")
    number = number_of(form.get("seq", ""))
    request: dict[str, Any] = {"order_id": order_id, "seq": number, "who": visit.visitor.name}
    request["reason"] = form.get("reason", "")
    copy_id = form.get("copy_id", "").strip() if way == "copy" else ""
    if way == "copy":
        if not copy_id:
            raise BadFilter("copy_id: is missing; give the copy an order id of its own")
        request["copy_id"] = copy_id
    try:
        await visit.source.operate("Orderflow.ResendEvent", request)
    except InvalidRequest as refusal:
        return Redirect(link(f"{order_path(order_id)}/resend"), f"Refused: {refusal}", "bad")
    text = (
        f"A copy of {order_id} is sent: follow it here" if copy_id else "The request is sent again"
    )
    return Redirect(link(order_path(copy_id or order_id)), text)


PAGE = Page(
    name="resend",
    title="",
    gets={"/orders/{order_id:path}/resend": _ask},
    posts={"/orders/{order_id:path}/resend": _send},
    within="orders",
)
