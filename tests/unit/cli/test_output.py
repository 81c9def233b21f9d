"""Output to the terminal: text from outside as text, and every word of a table in full."""

import io
import json
import re
import unicodedata
from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from infra.terminal.json_document import as_one_line
from infra.terminal.layout import LONG, Piece, lay_out
from infra.terminal.output import Styled, Table, Terminal, plain

UUID = "1b9e9984-3435-5247-afd2-589b57c4a382"
anything = st.text(
    st.characters() | st.sampled_from("\x1b\x9b\x07\r\n\t\0\x7f\u202e\u200b\ud800[]/\\ "),
)


class Pipe(io.StringIO):
    """Standard output that is no terminal."""


class Window(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def printed(*parts: object, width: int | None = None) -> str:
    """Return what a pipe gets, or a terminal of a width without colours."""
    terminal = Terminal()
    terminal.rich = Console(
        file=Pipe() if width is None else Window(),
        width=width,
        color_system=None,
        force_terminal=width is not None,
    )
    terminal.print(*parts)
    assert isinstance(terminal.rich.file, io.StringIO)
    return terminal.rich.file.getvalue()


# ---- text from outside


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\r\n\tb\0\x7f", r"a\r\n\tb\x00\x7f"),
        ("[bold]x[/bold] [/x] [link=http://x]", "[bold]x[/bold] [/x] [link=http://x]"),
        (":smile: \\[b]", ":smile: \\[b]"),
        ("invoice\u202efdp.exe", r"invoice\u202efdp.exe"),
        ("ze\u200bro \ufeff \u00ad", r"ze\u200bro \ufeff \xad"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("lone \ud800 \udcff", r"lone \ud800 \udcff"),
        ("A\u200dB", r"A\u200dB"),
        ("日本 Übung e\u0301", "日本 Übung e\u0301"),
        (
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
            "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        ),
        ("क्\u200dष", "क्\u200dष"),
        (None, "None"),
        (12.5, "12.5"),
    ],
)
def test_control_and_hidden_characters_are_shown_as_escapes(given_text: object, shown: str) -> None:
    assert plain(given_text) == shown


@given(anything)
def test_plain_text_is_one_line_that_a_terminal_only_shows(text: str) -> None:
    shown = plain(text)
    assert not [one for one in shown if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")]
    assert not set(shown) & set("\u200b\u200e\u200f\u202a\u202e\u2066\u2069\ufeff")
    assert shown.encode().decode() == shown
    assert plain(shown) == shown


@given(anything, st.sampled_from([None, 20, 80]))
@example("[/x]", None)
@example("[gb]", 80)
def test_markup_and_control_sequences_are_printed_as_text_everywhere(
    text: str, width: int | None
) -> None:
    table = Table("[b]head", title=f"[i]{text}")
    table.add_row(text)
    table.add_row(Styled(text, "red"))
    said = printed(text, table, width=width)
    assert not [one for one in said if unicodedata.category(one) == "Cc" and one != "\n"]
    assert said.split().count("[b]head") == 1
    wanted = re.sub(" +", " ", plain(text).strip(" "))
    assert re.sub("[ \n]+", " ", said).count(wanted) >= 4


def test_text_from_outside_has_no_style() -> None:
    terminal = Terminal()
    terminal.rich = Console(file=Window(), force_terminal=True, color_system="standard")
    terminal.print(Styled("[green]\x1b[1m", "red"))
    assert terminal.rich.file.getvalue() == "\x1b[31m[green]\\x1b[1m\x1b[0m\n"  # type: ignore[attr-defined]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
@example({"\x7f": "\x7f\x9b\ud800"})
@example(float("nan"))
def test_json_is_one_line_of_printable_ascii_and_nothing_is_lost(value: object) -> None:
    line = as_one_line(value)
    assert re.fullmatch(r"[\x20-\x7e]*", line)
    assert json.loads(line, parse_constant=pytest.fail) == _without_infinity(value)


def _without_infinity(value: object) -> object:
    return json.loads(json.dumps(value), parse_constant=lambda name: None)


@given(json_values)
@example({"a": "\x9b\x7f\u202e\x1b\U000e0041"})
def test_json_on_several_lines_is_the_same_value_and_has_no_control_character(
    value: object,
) -> None:
    terminal = Terminal()
    terminal.rich = Console(file=Pipe(), color_system=None)
    terminal.print_json(value)
    said = terminal.rich.file.getvalue()  # type: ignore[attr-defined]
    assert plain(said.replace("\n", "")) == said.replace("\n", "")
    assert json.dumps(json.loads(said)) == json.dumps(json.loads(json.dumps(value)))


# ---- tables

cells = st.text("ab-ö日 ", max_size=30) | st.just(UUID) | st.just("X" * 64)
tables = st.integers(1, 6).flatmap(
    lambda columns: st.tuples(
        st.lists(
            st.sampled_from(["order", "updated (UTC)", "x"]), min_size=columns, max_size=columns
        ),
        st.lists(st.lists(cells, min_size=columns, max_size=columns), max_size=5),
    )
)


def lines(heads: list[str], rows: list[list[str]], width: int | None) -> list[str]:
    """Return the lines of a table without styles."""
    pieces = [[Piece(cell) for cell in row] for row in rows]
    found = lay_out(pieces, [Piece(head) for head in heads], width)
    return ["".join(piece.text for piece in line) for line in found]


@given(tables, st.integers(1, 120))
def test_no_word_is_cut_and_no_cell_is_lost_at_any_width(
    table: tuple[list[str], list[list[str]]], width: int
) -> None:
    heads, rows = table
    shown = lines(heads, rows, width)
    words = " ".join(shown).split()
    for row in rows:
        for word in " ".join(row).split():
            assert word in words
            words.remove(word)
    given_words = " ".join([*heads, *chain.from_iterable(rows)]).split()
    longest = max(map(cell_len, given_words))
    room = max(width, longest + 8 + max(map(len, heads)) + 1)
    assert all(cell_len(line) <= room for line in shown)


@given(tables)
def test_in_a_pipe_a_row_is_one_line_with_full_values(
    table: tuple[list[str], list[list[str]]],
) -> None:
    heads, rows = table
    head, *shown = lines(heads, rows, None)
    assert len(shown) == len(rows)
    assert head.split() == " ".join(heads).split()
    for row, line in zip(rows, shown, strict=True):
        assert all(cell in line for cell in (cell.rstrip() for cell in row))


def test_columns_line_up_while_their_words_fit() -> None:
    rows = [[UUID, "COMPLETED", "12.50 USD"], ["A-1", "COMPENSATING", "9.00 USD"]]
    assert lines(["order", "status", "total"], rows, 80) == [
        "order                                 status        total",
        f"{UUID}  COMPLETED     12.50 USD",
        "A-1                                   COMPENSATING  9.00 USD",
    ]


def test_columns_without_room_are_printed_below_with_their_values() -> None:
    rows = [[UUID, "COMPLETED", "C-42", "OutOfStock"], ["A-1", "FAILED", "C-43", ""]]
    assert lines(["order", "status", "customer", "reason"], rows, 50) == [
        "order                                 status",
        f"{UUID}  COMPLETED",
        "    customer C-42  reason OutOfStock",
        "A-1                                   FAILED",
        "    customer C-43",
    ]


def test_one_long_id_does_not_widen_the_other_rows() -> None:
    rows = [["X" * 64, "COMPLETED", "C-42"], ["A-1", "FAILED", "C-43"]]
    assert LONG < 64
    assert lines(["order", "status", "customer"], rows, 40) == [
        "order  status     customer",
        "X" * 64,
        "    status COMPLETED  customer C-42",
        "A-1    FAILED     C-43",
    ]


def test_sentences_are_wrapped_between_words() -> None:
    rows = [["ok", "one two three four five six seven eight"]]
    assert lines(["", "found"], rows, 30) == [
        "    found",
        "ok  one two three four five",
        "    six seven eight",
    ]


def test_figures_are_right_aligned_on_request() -> None:
    table = Table("line", "USD", right=("USD",))
    table.add_row("s3 puts", 0.01)
    table.add_row("total", 27.5)
    assert printed(table) == "line      USD\ns3 puts  0.01\ntotal    27.5\n"


def test_a_long_value_in_a_pipe_moves_only_its_own_row() -> None:
    head, long, short = lines(["a", "b"], [["x" * 300, "1"], ["y", "2"]], None)
    assert long == "x" * 300 + "  1"
    assert head.index("b") == short.index("2") == 102
