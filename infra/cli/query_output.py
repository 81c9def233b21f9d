"""The answer of a query: a table, records, CSV, NDJSON, JSON or Parquet."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from infra.cli.errors import CommandError
from infra.queries.row_formats import Writer, write_csv, write_ndjson
from infra.queries.warehouse import Rows, json_value
from infra.terminal.output import Records, Styled, Table, console, plain

SHOWN = 200
"""Rows of a table on the terminal."""

MAX_JSON_ROWS = 100_000
"""Rows of one JSON document, which is built in memory; the other formats are streams."""

_GAP = 2
_MAX_CELL = 200


class Format(StrEnum):
    """A format of the answer; TABLE is for people."""

    TABLE = "table"
    CSV = "csv"
    NDJSON = "ndjson"
    JSON = "json"
    PARQUET = "parquet"


def format_of(chosen: Sequence[Format], output: Path | None) -> Format:
    """Return the format by the options, else by the suffix of the file.

    Raises
    ------
    CommandError
        Two formats are chosen, the suffix is unknown, or Parquet has no file.
    """
    if len(chosen) > 1:
        raise CommandError(f"--{chosen[0]} and --{chosen[1]} exclude each other; send one")
    if chosen:
        if chosen[0] is Format.PARQUET and output is None:
            raise CommandError("--parquet writes a file; send --output FILE.parquet")
        return chosen[0]
    if output is None:
        return Format.TABLE
    suffix = output.suffix.removeprefix(".")
    if suffix not in set(Format) - {Format.TABLE}:
        raise CommandError(
            f"--output {output}: its suffix is no format;"
            " end it in .csv, .ndjson, .json or .parquet"
        )
    return Format(suffix)


@contextmanager
def destination(output: Path | None) -> Iterator[Writer]:
    """Give standard output, or a file that gets its name once it is complete."""
    if output is None:
        records = Records()
        yield records
        records.flush()
        return
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(output)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


WRITERS: dict[Format, Callable[[Sequence[str], Iterator[Rows], Writer], int]] = {
    Format.CSV: write_csv,
    Format.NDJSON: write_ndjson,
}


def show(columns: Sequence[str], rows: Rows) -> None:
    """Print rows as a table, or as records if the terminal is too narrow for the table."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [
        max([len(name), *(len(plain(row[at].text)) for row in cells)])
        for at, name in enumerate(columns)
    ]
    width = console.width
    if width is not None and sum(widths) + _GAP * (len(widths) - 1) > width and rows:
        for number, row in enumerate(cells, 1):
            console.print(Styled(f"row {number}", "dim"))
            record = Table()
            for name, cell in zip(columns, row, strict=True):
                record.add_row(name, cell)
            console.print(record)
        return
    numbers = [name for at, name in enumerate(columns) if any(_is_number(row[at]) for row in rows)]
    table = Table(*columns, right=tuple(numbers))
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _cell(value: Any) -> Styled:
    if value is None:
        return Styled("NULL", "dim")
    shown = json_value(value)
    text = json.dumps(shown) if isinstance(shown, dict | list) else str(shown)
    return Styled(text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…", "")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
