"""Texts for a person: ages, amounts, counts; each is a filter of the templates."""

import json
import shlex
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from infra.views.exact_json import indented
from kernel import money as amounts

NOTHING = "\N{EN DASH}"
"""The text of a value that is missing."""

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def span(seconds: float | None) -> str:
    """Return a duration such as ``4 min`` or ``1.2 s``."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 - one digit more for a short one
        return f"{seconds:.1f} s"
    for size, unit in _UNITS:
        if seconds >= size * 2 or size == 1:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(at: float | str) -> datetime:
    """Return a time in epoch seconds, or as text, as UTC."""
    if isinstance(at, str):
        return datetime.fromisoformat(at).astimezone(UTC)
    return datetime.fromtimestamp(at, UTC)


def ago(at: float | str | None, now: float) -> Markup:
    """Return an element with the age of a time; its title is the time in UTC."""
    if at is None:
        return Markup("{}").format(NOTHING)
    try:
        when = moment(at)
    except (ValueError, OverflowError, OSError):
        return Markup("{}").format(at)
    seconds = now - when.timestamp()
    text = f"in {span(-seconds)}" if seconds < -1 else f"{span(max(0.0, seconds))} ago"
    if 0 <= seconds < 1:
        text = "now"
    iso = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    shown = f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03} UTC"
    return Markup('<time datetime="{}" title="{}" data-age>{}</time>').format(iso, shown, text)


def utc(at: float | str) -> str:
    """Return a time as text in UTC, such as ``2026-01-31 12:00:00``."""
    try:
        return f"{moment(at):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return str(at)


def money(value: float | None, currency: str = "") -> str:
    """Return an amount in units of its currency, such as ``1,234.50 GBP``."""
    if value is None:
        return NOTHING
    whole = currency in amounts.WITHOUT_DECIMALS and float(value).is_integer()
    text = f"{value:,.0f}" if whole else f"{value:,.2f}"
    return f"{text} {currency}".rstrip()


def number(value: float | None) -> str:
    """Return a number with separators."""
    if value is None:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def count(value: int, one: str, many: str = "") -> str:
    """Return a count with its noun, such as ``3 orders``."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def masked(text: str | None) -> str:
    """Return an e-mail address with the first letter of its name, and its domain."""
    if not text:
        return NOTHING
    name, at, domain = text.partition("@")
    return f"{name[:1]}…@{domain}" if at else f"{text[:1]}…"


def cause(text: str | None) -> str:
    """Return the message in the cause of an error: that of a function is JSON with a traceback."""
    try:
        value = json.loads(text or "")
    except ValueError:
        return text or ""
    message = value.get("errorMessage") if isinstance(value, dict) else None
    return message if isinstance(message, str) else text or ""


def label(text: str) -> str:
    """Return a name such as ``STOCK_RESERVED`` or ``OutOfStock`` as words."""
    if text.isupper() or "_" in text:
        return text.replace("_", " ").capitalize()
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in text)
    return words.strip().capitalize()


def pretty(value: Any) -> str:
    """Return a value, or a text of JSON, indented; the numbers of a text stay as written."""
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False, default=str)
        except (ValueError, RecursionError):
            return str(value)
    return indented(value)


def quoted(value: object) -> str:
    """Return a value as one word of a shell's command."""
    return shlex.quote(str(value))


def coded(text: object) -> Markup:
    """Return a text whose parts in backticks are code."""
    pieces = str(text).split("`")
    if len(pieces) % 2 == 0:  # a backtick without its partner is text
        pieces[-2:] = ["`".join(pieces[-2:])]
    shown = [
        Markup("<code>{}</code>").format(piece) if index % 2 else escape(piece)
        for index, piece in enumerate(pieces)
    ]
    return Markup("").join(shown)
