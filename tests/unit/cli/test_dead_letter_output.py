"""`orders dead-letters` shows text from outside as text."""

import re
from dataclasses import replace
from typing import Any

import pytest

from infra.cli.dead_letter_output import show_answers, show_closed, show_one, show_open
from infra.terminal.output import plain
from infra.views.dead_letter import Closing, DeadLetter, HistoryEntry

HOSTILE = "[/x] [bold]b[/bold] \x1b[31mred\x1b]0;title\x07 \x9b2J \u202ebackwards \ud800 ü 漢"
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def dead_letter(**fields: Any) -> DeadLetter:
    """Return a dead letter with hostile text in every field that can have it."""
    known = DeadLetter(
        id=7,
        queue="QuarantineQueue",
        since="2026-01-31T12:00:00.000Z",
        reason=HOSTILE,
        order_id=HOSTILE,
        source=HOSTILE,
        attributes={},
        body={"event": {"detail": {"order_id": HOSTILE}}},
    )
    return replace(known, **fields)


CLOSING = Closing("DISCARDED", HOSTILE, "2026-01-31T12:00:00.000Z", None)
HISTORY = [
    HistoryEntry(
        letter=7,
        at="2026-01-31T12:00:00.000Z",
        who=HOSTILE,
        what="EDITED",
        detail={"before": {HOSTILE: HOSTILE}, "after": {HOSTILE: "right"}},
    )
]


@pytest.mark.parametrize(
    "show",
    [
        lambda: show_open([dead_letter()], 1),
        lambda: show_closed([dead_letter(closing=CLOSING)]),
        lambda: show_one(dead_letter(history=HISTORY)),
        lambda: show_answers([{"id": 7, "state": "back", "message": HOSTILE, "letter": 8}]),
    ],
    ids=["list", "history", "show", "redrive"],
)
def test_markup_is_shown_as_text_and_control_characters_are_escaped(
    show: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    show()
    shown = capsys.readouterr().out
    assert "[/x]" in shown
    assert "[bold]b[/bold]" in shown
    assert not CONTROLS.search(shown), repr(shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[1m", "\\x1b[1m"), ("\x9b", "\\x9b"), ("\u202e", "\\u202e"), ("ü漢", "ü漢")],
)
def test_a_control_character_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert plain(text) == shown
