"""The page of an order as one HTML file, for an incident's record: no link, form or script."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from infra.console import rendering
from infra.console.page import Download, Page, View, Visit, Visitor
from infra.console.pages import order
from storage.sqlite.database import Database

_STYLES = ("console.css", "order.css")
_ICON = re.compile(r'href="[^"]*/icons\.svg[^"#]*#([a-z]+)"')
_LINK = re.compile(r' href="(?!#)[^"]*"')


def exported(visit: Visit, database: Database) -> Download:
    """Return the page with every fact and opened parts, its personal data masked."""
    query = {"all": "1", **{name: visit.filter(name) for name in ("run", "state", "visit")}}
    reader = Visitor(visit.visitor.name, frozenset())
    view = order.shown_order(replace(visit, query=query, visitor=reader), database)
    body = rendering.live_part(view, _names(visit, reader))
    names = {"body": _alone(body), "styles": _styles(), "icons": _icons(), "title": view.title}
    text = rendering.whole(View("order/export.html", view.title, names), {"now": visit.now})
    order_id = visit.path["order_id"]
    return Download(f"{order_id}.html", "text/html; charset=utf-8", text.encode())


def _names(visit: Visit, reader: Visitor) -> Mapping[str, Any]:
    source = visit.source
    return {
        "visit": visit,
        "visitor": reader,
        "now": visit.now,
        "query": {},
        "address": "",
        "platform": source,
        "missing": source.missing,
    }


def _alone(body: str) -> Markup:
    """Return a part of a page that needs no other file: its links are text, its parts are open."""
    text = _ICON.sub(r'href="#icon-\1"', body)
    text = _LINK.sub("", text).replace("<details", "<details open")
    return Markup(text)  # noqa: S704 - rendered, and so escaped, by its template


def _styles() -> Markup:
    texts = ((rendering.STATIC / name).read_text(encoding="utf-8") for name in _STYLES)
    return Markup("\n".join(texts))  # noqa: S704 - own files


def _icons() -> Markup:
    text = (rendering.STATIC / "icons.svg").read_text(encoding="utf-8")
    return Markup(text.replace('id="', 'id="icon-'))  # noqa: S704 - an own file


PAGE = Page(
    name="order_export",
    title="",
    gets={"/orders/{order_id:path}/export.html": exported},
    within="orders",
)
