"""The form of a reason: its text without ids, numbers and quoted values.

Dead letters of one cause have reasons that differ in these alone, so they share a form.
"""

import re

MAX_REASON = 2_000
"""Characters of a reason that its form is made of."""

MAX_FORM = 300
"""Maximum characters of a form; a longer reason continues with details of one dead letter."""

STRUCK = "…"
"""The replacement of an id, a number or a quoted value."""

_PARTS = re.compile(
    r"""
      (?<!\w) (?P<quoted>'[^'\n]*' | "[^"\n]*") (?!\w)
    | (?P<index>\[\d+\])
    | (?P<word>[\w.:/+@-]+)
    """,
    re.VERBOSE,
)
_MARK = re.compile(r"[\d@]")


def form_of(reason: str) -> str:
    """Return the form of a reason: two reasons of one cause have the same."""
    form = " ".join(_PARTS.sub(_struck, reason[:MAX_REASON]).split())
    return form if len(form) <= MAX_FORM else f"{form[: MAX_FORM - 1]}{STRUCK}"


def _struck(part: re.Match[str]) -> str:
    if part["index"]:
        return "[]"
    if part["quoted"]:
        return STRUCK
    word = part["word"]
    end = ":" if word.endswith(":") else ""
    return f"{STRUCK}{end}" if _MARK.search(word) else word
