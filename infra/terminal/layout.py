"""Tables as lines of text: a word is never cut, whatever the width.

On a terminal, columns whose longest words fit into a line are laid out side by side, and text is
wrapped between words. Columns without room, and rows with a longer word, give way: they are printed
below the row as ``label value``. Into a pipe a row is one line with every value in full.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

GAP = 2
"""Blanks between two columns."""

INDENT = "    "
"""The beginning of a line below its row."""

PROSE = 24
"""The least width of a column of sentences, in character cells."""

LONG = 40
"""Character cells; a longer word does not widen its column for all other rows. A UUID has 36."""

PADDED = 100
"""Character cells; into a pipe, a longer value does not move the column after it in other rows."""


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
        Cells, as many in each row.
    heads
        The labels of the columns; without any, no heading is printed.
    width
        Character cells of a line; None into a pipe.
    right
        The places of columns that are aligned at the right.
    """
    columns = len(heads) or max(map(len, rows), default=0)
    whole = [heads, *rows] if heads else rows
    if width is None:
        widths = [min(_widest(whole, place), PADDED) for place in range(columns)]
    else:
        widths = _widths(whole, columns, width)
    grid = _Grid(widths, right)
    if heads:
        yield from grid.lines([heads[place] for place in grid.places])
    for row in rows:
        yield from _row(row, heads, grid, width)


def _row(row: Row, heads: Row, grid: "_Grid", width: int | None) -> Iterator[Line]:
    if width is None:
        yield grid.line([row[place] for place in grid.places])
        return
    below = [place for place in range(len(row)) if place not in grid.places]
    if grid.fits(row):
        yield from grid.lines([row[place] for place in grid.places])
    else:
        yield from ([Piece(line, row[0].style)] for line in wrap(row[0].text, width))
        below = list(range(1, len(row)))
    pairs = [(heads[place].text if heads else "", row[place]) for place in below]
    yield from _below([pair for pair in pairs if pair[1].text], width)


def _below(pairs: Sequence[tuple[str, Piece]], width: int) -> Iterator[Line]:
    """Yield labels with their values, as many on a line as fit."""
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
            yield from ([Piece(INDENT * 2), Piece(one, value.style)] for one in others)
            line = []
            continue
        line += [Piece(f"{label} " if label else "", "dim"), value]
        used += size
    if line:
        yield line


class _Grid:
    """Columns side by side: those that have a width."""

    def __init__(self, widths: Sequence[int], right: Collection[int]) -> None:
        self.places = [place for place, width in enumerate(widths) if width]
        self.widths = [widths[place] for place in self.places]
        self.right = [place in right for place in self.places]

    def fits(self, row: Row) -> bool:
        """Say whether no word of a row is longer than its column."""
        return all(
            _longest_word(row[place].text) <= width
            for place, width in zip(self.places, self.widths, strict=True)
        )

    def lines(self, cells: Sequence[Piece]) -> Iterator[Line]:
        """Yield the lines of cells that fit, each wrapped within its column."""
        wrapped = [wrap(cell.text, width) for cell, width in zip(cells, self.widths, strict=True)]
        for number in range(max(map(len, wrapped), default=0)):
            yield self.line(
                [
                    Piece(parts[number] if number < len(parts) else "", cell.style)
                    for parts, cell in zip(wrapped, cells, strict=True)
                ]
            )

    def line(self, cells: Sequence[Piece]) -> Line:
        """Return one line of cells, padded but for the last."""
        line: Line = []
        last = max((place for place, cell in enumerate(cells) if cell.text), default=0)
        for place, cell in enumerate(cells[: last + 1]):
            padding = " " * (self.widths[place] - cell_len(cell.text))
            if self.right[place]:
                line += [Piece(padding), cell]
            else:
                line += [cell, Piece(padding if place < last else "")]
            line.append(Piece(" " * GAP if place < last else ""))
        return [piece for piece in line if piece.text]


def _widths(rows: Sequence[Row], columns: int, width: int) -> list[int]:
    """Return the width of each column; 0 for those without room."""
    wanted = [0] * columns
    widths = [0] * columns
    left = width + GAP
    for place in range(columns):
        texts = [row[place].text for row in rows if place < len(row)]
        usual = [text for text in texts if _longest_word(text) <= LONG]
        wanted[place] = max(map(cell_len, usual), default=1)
        word = max(map(_longest_word, usual), default=1)
        least = max(word, min(wanted[place], PROSE), 1)
        if place == 0 or least + GAP <= left:
            widths[place] = min(least, width)
            left -= widths[place] + GAP
    taken = [place for place in range(columns) if widths[place]]
    for number, place in enumerate(sorted(taken, key=lambda one: wanted[one] - widths[one])):
        share = max(left, 0) // (len(taken) - number)
        more = max(min(wanted[place] - widths[place], share), 0)
        widths[place] += more
        left -= more
    return widths


def _widest(rows: Sequence[Row], place: int) -> int:
    return max((cell_len(row[place].text) for row in rows if place < len(row)), default=0)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split(" ")))


def wrap(text: str, width: int) -> list[str]:
    """Return text in lines of a width, broken between words; a longer word has its own line."""
    if cell_len(text) <= width:
        return [text]
    lines: list[str] = []
    used = 0
    for word in text.split(" "):
        size = cell_len(word)
        if lines and used + 1 + size <= width:
            lines[-1] += f" {word}"
            used += 1 + size
        else:
            lines.append(word)
            used = size
    return lines
