"""Whether a text has anything to see: a name of blanks or of zero-width characters has not."""

from unicodedata import category

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0\U0001d159")
"""Letters and symbols that are drawn as nothing (Unicode: Hangul fillers, Braille blank)."""


_RESERVED = (
    range(0x2065, 0x2066),
    range(0xFDD0, 0xFDF0),
    range(0xFFF0, 0xFFF9),
    range(0xFFFE, 0x10000),
    range(0xE0000, 0xE1000),
)
"""Unassigned code points that are ignorable or no characters (Unicode, DerivedCoreProperties)."""


def is_visible(text: str) -> bool:
    """Say whether a text has at least one character that is drawn.

    White space, control and format characters, and marks without a base are not.
    """
    return any(map(_is_drawn, text))


def _is_drawn(character: str) -> bool:
    if "!" <= character <= "~":
        return True
    kind = category(character)
    if kind == "Cn":  # a letter of a newer Unicode, unless it is reserved for what is not drawn
        return not any(ord(character) in reserved for reserved in _RESERVED)
    return (kind[0] in "LNPS" or kind == "Co") and character not in _BLANK
