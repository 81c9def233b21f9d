"""Show personal data: recorded as an operator's action, then shown to that visitor for minutes."""

from collections.abc import Mapping
from shlex import quote
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from infra.console.page import BadFilter, Page, Redirect, Visit
from infra.console.pages.session import own_address
from infra.console.reveals import REVEALS

MAX_SUBJECT = 200


def shown(visit: Visit, subject: str, command: str = "") -> dict[str, Any]:
    """Return the names of `reveal.html` for a page about a subject.

    ``command`` prints the subject; without it, the subject is an order.
    """
    revealed = REVEALS.shows(visit.filter("shown"), visit.visitor.name, subject)
    command = command or f"orders show {quote(subject)}"
    return {"revealed": revealed, "reveals": subject, "reveal_command": command}


async def _reveal(visit: Visit, form: Mapping[str, str]) -> Redirect:
    """Record that a visitor sees the personal data of a subject, and show its page."""
    subject = form.get("subject", "").strip()
    if not 0 < len(subject) <= MAX_SUBJECT:
        raise BadFilter("subject: is missing; open an order, an event or a dead letter")
    reason = form.get("reason", "")
    request = {"subject": subject, "reason": reason, "who": visit.visitor.name}
    await visit.source.operate("Orderflow.RevealData", request)
    parts = urlsplit(own_address(form.get("to", "")))
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "shown"]
    key = REVEALS.grant(visit.visitor.name, subject)
    return Redirect(f"{parts.path}?{urlencode([*query, ('shown', key)])}")


PAGE = Page(name="reveal", title="", posts={"/reveal": _reveal})
