"""Rows of a query's answer as CSV and NDJSON, one batch after the other."""

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from infra.queries.warehouse import Rows, json_value


class Writer(Protocol):
    """Where text is written."""

    def write(self, text: str, /) -> object:
        """Write text."""


class _LineFeeds:
    """A writer of lines that end with a line feed alone."""

    def __init__(self, to: Writer) -> None:
        self._to = to

    def write(self, line: str, /) -> object:
        """Write one line, which ends with a carriage return and a line feed."""
        return self._to.write(f"{line.removesuffix(_LINE_END)}\n")


_LINE_END = "\r\n"
"""The module `csv` quotes a cell for the characters of its line end alone: also a lone return."""


def csv_writer(to: Writer) -> Any:
    """Return a writer of `csv` that quotes every kind of line end in a cell."""
    return csv.writer(_LineFeeds(to), lineterminator=_LINE_END)


def write_csv(columns: Sequence[str], batches: Iterator[Rows], to: Writer) -> int:
    """Write rows as CSV (RFC 4180) with a heading; return their number."""
    writer = csv_writer(to)
    writer.writerow(columns)
    count = 0
    for batch in batches:
        writer.writerows([_csv_cell(cell) for cell in row] for row in batch)
        count += len(batch)
    return count


def _csv_cell(cell: Any) -> Any:
    value = json_value(cell)
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, dict | list) else value


def write_ndjson(columns: Sequence[str], batches: Iterator[Rows], to: Writer) -> int:
    """Write each row as a JSON object on a line; return their number."""
    names, count = _unique(columns), 0
    for batch in batches:
        for row in batch:
            cells = (json_value(cell) for cell in row)
            to.write(json.dumps(dict(zip(names, cells, strict=True)), allow_nan=False) + "\n")
        count += len(batch)
    return count


def _unique(columns: Sequence[str]) -> list[str]:
    """Return names for an object's members: a repeated name gets a number, as ``total_2``."""
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names or (number > 1 and name in columns):
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def first_rows(batches: Iterator[Rows], limit: int) -> tuple[Rows, bool]:
    """Return at most ``limit`` rows, and whether there are more."""
    rows: Rows = []
    for batch in batches:
        rows += batch
        if len(rows) > limit:
            return rows[:limit], True
    return rows, False
