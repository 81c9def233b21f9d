"""Output of commands: text for a person, or one JSON document for a program.

All output of ``infra`` goes through this module (ruff's ``banned-api``). So text from outside, such
as an order's fields, a file's name, a cell of a query's answer or an error of AWS, reaches the
terminal only through `plain`: as text, never as markup or as a control sequence.
"""

import io
import json
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from infra.terminal import json_document
from infra.terminal.layout import Line, Piece, lay_out, wrap

_HIDDEN = re.compile(
    # C0, DEL, C1, and characters that no UTF-8 has
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff"
    # direction of writing, ends of lines, and format characters without a glyph
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    # letters without a glyph, tags, and selectors that can carry a message
    "\u115f\u1160\u3164\uffa0\U000e0000-\U000e0fff]"
    # joiners next to ASCII: scripts and emoji that need them have other letters around them
    "|[\u200c\u200d](?![^\x00-\x7f])|(?<![^\x00-\x7f])[\u200c\u200d]"
)
"""Characters that control a terminal, or that a reader cannot see."""

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def plain(text: object) -> str:
    r"""Return text for a terminal: control and hidden characters as escapes such as ``\x1b``."""
    return _HIDDEN.sub(_escape, str(text))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:  # noqa: PLR2004 - two digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - four digits


class Styled(NamedTuple):
    """Text with a style of rich's, such as ``bold`` or ``red``."""

    text: object
    style: str


class Table:
    """A table with a heading, or without columns a list of labels and values.

    A None cell is empty. ``right`` names the right-aligned columns.
    """

    def __init__(self, *columns: str, title: str = "", right: tuple[str, ...] = ()) -> None:
        self.title = title
        self._heads = [Piece(plain(column), "bold") for column in columns]
        self._right = [index for index, column in enumerate(columns) if column in right]
        self._rows: list[list[Piece]] = []

    def add_row(self, *cells: object, style: str = "") -> None:
        """Add a row: for each column a text, a `Styled` text, or any object."""
        self._rows.append([_piece(cell, style) for cell in cells])

    def lines(self, width: int | None) -> Iterator[Line]:
        """Yield the lines for a terminal of this width; None is a pipe."""
        if self.title:
            yield [Piece(plain(self.title), "italic")]
        yield from lay_out(self._rows, self._heads, width, self._right)


def _piece(cell: object, style: str) -> Piece:
    if isinstance(cell, Styled):
        return Piece(plain(cell.text), cell.style)
    return Piece("" if cell is None else plain(cell), style)


class Terminal:
    """Standard output or standard error: a terminal, a pipe or a file."""

    def __init__(self, *, error: bool = False) -> None:
        self.rich = Console(stderr=error, highlight=False, markup=False, emoji=False)
        self._error = error

    @property
    def width(self) -> int | None:
        """Character cells of a line; None without a limit."""
        return self.rich.width if self.is_terminal else None

    @property
    def is_terminal(self) -> bool:
        """Whether the output is a terminal, not a pipe or a file."""
        return self.rich.file.isatty()

    def print(self, *parts: object, style: str = "") -> None:
        """Print texts, one per line, and tables; without arguments, an empty line.

        Texts on standard output are wrapped between words if it is a terminal. With ``--json``
        nothing is printed there: its document is the only output.
        """
        if not self._error and json_document.current() is not None:
            return
        width = self.width
        for part in parts or ("",):
            if isinstance(part, Table):
                self._write(part.lines(width))
                continue
            piece = _piece(part, style)
            wraps = not self._error and width is not None
            lines = wrap(piece.text, width or 0) if wraps else [piece.text]
            self._write([[Piece(line, piece.style)] for line in lines])

    def clear(self) -> None:
        """Erase a terminal's screen; a pipe and a file are unchanged."""
        self.rich.clear()

    def print_whole(self, text: str) -> None:
        """Print a text whose lines are not wrapped, since another program reads them."""
        for line in text.splitlines():
            self._write([[Piece(plain(line))]])

    def print_json(self, value: object) -> None:
        """Print a value as JSON on several lines, as a part of the text for a person."""
        if not self._error and json_document.current() is not None:
            return
        text = json.dumps(value, indent=2, ensure_ascii=False)
        for line in text.split("\n"):
            self._write([[Piece(_HIDDEN.sub(_json_escape, line))]])

    def _write(self, lines: Any) -> None:
        if self.rich.color_system is None:  # rich takes 50 µs per line
            text = "".join(f"{''.join(piece.text for piece in line)}\n" for line in lines)
            self.rich.file.write(text)
            self.rich.file.flush()
            return
        for line in lines:
            pieces = ((piece.text, piece.style) for piece in line)
            self.rich.print(Text.assemble(*pieces), soft_wrap=True)


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1] if match[0] != "\x7f" else r"\u007f"


class Records:
    """Standard output for records that a program reads; a terminal gets them escaped."""

    def write(self, text: str) -> int:
        """Write text: to a pipe or a file unchanged, to a terminal with escapes."""
        if console.is_terminal:
            text = "\n".join(map(plain, text.split("\n")))
        return sys.stdout.write(text)

    def flush(self) -> None:
        """Write the buffer."""
        sys.stdout.flush()


console = Terminal()
errors = Terminal(error=True)


def finish(result: dict[str, Any], *, as_json: bool) -> None:
    """Set a command's JSON document, if ``as_json`` is set; it is written when the command ends."""
    if as_json:
        json_document.set_content(result)


def print_error(message: str) -> None:
    """Print an error as one line."""
    line = re.sub(r"[ \t\r\n]+", " ", message.strip())
    errors.print(f"orders: {line}", style="red")


def accept_any_character() -> None:
    """Let standard output escape characters that its encoding lacks, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
