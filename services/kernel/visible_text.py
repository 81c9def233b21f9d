"""Visible text: a name of blanks or zero-width characters is not."""

from unicodedata import category

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")
"""Letters and symbols without a glyph (Unicode: Hangul fillers, Braille blank)."""


_RESERVED = (
    range(0x2065, 0x2066),
    range(0xFDD0, 0xFDF0),
    range(0xFFF0, 0xFFF9),
    range(0xFFFE, 0x10000),
    range(0xE0000, 0xE1000),
)
"""Unassigned code points that are ignorable or noncharacters (Unicode, DerivedCoreProperties)."""


def is_visible(text: str) -> bool:
    """Return whether a text has at least one visible character.

    White space, control and format characters, and marks without a base are invisible.
    """
    return any(map(_is_visible_character, text))


def _is_visible_character(character: str) -> bool:
    if "!" <= character <= "~":
        return True
    kind = category(character)
    if (
        kind == "Cn"
    ):  # a letter of a newer Unicode version, unless reserved for invisible characters
        return not any(ord(character) in reserved for reserved in _RESERVED)
    return (kind[0] in "LNPS" or kind == "Co") and character not in _BLANK
