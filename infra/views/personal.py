"""Personal data in JSON for a person: its values are masked, its numbers stay as written.

==================  ===============================================================================
masked              by
==================  ===============================================================================
e-mail addresses    their form, in any text, and the fields ``email`` and ``recipient``
addresses           every field of an object named ``…address`` but city, region and country
other fields        ``street``, ``phone``, ``payment_token`` … (`FIELDS`)
==================  ===============================================================================

JSON in a text, such as the body of a message, is masked too.
"""

import re
from typing import Any

from infra.views.exact_json import Change, Number, read_exact, write_exact
from kernel.json_text import InvalidJSON

FIELDS = frozenset(
    {
        *("email", "mail", "recipient", "to_address", "phone", "telephone", "mobile"),
        *("street", "line1", "line2", "address1", "address2"),
        *("postal_code", "postcode", "zip", "zip_code"),
        *("first_name", "last_name", "full_name", "customer_name", "recipient_name"),
        *("payment_token", "card_token", "card_number", "iban"),
    }
)
"""Fields with personal data, in any event."""

PUBLIC = frozenset({"city", "region", "country", "state"})
"""Fields of an address that are shown: they name no person and no door."""

MAIL = re.compile(r"[^\s@\"'<>(),:;\\]+@[^\s@\"'<>(),:;\\]+\.[^\s@\"'<>(),:;\\]+")

MASK = "\N{HORIZONTAL ELLIPSIS}"
MAX_NESTED = 8
"""Levels of JSON in a text of JSON that are read; a deeper text is masked as a whole."""


def masked_text(text: str) -> str:
    """Return JSON text with its personal data masked, indented; other text without addresses."""
    try:
        return write_exact(masked(read_exact(text)))
    except InvalidJSON:
        return without_mail(text)


def masked_line(text: str) -> str:
    """Return JSON text in one line with its personal data masked; unchanged without any."""
    try:
        value = read_exact(text)
    except InvalidJSON:
        return without_mail(text).replace("\n", " ")
    shown = masked(value)
    line = text if shown == value else write_exact(shown)
    return " ".join(each.strip() for each in line.splitlines())


def without_mail(text: str) -> str:
    """Return a text with its e-mail addresses masked."""
    return MAIL.sub(lambda found: mask(found.group()), text) if "@" in text else text


def masked(value: Any, *, depth: int = 0) -> Any:
    """Return a value of `read_exact`, or of JSON, with its personal data masked."""
    if isinstance(value, dict):
        return {name: _member(name, member, depth) for name, member in value.items()}
    if isinstance(value, list):
        return [masked(each, depth=depth) for each in value]
    return _text(value, depth) if isinstance(value, str) else value


def _member(name: str, value: Any, depth: int) -> Any:
    key = _key(name)
    if key.endswith("address") and isinstance(value, dict):
        return {
            each: masked(member) if _key(each) in PUBLIC else hidden(member)
            for each, member in value.items()
        }
    return hidden(value) if key in FIELDS else masked(value, depth=depth)


def hidden(value: Any) -> Any:
    """Return a value whose texts and numbers are all masked."""
    if isinstance(value, dict):
        return {name: hidden(member) for name, member in value.items()}
    if isinstance(value, list):
        return [hidden(each) for each in value]
    if isinstance(value, str):
        return mask(value)
    is_number = isinstance(value, Number | int | float) and not isinstance(value, bool)
    return MASK if is_number else value


def mask(text: str) -> str:
    """Return the first letter of a text; of an e-mail address also its domain."""
    if not text:
        return text
    name, at, domain = text.rpartition("@")
    return f"{name[:1]}{MASK}@{domain}" if at and name else f"{text[:1]}{MASK}"


def masked_change(change: Change) -> Change:
    """Return a changed field with its personal data masked."""
    parts = [part for part in re.split(r"[.\[\]]+", change.path) if part]
    keys = [_key(part) for part in parts]
    in_address = any(key.endswith("address") for key in keys[:-1])
    is_hidden = any(key in FIELDS for key in keys) or (in_address and keys[-1] not in PUBLIC)
    named = parts[-1] if parts else ""

    def masked_side(text: str | None) -> str | None:
        if text is None:
            return None
        try:
            value = read_exact(text)
        except InvalidJSON:
            return mask(text) if is_hidden else without_mail(text)
        shown = hidden(value) if is_hidden else _member(named, value, 0)
        return text if shown == value else write_exact(shown)

    return Change(change.path, masked_side(change.before), masked_side(change.after))


def masked_field(text: str, path: str) -> str:
    """Return the text of a field's value, masked if the field is personal."""
    return str(masked_change(Change(path, text, None)).before)


def masked_words(text: str) -> str:
    """Return sentences such as "`email` wants x, has y" with their personal data masked."""
    return "; ".join(map(_masked_words, text.split("; ")))


def _masked_words(text: str) -> str:
    named = re.search(r"`([^`]+)`", text)
    if named is None:
        return without_mail(text)
    head, has, value = text.rpartition(", has ")
    return without_mail(head) + has + masked_field(value, named[1]) if has else without_mail(text)


def is_personal(value: Any) -> bool:
    """Return whether a value of `read_exact`, or of JSON, has something to mask."""
    return bool(masked(value) != value)


def _text(text: str, depth: int) -> str:
    """Return a text with masked addresses; JSON in it is masked as JSON."""
    if text[:1] not in ("{", "["):
        return without_mail(text)
    try:
        inner = read_exact(text)
    except InvalidJSON:
        return without_mail(text)
    if depth >= MAX_NESTED:
        return mask(text)
    shown = masked(inner, depth=depth + 1)
    return text if shown == inner else write_exact(shown)


def _key(name: str) -> str:
    """Return the name of a field in lower case with underscores."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", str(name))
    return spaced.replace("-", "_").replace(" ", "_").lower()
