"""The types of the contracts' fields: the values that each takes, and the errors for others."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from kernel.email_address import MAX_ADDRESS, to_ascii
from kernel.money import CURRENCIES, MAXIMUM, WITH_THREE_DECIMALS, from_minor, to_minor
from kernel.timestamps import moment
from kernel.visible_text import is_visible
from kernel.wrong_value import WrongValue

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
"""The pattern in the JSON Schemas; `kernel.email_address` has the full rule."""

_LONGEST = 80
_LONGEST_TIME = 40
_MONEY_SCHEMA = {"type": "number", "minimum": 0, "maximum": from_minor(MAXIMUM)}


def shortened(value: object) -> str:
    """Return a value as text of limited length, for an error's message."""
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _whole_number(value: object) -> object:
    """Take 12.0 as 12, as JSON does; refuse booleans and text."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongValue(repr(value), "is not a whole number; send one such as 3")
    return value


def _moment(value: str) -> str:
    if len(value) <= _LONGEST_TIME:  # the length has its own error
        moment(value)
    return value


def _visible(value: str) -> str:
    if "!" <= value[:1] <= "~":
        return value  # most texts: no further check
    if not is_visible(value):
        raise WrongValue(shortened(value), "is blank; send text that can be seen")
    return value


def _visible_or_empty(value: str) -> str:
    return value and _visible(value)


def none_if_blank(value: str | None) -> str | None:
    """Return a text, or ``None`` if it has no visible character."""
    return value if value and is_visible(value) else None


def _email(value: str) -> str:
    try:
        to_ascii(value)
    except ValueError as error:
        raise WrongValue(f"{shortened(value)}:", str(error)) from None
    return value


def _currency(value: str) -> str:
    if value in WITH_THREE_DECIMALS:
        raise WrongValue(
            repr(value),
            "is not supported, since its amounts have three decimals;"
            " send one with at most two, such as USD",
        )
    if value not in CURRENCIES:
        raise WrongValue(repr(value), "is not a supported ISO 4217 code; send one such as USD")
    return value


Money = Annotated[
    int,
    BeforeValidator(to_minor),
    PlainSerializer(from_minor, return_type=float),
    WithJsonSchema({**_MONEY_SCHEMA, "description": "Amount with at most two decimals."}),
]
Count = Annotated[int, BeforeValidator(_whole_number)]
Identifier = Annotated[
    str,
    StringConstraints(pattern=IDENTIFIER, min_length=1, max_length=64),
]
Timestamp = Annotated[
    str,
    StringConstraints(max_length=_LONGEST_TIME),
    BeforeValidator(lambda value: _moment(value) if isinstance(value, str) else value),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Currency = Annotated[
    str,
    BeforeValidator(lambda value: _currency(value) if isinstance(value, str) else value),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$"}),
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_visible)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_visible)]
PostalCode = Annotated[str, StringConstraints(max_length=20), AfterValidator(_visible_or_empty)]
Token = Annotated[str, StringConstraints(max_length=200), AfterValidator(_visible_or_empty)]
Email = Annotated[
    str,
    StringConstraints(max_length=MAX_ADDRESS),
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "maxLength": MAX_ADDRESS, "pattern": _EMAIL}),
]
