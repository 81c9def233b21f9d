"""Layout of tables as lines of text: a word is never cut, at any width.

On a terminal, a line has the columns whose longest words fit, and text is wrapped between words.
Other columns, and the cells of rows with a longer word, are printed below the row as
``label value``. In a pipe a row is one line with every value in full.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

GAP = 2
"""Blanks between two columns."""

INDENT = "    "
"""The start of a line below its row."""

PROSE = 24
"""The minimum width of a column of sentences, in character cells."""

LONG = 40
"""Character cells; a longer word does not widen its column. A UUID has 36."""

PADDED = 100
"""Character cells; in a pipe, a longer value does not widen its column."""


class Piece(NamedTuple):
    """Text without control characters, and its style."""

    text: str
    style: str = ""


Row = Sequence[Piece]
Line = list[Piece]


def lay_out(
    rows: Sequence[Row], heads: Row, width: int | None, right: Collection[int] = ()
) -> Iterator[Line]:
    """Yield the lines of a table.

    Parameters
    ----------
    rows
        Cells; all rows have the same number.
    heads
        The labels of the columns; if empty, no heading is printed.
    width
        Character cells of a line; None for a pipe.
    right
        The indexes of right-aligned columns.
    """
    columns = len(heads) or max(map(len, rows), default=0)
    all_rows = [heads, *rows] if heads else rows
    if width is None:
        widths = [min(_widest(all_rows, index), PADDED) for index in range(columns)]
    else:
        widths = _widths(all_rows, columns, width)
    grid = _Grid(widths, right)
    if heads:
        yield from grid.lines([heads[index] for index in grid.indexes])
    for row in rows:
        yield from _row(row, heads, grid, width)


def _row(row: Row, heads: Row, grid: "_Grid", width: int | None) -> Iterator[Line]:
    if width is None:
        yield grid.line([row[index] for index in grid.indexes])
        return
    below = [index for index in range(len(row)) if index not in grid.indexes]
    if grid.fits(row):
        yield from grid.lines([row[index] for index in grid.indexes])
    else:
        yield from ([Piece(line, row[0].style)] for line in wrap(row[0].text, width))
        below = list(range(1, len(row)))
    pairs = [(heads[index].text if heads else "", row[index]) for index in below]
    yield from _below([pair for pair in pairs if pair[1].text], width)


def _below(pairs: Sequence[tuple[str, Piece]], width: int) -> Iterator[Line]:
    """Yield labels with their values, as many per line as fit."""
    line: Line = []
    used = 0
    for label, value in pairs:
        size = cell_len(label) + bool(label) + cell_len(value.text)
        if line and used + GAP + size <= width:
            line += [Piece(" " * GAP)]
            used += GAP
        else:
            if line:
                yield line
            line, used = [Piece(INDENT)], len(INDENT)
        if used + size > width:
            first, *others = wrap(f"{label} {value.text}".strip(), width - used)
            yield [*line, Piece(first, value.style)]
            yield from ([Piece(INDENT * 2), Piece(text, value.style)] for text in others)
            line = []
            continue
        line += [Piece(f"{label} " if label else "", "dim"), value]
        used += size
    if line:
        yield line


class _Grid:
    """The columns that have a width."""

    def __init__(self, widths: Sequence[int], right: Collection[int]) -> None:
        self.indexes = [index for index, width in enumerate(widths) if width]
        self.widths = [widths[index] for index in self.indexes]
        self.right = [index in right for index in self.indexes]

    def fits(self, row: Row) -> bool:
        """Return whether every word of a row fits its column."""
        return all(
            _longest_word(row[index].text) <= width
            for index, width in zip(self.indexes, self.widths, strict=True)
        )

    def lines(self, cells: Sequence[Piece]) -> Iterator[Line]:
        """Yield the lines of fitting cells, each wrapped within its column."""
        wrapped = [wrap(cell.text, width) for cell, width in zip(cells, self.widths, strict=True)]
        for number in range(max(map(len, wrapped), default=0)):
            yield self.line(
                [
                    Piece(parts[number] if number < len(parts) else "", cell.style)
                    for parts, cell in zip(wrapped, cells, strict=True)
                ]
            )

    def line(self, cells: Sequence[Piece]) -> Line:
        """Return one line of cells; all but the last are padded."""
        line: Line = []
        last = max((index for index, cell in enumerate(cells) if cell.text), default=0)
        for index, cell in enumerate(cells[: last + 1]):
            padding = " " * (self.widths[index] - cell_len(cell.text))
            if self.right[index]:
                line += [Piece(padding), cell]
            else:
                line += [cell, Piece(padding if index < last else "")]
            line.append(Piece(" " * GAP if index < last else ""))
        return [piece for piece in line if piece.text]


def _widths(rows: Sequence[Row], columns: int, width: int) -> list[int]:
    """Return the width of each column; 0 for one that does not fit."""
    wanted = [0] * columns
    widths = [0] * columns
    free = width + GAP
    for index in range(columns):
        texts = [row[index].text for row in rows if index < len(row)]
        usual = [text for text in texts if _longest_word(text) <= LONG]
        wanted[index] = max(map(cell_len, usual), default=1)
        word = max(map(_longest_word, usual), default=1)
        least = max(word, min(wanted[index], PROSE), 1)
        if index == 0 or least + GAP <= free:
            widths[index] = min(least, width)
            free -= widths[index] + GAP
    shown = [index for index in range(columns) if widths[index]]
    for number, index in enumerate(sorted(shown, key=lambda index: wanted[index] - widths[index])):
        share = max(free, 0) // (len(shown) - number)
        more = max(min(wanted[index] - widths[index], share), 0)
        widths[index] += more
        free -= more
    return widths


def _widest(rows: Sequence[Row], index: int) -> int:
    return max((cell_len(row[index].text) for row in rows if index < len(row)), default=0)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split(" ")))


def wrap(text: str, width: int) -> list[str]:
    """Return text in lines of a width, broken between words; a longer word gets its own line.

    A command in backticks is one word, so that it can be copied, unless it is longer than a line.
    """
    if cell_len(text) <= width:
        return [text]
    lines: list[str] = []
    used = 0
    for word in _words(text, width):
        size = cell_len(word)
        if lines and used + 1 + size <= width:
            lines[-1] += f" {word}"
            used += 1 + size
        else:
            lines.append(word)
            used = size
    return lines


def _words(text: str, width: int) -> Iterator[str]:
    """Yield the words of a text; those between two backticks are one, if it fits into a line."""
    span: list[str] = []
    backticks = 0
    for word in text.split(" "):
        span.append(word)
        backticks += word.count("`")
        if backticks % 2 == 0:
            whole = " ".join(span)
            yield from [whole] if cell_len(whole) <= width else span
            span = []
    yield from span
