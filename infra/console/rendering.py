"""HTML from templates: everything from outside is escaped, and a missing name is an error."""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from infra.console import formats
from infra.console.page import PREFIX, View, link, order_path
from infra.views.personal import masked_field, masked_words, without_mail
from kernel.clock import timestamp

HERE = Path(__file__).parent
STATIC = HERE / "static"
LIVE = "live"
"""The block of a page that is fetched again after a change, and the id of its element."""


@cache
def environment() -> Environment:
    """Return the environment of the templates."""
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: Mapping[str, Callable[..., Any]] = {
        "ago": formats.ago,
        "utc": formats.utc,
        "iso": timestamp,
        "money": formats.money,
        "number": formats.number,
        "span": formats.span,
        "masked": formats.masked,
        "without_mail": without_mail,
        "masked_field": masked_field,
        "masked_words": masked_words,
        "json": formats.pretty,
        "label": formats.label,
        "cause": formats.cause,
        "count": formats.count,
        "quoted": formats.quoted,
        "coded": formats.coded,
    }
    templates.filters.update(filters)
    templates.globals.update(
        link=link, order_path=order_path, static=static, prefix=PREFIX, icon=icon
    )
    return templates


def whole(view: View, names: Mapping[str, Any]) -> str:
    """Return a whole page."""
    template = environment().get_template(view.template)
    is_live = LIVE in template.blocks and view.status == HTTPStatus.OK and view.is_current
    return template.render({**names, **view.names, "is_live": is_live})


def live_part(view: View, names: Mapping[str, Any]) -> str:
    """Return the block `LIVE` of a page."""
    template = environment().get_template(view.template)
    if LIVE not in template.blocks:
        return ""
    context = template.new_context({**names, **view.names})
    return "".join(template.blocks[LIVE](context))


@cache
def static(name: str) -> str:
    """Return the address of a file in ``static/``; it changes with the file's content."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"{PREFIX}/static/{name}?v={digest}"


def icon(name: str) -> Markup:
    """Return an icon of ``static/icons.svg``, hidden from screen readers."""
    place = f"{static('icons.svg')}#{name}"
    return Markup('<svg class="icon" aria-hidden="true"><use href="{}"/></svg>').format(place)
